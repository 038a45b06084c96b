#include "xen/abi.hpp"

#include "machine/xen_public.hpp"

namespace framefold {

namespace {

constexpr Abi kAbi64{Width::k64,
                     8,
                     offsetof(shared_info, vcpu_info[0].evtchn_upcall_pending),
                     offsetof(shared_info, vcpu_info[0].evtchn_upcall_mask),
                     offsetof(shared_info, vcpu_info[0].evtchn_pending_sel),
                     offsetof(shared_info, vcpu_info[0].arch.cr2),
                     offsetof(shared_info, evtchn_pending),
                     offsetof(shared_info, evtchn_mask),
                     EVTCHN_2L_NR_CHANNELS};
constexpr Abi kAbi32{Width::k32,
                     4,
                     offsetof(shared_info_x86_32, vcpu_info[0].evtchn_upcall_pending),
                     offsetof(shared_info_x86_32, vcpu_info[0].evtchn_upcall_mask),
                     offsetof(shared_info_x86_32, vcpu_info[0].evtchn_pending_sel),
                     offsetof(shared_info_x86_32, vcpu_info[0].arch.cr2),
                     offsetof(shared_info_x86_32, evtchn_pending),
                     offsetof(shared_info_x86_32, evtchn_mask),
                     32 * 32};  // EVTCHN_2L_NR_CHANNELS with the width's unsigned long

// Pending and mask are adjacent: one 16-bit load tests both (Xen x86_64/entry.S, test_guest_events).
static_assert(kAbi64.upcall_mask == kAbi64.upcall_pending + 1 && kAbi32.upcall_mask == kAbi32.upcall_pending + 1);
static_assert(sizeof(shared_info_x86_32) == 2344 && sizeof(shared_info) == 3136);

}  // namespace

const Abi& abi_of(Width width) { return width == Width::k64 ? kAbi64 : kAbi32; }

}  // namespace framefold
