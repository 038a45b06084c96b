// What differs between the two widths of the PV interface, as data: one table a width, from Xen's public headers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "image/width.hpp"

namespace framefold {

/// Offsets in struct shared_info (whose first member is vcpu_info[0]) and sizes, in bytes.
struct Abi {
  Width width;
  unsigned word;                 // bytes of a machine word
  std::uint32_t upcall_pending;  // vcpu_info.evtchn_upcall_pending
  std::uint32_t upcall_mask;     // vcpu_info.evtchn_upcall_mask
  std::uint32_t pending_sel;     // vcpu_info.evtchn_pending_sel, one word
  std::uint32_t cr2;             // vcpu_info.arch.cr2
  std::uint32_t evtchn_pending;  // bitmap of words
  std::uint32_t evtchn_mask;     // bitmap of words
  std::uint32_t ports;           // EVTCHN_2L_NR_CHANNELS of the width
};
const Abi& abi_of(Width width);

/// To what a bounce frame's top is rounded down, in bytes (Xen x86_64/entry.S, create_bounce_frame; the compat one does
/// not).
constexpr std::uint64_t bounce_frame_alignment(Width width) { return width == Width::k64 ? 16 : 1; }

/// Bytes of a bounce frame below RIP, the lowest word that a return takes: the error code, and on 64-bit R11 and RCX
/// (create_bounce_frame).
constexpr std::uint64_t below_return_frame(Width width, bool error_code) {
  return width == Width::k64 ? (error_code ? 24 : 16) : (error_code ? 4 : 0);
}

/// RFLAGS bits (SDM Vol. 1, figure 3-8).
namespace rflags {
inline constexpr std::uint64_t kFixed = 1U << 1;
inline constexpr std::uint64_t kTf = 1U << 8;
inline constexpr std::uint64_t kIf = 1U << 9;
inline constexpr std::uint64_t kDf = 1U << 10;
inline constexpr std::uint64_t kIopl = 3U << 12;
inline constexpr std::uint64_t kNt = 1U << 14;
inline constexpr std::uint64_t kRf = 1U << 16;
inline constexpr std::uint64_t kVm = 1U << 17;
inline constexpr std::uint64_t kAc = 1U << 18;
/// X86_EFLAGS_ALL: every bit that is defined (Xen asm/x86-defns.h).
inline constexpr std::uint64_t kAll = 0x3f7fd5;
/// The guests' own NMI marker, bit 31 (a convention of theirs; neither Xen nor a CPU sets it).
inline constexpr std::uint64_t kNmiMarker = 1U << 31;
}  // namespace rflags

}  // namespace framefold
