// The PV vCPU as Xen sees it: when it delivers, what it pushes, how a guest returns.
//
// Everything works on plain data (registers, host memory), so that each rule can be held against bytes written down by
// hand. Sources are named per function; line numbers are those of xen-project/xen c447b7308b.
//
// What is left out, or taken where the sources leave a choice:
// - RCX and R11 become the callback's RIP and RFLAGS when Xen exits, not when it pushes: of frames that are stacked
//   before one guest instruction executes, all show the RCX and R11 that the guest last had.
// - RF in the frame: 1 for every exception but #DB, #BP and #OF. (A #DB of an instruction breakpoint is a fault, too;
//   RF is never compared.)
// - CR2 of a page fault is an address that nothing maps, the same for all.
// - A 32-bit callback's CS is always the flat kernel one, so that "no handler" is address 0 for both widths.
// - A frame must lie in one mapped region; Xen writes it word by word, so what a crashing delivery leaves in memory
//   differs. The domain is gone then.
// - An iret hypercall whose final IRET would fault (selectors, a non-canonical RIP) completes; Xen reports the fault at
//   the target. The selectors and RIP that the guest then has show the error.
// - An iret hypercall with EFLAGS.VM ends in a domain crash on 32-bit; Xen sends the guest a #GP. No context has VM.
// - Used argument registers of a hypercall survive, as with a release build of Xen; no continuation is ever made.
// - Bits 32 to 63 of RAX do not count in a hypercall's number: the page's stubs clear them.
// - A send to a port raises the port itself, as an interdomain channel to its own vCPU would; ports are not checked for
//   being bound.
// - No MCE, no failsafe callback, no 64-bit syscall callback, no architectural IOPL, IDT mode only.
#pragma once

#include <cstdint>
#include <optional>

#include "image/image.hpp"
#include "image/registers.hpp"
#include "machine/guest_memory.hpp"
#include "xen/abi.hpp"
#include "xen/guest_mode.hpp"
#include "xen/shared_info.hpp"

namespace framefold {

/// Per-vCPU state of Xen's (struct vcpu, struct pv_vcpu), as far as entry and exit depend on it.
struct Vcpu {
  GuestMode mode = GuestMode::kernel;  // 64-bit: TF_kernel_mode; 32-bit: follows CS.RPL
  std::uint64_t kernel_sp = 0;
  std::uint16_t kernel_ss = 0;  // 32-bit only: 64-bit ignores it
  std::uint64_t kernel_gs_base = 0;
  std::uint64_t user_gs_base = 0;
  bool has_user_page_table = false;  // 64-bit: without one, a return to user mode is a domain crash
  bool nmi_pending = false;
  std::uint8_t async_exception_mask = 0;  // bit kTrapNmi
  std::uint8_t nmi_old_mask = 0;          // async_exception_mask before the last NMI delivery
  bool exits_by_sysret = false;           // 64-bit: TRAP_syscall, set by a delivery and by iret with VGCF_in_syscall
  friend bool operator==(const Vcpu&, const Vcpu&) = default;
};

/// Bit of async_exception_mask for NMIs: 1 << VCPU_TRAP_NMI (asm/domain.h). MCEs are outside the model.
inline constexpr std::uint8_t kTrapNmi = 1U << 1;

/// An exception that Xen has to inject (pv/traps.c, pv_inject_event).
struct PendingException {
  const Vector* vector = nullptr;
  std::uint32_t error_code = 0;
};

/// One delivery that test_all_events decided on.
struct Delivery {
  const Vector* vector = nullptr;
  std::uint32_t error_code = 0;  // pushed where the vector has one
};

/// What test_all_events does next (x86_64/entry.S 66-147, compat/entry.S 39-122): an exception, an NMI that is not
/// masked, an event that is not masked, in this order; nothing where the guest goes on. Takes the exception and the
/// pending NMI, and masks NMIs. `nmi` is the entry's NMI vector or null: an NMI without a handler is lost, as in Xen.
std::optional<Delivery> next_delivery(Vcpu& vcpu, const SharedInfo& shared, std::optional<PendingException>& exception,
                                      const Vector& event, const Vector* nmi);

/// Pushes the bounce frame and enters the guest's callback (x86_64/entry.S create_bounce_frame 543-643; compat/entry.S
/// compat_create_bounce_frame 259-332). `registers` become those of the callback's first instruction, but for what
/// `exit_to_guest` does.
/// `delivery.error_code` becomes what was pushed (Xen recomputes the U bit of a page fault's).
/// Returns false where the frame cannot be stored, or there is no callback: Xen crashes the domain.
bool deliver(Vcpu& vcpu, Registers& registers, const GuestMemory& memory, const SharedInfo& shared, Delivery& delivery);

/// Leaves Xen, after all deliveries and after every iret hypercall: an exit by SYSRET shows in RCX, R11, CS and SS
/// (x86_64/entry.S restore_all_guest). Does nothing the second time.
void exit_to_guest(Vcpu& vcpu, Registers& registers);

/// Whether a delivery would come from user mode and so go to the kernel stack.
bool in_user_mode(const Vcpu& vcpu, const Registers& registers, Width width);

/// Where `deliver` would start to push: the frame lies below.
GuestAddress bounce_frame_top(const Vcpu& vcpu, const Registers& registers, Width width);

/// How a hypercall ended.
enum class HypercallEnd : std::uint8_t {
  returned,  // registers are those of the instruction behind it
  iret,      // registers are those that the frame asked for
  domain_crash,
};

/// The number of instruction bytes of `syscall` and of `int $0x82`.
inline constexpr unsigned kTrapLength = 2;

/// A hypercall of a guest in kernel mode, by the trap instruction at registers.rip (x86_64/entry.S lstar_enter;
/// compat/entry.S; pv/hypercall.c). Deliveries and `exit_to_guest` follow.
/// Handles iret, event_channel_op (unmask, send) and answers any other with -ENOSYS. `raised` tells what an
/// event_channel_op raised.
HypercallEnd hypercall(Vcpu& vcpu, Registers& registers, const GuestMemory& memory, const SharedInfo& shared,
                       Raise& raised);

/// Fills the 4 KiB at `page` as Xen does (pv/hypercall.c, hypercall_page_initialise_ring{3,1}_kernel).
void fill_hypercall_page(std::uint8_t* page, Width width);

/// The iret entry of the hypercall page: its bytes, and where its boundaries lie.
struct IretStub {
  std::uint32_t offset;  // from the page's start
  std::uint32_t length;  // bytes
  std::uint32_t trap;    // offset of the trap instruction from the page's start
};
IretStub iret_stub(Width width);

}  // namespace framefold
