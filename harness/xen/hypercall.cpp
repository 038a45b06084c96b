// Hypercalls: the iret of both widths, event_channel_op, and an answer for the rest.

#include <cerrno>

#include "machine/selectors.hpp"
#include "machine/xen_public.hpp"
#include "xen/vcpu.hpp"

namespace framefold {

namespace {

/// What compat_iret reads from the guest's stack (pv/iret.c 110-229); in no public header.
struct CompatIretFrame {
  std::uint32_t eax;
  std::uint32_t eip;
  std::uint32_t cs;  // 16 bits count
  std::uint32_t eflags;
  std::uint32_t esp;  // only where cs asks for ring 2 or 3
  std::uint32_t ss;
};
constexpr std::size_t kCompatIretKernelSize = offsetof(CompatIretFrame, esp);
static_assert(sizeof(iret_context) == 72 && sizeof(CompatIretFrame) == 24);

/// async_exception_cleanup (pv/iret.c): every iret hypercall gives back the mask before the last NMI, whatever it
/// returns from.
void unmask_async_exceptions(Vcpu& vcpu) {
  if (vcpu.async_exception_mask != 0) {
    vcpu.async_exception_mask = vcpu.nmi_old_mask;
  }
}

/// RFLAGS as iret loads them since 4.22; before, undefined bits stayed until hardware dropped them (pv/iret.c,
/// dbd936248f).
std::uint64_t loaded_rflags(std::uint64_t frame) {
  return (frame & rflags::kAll & ~(rflags::kIopl | rflags::kVm)) | rflags::kIf | rflags::kFixed;
}

/// do_iret (pv/iret.c 52-107).
HypercallEnd iret64(Vcpu& vcpu, Registers& registers, const GuestMemory& memory, const SharedInfo& shared) {
  const std::uint8_t* host = memory.find({registers[Gpr::rsp]}, sizeof(iret_context));
  if (host == nullptr) {
    return HypercallEnd::domain_crash;
  }
  iret_context frame;
  std::memcpy(&frame, host, sizeof frame);
  if ((frame.cs & 3) == 3) {
    if (!vcpu.has_user_page_table) {
      return HypercallEnd::domain_crash;
    }
    vcpu.mode = GuestMode::user;
    vcpu.kernel_gs_base = registers.gs_base;
    registers.gs_base = vcpu.user_gs_base;
  }
  registers.rip = frame.rip;
  registers[Segment::cs] = static_cast<std::uint16_t>(frame.cs | 3);
  registers[Gpr::rsp] = frame.rsp;
  registers[Segment::ss] = static_cast<std::uint16_t>(frame.ss | 3);
  registers.rflags = loaded_rflags(frame.rflags);
  vcpu.exits_by_sysret = (frame.flags & VGCF_in_syscall) != 0;
  if (!vcpu.exits_by_sysret) {
    registers[Gpr::r11] = frame.r11;
    registers[Gpr::rcx] = frame.rcx;
  }
  shared.upcall_mask() = (frame.rflags & rflags::kIf) == 0 ? 1 : 0;
  unmask_async_exceptions(vcpu);
  registers[Gpr::rax] = frame.rax;
  return HypercallEnd::iret;
}

/// compat_iret (pv/iret.c 110-229). A frame with EFLAGS.VM, which Xen turns into a #GP of the guest's, ends the run
/// here.
HypercallEnd iret32(Vcpu& vcpu, Registers& registers, const GuestMemory& memory, const SharedInfo& shared) {
  const GuestAddress stack{registers[Gpr::rsp] & 0xffffffff};
  CompatIretFrame frame{};
  const std::uint8_t* host = memory.find(stack, kCompatIretKernelSize);
  if (host == nullptr) {
    return HypercallEnd::domain_crash;
  }
  std::memcpy(&frame, host, kCompatIretKernelSize);
  const unsigned ring = frame.cs & 3;
  if (ring == 0 || (frame.eflags & rflags::kVm) != 0) {
    return HypercallEnd::domain_crash;
  }
  if (ring == 1) {
    registers[Gpr::rsp] = (stack + kCompatIretKernelSize).value & 0xffffffff;
  } else {
    host = memory.find(stack, sizeof frame);
    if (host == nullptr) {
      return HypercallEnd::domain_crash;
    }
    std::memcpy(&frame, host, sizeof frame);
    registers[Gpr::rsp] = frame.esp;
    registers[Segment::ss] = static_cast<std::uint16_t>(frame.ss);
    vcpu.mode = GuestMode::user;
  }
  registers.rip = frame.eip;
  registers[Segment::cs] = static_cast<std::uint16_t>(frame.cs);
  registers.rflags = loaded_rflags(frame.eflags);
  shared.upcall_mask() = (frame.eflags & rflags::kIf) == 0 ? 1 : 0;
  unmask_async_exceptions(vcpu);
  registers[Gpr::rax] = frame.eax;
  return HypercallEnd::iret;
}

/// do_event_channel_op (common/event_channel.c): unmask and send; a send on the one vCPU of the model raises the port
/// itself.
std::int64_t event_channel_op(std::uint32_t command, GuestAddress argument, const GuestMemory& memory,
                              const SharedInfo& shared, Raise& raised) {
  static_assert(sizeof(evtchn_unmask) == sizeof(evtchn_port_t) && sizeof(evtchn_send) == sizeof(evtchn_port_t));
  if (command != EVTCHNOP_unmask && command != EVTCHNOP_send) {
    return -ENOSYS;
  }
  const std::uint8_t* host = memory.find(argument, sizeof(evtchn_port_t));
  if (host == nullptr) {
    return -EFAULT;
  }
  const Port port{static_cast<unsigned>(load_word(host, sizeof(evtchn_port_t)))};
  if (port.number >= shared.abi().ports) {
    return -EINVAL;
  }
  raised = command == EVTCHNOP_unmask ? unmask_port(shared, port) : raise_event(shared, port, 1);
  return 0;
}

}  // namespace

HypercallEnd hypercall(Vcpu& vcpu, Registers& registers, const GuestMemory& memory, const SharedInfo& shared,
                       Raise& raised) {
  const bool wide = shared.abi().width == Width::k64;
  const std::uint64_t number = registers[Gpr::rax] & 0xffffffff;
  raised = Raise::nothing;
  registers.rip += kTrapLength;
  if (wide) {  // SYSCALL, and what lstar_enter makes of the selectors
    const Selectors& selectors = selectors_of(Width::k64);
    registers[Gpr::rcx] = registers.rip;
    registers[Gpr::r11] = registers.rflags;
    registers[Segment::cs] = selectors.kernel_code;
    registers[Segment::ss] = selectors.kernel_stack;
  }
  if (number == __HYPERVISOR_iret) {
    return wide ? iret64(vcpu, registers, memory, shared) : iret32(vcpu, registers, memory, shared);
  }
  std::int64_t result = -ENOSYS;
  if (number == __HYPERVISOR_event_channel_op) {
    const auto command = static_cast<std::uint32_t>(registers[wide ? Gpr::rdi : Gpr::rbx]);  // an int
    const GuestAddress argument{wide ? registers[Gpr::rsi] : registers[Gpr::rcx] & 0xffffffff};
    result = event_channel_op(command, argument, memory, shared, raised);
  }
  registers[Gpr::rax] = static_cast<std::uint64_t>(result) & (wide ? ~std::uint64_t{0} : 0xffffffff);
  return HypercallEnd::returned;
}

}  // namespace framefold
