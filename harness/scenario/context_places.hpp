// Where a context that is not in the region is interrupted: on a page above any image, or on one below. Code that asks
// only whether RIP is below its region's end, or only whether it is above its start, takes one of the two for its own.
//
// On 64-bit the highest bits of RIP count: the page above has them set, and some places are *twins* of the region:
// their lower half is that of an address in it, the upper is not. Code that keeps or compares less than all of RIP is
// seen. All lie in the lower half of the address space: Unicorn 2.1.1 fetches from no address of 52 bits or more, but
// with UC_TLB_VIRTUAL.
#pragma once

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// Values of `place_offset` there: kResumePlaces bytes of the resume page, on 64-bit from kFirstTwin on twins of the
/// region instead; then a few of the low page, which is one more answer to one question.
inline constexpr unsigned kFirstTwin = kResumePlaces / 2;
inline constexpr unsigned kLowPlaces = 16;
inline constexpr unsigned kContextPlaces = kResumePlaces + kLowPlaces;

/// A page, of which contexts use the first kResumePlaces bytes.
inline constexpr std::uint64_t kResumePageSize = 4096;

/// On 32-bit above what kernels are linked to (Linux from 0xc0000000 on) and below what Xen keeps there
/// (HYPERVISOR_VIRT_START_PAE, arch-x86/xen-x86_32.h). Bit 31 of RIP is set as theirs is, so that code which clears it
/// where it meant a flag of another word is seen.
constexpr GuestAddress resume_page(Width width, GuestMode mode) {
  if (width == Width::k32) return {0xf4024000};
  return mode == GuestMode::kernel ? GuestAddress{0x7fff'f402'4000} : GuestAddress{0x7ffd'f402'4000};
}

/// 4 GiB each, between a user's stack and the resume page, and below that stack.
constexpr GuestAddress twins(GuestMode mode) {
  return mode == GuestMode::kernel ? GuestAddress{0x7ffe'0000'0000} : GuestAddress{0x7ffc'0000'0000};
}
inline constexpr std::uint64_t kTwinsSize = 1ULL << 32U;

/// The twin of the region's first byte.
inline GuestAddress twin_of_region(const Entry& entry, GuestMode mode) {
  return twins(mode) + entry.critical.begin.value % kTwinsSize;
}

/// Below what images are linked to, framefold's own links included (image/link_objects.cpp).
inline constexpr GuestAddress kLowPage{0x000e0000};
inline constexpr std::uint64_t kLowPageSize = 4096;

/// Whether the image leaves room for it: else the resume page stands for it.
inline bool has_low_page(const Entry& entry) {
  for (const LoadSegment& segment : entry.segments) {
    if (segment.address < kLowPage + kLowPageSize) return false;
  }
  return true;
}

/// The place that a `place_offset` says, or what a handler writes as RIP.
inline GuestAddress place_at(unsigned offset, GuestMode mode, const Entry& entry) {
  const unsigned on_page = offset % kResumePlaces;
  if (offset >= kResumePlaces && has_low_page(entry)) return kLowPage + on_page;
  if (entry.width() == Width::k64 && on_page >= kFirstTwin) return twin_of_region(entry, mode) + (on_page - kFirstTwin);
  return resume_page(entry.width(), mode) + on_page;
}

/// Whether a context resumes there that the vCPU runs in kernel mode: one of the kernel's, or, where entry code has
/// returned in the wrong mode, a user's. (User mode resumes wherever it is.)
inline bool is_context_place(GuestAddress address, const Entry& entry) {
  if (address - kLowPage < kLowPageSize) return has_low_page(entry);
  for (const GuestMode mode : {GuestMode::kernel, GuestMode::user}) {
    if (address - resume_page(entry.width(), mode) < kResumePageSize) return true;
    if (entry.width() == Width::k64 && address - twins(mode) < kTwinsSize) return true;
  }
  return false;
}

}  // namespace framefold
