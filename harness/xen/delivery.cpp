// Deliveries: what Xen pushes, and when. Line numbers are those of xen-project/xen c447b7308b, below xen/arch/x86.

#include <array>

#include "machine/selectors.hpp"
#include "machine/xen_public.hpp"
#include "xen/vcpu.hpp"

namespace framefold {

namespace {

constexpr std::uint8_t kPageFault = 14;
constexpr std::uint32_t kPageFaultUser = 4;  // error code bit U (SDM Vol. 3, section 4.7)
// What CR2 says of a modelled page fault: an address that nothing maps.
constexpr std::uint64_t kFaultAddress = 0x0badf000;

/// Traps report the next instruction and leave RF alone; faults push RF=1 (SDM Vol. 3, section 17.3.1.1).
bool is_fault(const VectorDescription& vector) {
  constexpr std::uint8_t kDebug = 1;
  constexpr std::uint8_t kBreakpoint = 3;
  constexpr std::uint8_t kOverflow = 4;
  return vector.kind == DeliveryKind::exception && vector.number != kDebug && vector.number != kBreakpoint &&
         vector.number != kOverflow;
}

/// The words of a bounce frame, highest address first.
struct FrameWords {
  std::array<std::uint64_t, 8> values{};
  std::size_t count = 0;
  void push(std::uint64_t value) { values[count++] = value; }
};

/// RFLAGS as the frame shows them: IF mirrors the event mask, IOPL is 0 without VMASST_TYPE_architectural_iopl (entry.S
/// 592-600).
std::uint64_t saved_rflags(const Registers& registers, std::uint8_t mask, const VectorDescription& vector) {
  std::uint64_t value = registers.rflags & 0xffffffff & ~(rflags::kIf | rflags::kIopl);
  if (mask == 0) {
    value |= rflags::kIf;
  }
  return is_fault(vector) ? value | rflags::kRf : value;
}

FrameWords frame_words(const Registers& registers, const SharedInfo& shared, const Delivery& delivery, bool from_user) {
  const VectorDescription& vector = delivery.vector->description;
  const bool wide = shared.abi().width == Width::k64;
  const std::uint64_t cs = registers[Segment::cs];
  FrameWords words;
  if (wide || from_user) {
    words.push(registers[Segment::ss]);
    words.push(registers[Gpr::rsp]);
  }
  words.push(saved_rflags(registers, shared.upcall_mask(), vector));
  words.push(wide ? cs | shared.mask_and_padding(4) << 32 : cs | shared.mask_and_padding(2) << 16);
  words.push(registers.rip);
  if (vector.error_code) {
    words.push(delivery.error_code);
  }
  if (wide) {
    words.push(registers[Gpr::r11]);
    words.push(registers[Gpr::rcx]);
  }
  return words;
}

/// 64-bit: a frame may not touch Xen's own part of the address space (entry.S 558-573).
bool in_hypervisor_range(std::uint64_t base) { return base > HYPERVISOR_VIRT_START && base < HYPERVISOR_VIRT_END + 64; }

/// toggle_guest_mode (pv/domain.c): the kernel's page table and GS base. 32-bit guests have neither.
void switch_to_kernel(Vcpu& vcpu, Registers& registers, Width width) {
  vcpu.mode = GuestMode::kernel;
  if (width == Width::k64) {
    vcpu.user_gs_base = registers.gs_base;
    registers.gs_base = vcpu.kernel_gs_base;
  }
}

/// Registers at the callback's first instruction, RCX and R11 apart (entry.S 619-641; compat/entry.S 304-325).
void enter_callback(Registers& registers, Width width, GuestAddress callback, bool from_user, std::uint16_t kernel_ss) {
  const Selectors& selectors = selectors_of(width);
  registers.rip = callback.value;
  registers[Segment::cs] = selectors.kernel_code;
  std::uint64_t cleared = rflags::kVm | rflags::kRf | rflags::kNt | rflags::kTf | rflags::kIopl;
  if (width == Width::k64) {
    cleared |= rflags::kAc;
    registers[Segment::ss] = selectors.kernel_stack;
  } else if (from_user) {
    registers[Segment::ss] = kernel_ss;
  }
  registers.rflags = (registers.rflags & rflags::kAll & ~cleared) | rflags::kIf | rflags::kFixed;
}

}  // namespace

bool in_user_mode(const Vcpu& vcpu, const Registers& registers, Width width) {
  return width == Width::k64 ? vcpu.mode == GuestMode::user : (registers[Segment::cs] & 2) != 0;
}

GuestAddress bounce_frame_top(const Vcpu& vcpu, const Registers& registers, Width width) {
  const std::uint64_t base = in_user_mode(vcpu, registers, width) ? vcpu.kernel_sp : registers[Gpr::rsp];
  return {base - base % bounce_frame_alignment(width)};
}

std::optional<Delivery> next_delivery(Vcpu& vcpu, const SharedInfo& shared, std::optional<PendingException>& exception,
                                      const Vector& event, const Vector* nmi) {
  if (exception) {
    const Delivery delivery{exception->vector, exception->error_code};
    exception.reset();
    return delivery;
  }
  if (vcpu.nmi_pending && (vcpu.async_exception_mask & kTrapNmi) == 0) {
    vcpu.nmi_pending = false;
    if (nmi != nullptr) {
      vcpu.nmi_old_mask = vcpu.async_exception_mask;
      vcpu.async_exception_mask |= kTrapNmi;
      return Delivery{nmi, 0};
    }
  }
  if (shared.upcall_mask() == 0 && shared.upcall_pending() != 0) {
    return Delivery{&event, 0};
  }
  return std::nullopt;
}

bool deliver(Vcpu& vcpu, Registers& registers, const GuestMemory& memory, const SharedInfo& shared,
             Delivery& delivery) {
  const Width width = shared.abi().width;
  const VectorDescription& vector = delivery.vector->description;
  const bool from_user = in_user_mode(vcpu, registers, width);
  const GuestAddress top = bounce_frame_top(vcpu, registers, width);
  if (vector.kind == DeliveryKind::exception && vector.number == kPageFault) {
    delivery.error_code = (delivery.error_code & ~kPageFaultUser) | (from_user ? kPageFaultUser : 0);
    shared.set_cr2(kFaultAddress);
  }
  if (from_user) {
    switch_to_kernel(vcpu, registers, width);
  } else if (width == Width::k64) {
    registers[Segment::cs] &= 0xfffc;
  }
  const FrameWords words = frame_words(registers, shared, delivery, from_user);
  const unsigned word = shared.abi().word;
  const GuestAddress base = top - words.count * word;
  std::uint8_t* host = memory.find_writable(base, words.count * word);
  if (host == nullptr || delivery.vector->address.value == 0 ||
      (width == Width::k64 && in_hypervisor_range(top.value))) {
    return false;
  }
  for (std::size_t i = 0; i < words.count; ++i) {
    store_word(host + (words.count - 1 - i) * word, words.values[i], word);
  }
  if (vector.masks_events) {
    shared.upcall_mask() |= 1;
  }
  registers[Gpr::rsp] = base.value;
  enter_callback(registers, width, delivery.vector->address, from_user, vcpu.kernel_ss);
  vcpu.exits_by_sysret = width == Width::k64;
  return true;
}

void exit_to_guest(Vcpu& vcpu, Registers& registers) {
  if (!vcpu.exits_by_sysret) {
    return;
  }
  vcpu.exits_by_sysret = false;
  registers[Gpr::rcx] = registers.rip;
  registers[Gpr::r11] = registers.rflags;
  registers[Segment::cs] = registers[Segment::cs] == FLAT_USER_CS32 ? FLAT_USER_CS32 : FLAT_KERNEL_CS64;
  registers[Segment::ss] = FLAT_KERNEL_SS64;
}

}  // namespace framefold
