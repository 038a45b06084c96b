// Where a context that is not in the region is interrupted: on a page above any image, or on one below. Code that asks
// only whether RIP is below its region's end, or only whether it is above its start, takes one of the two for its own.
#pragma once

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// Values of `place_offset` there: kResumePlaces bytes of the resume page, then a few of the low page, which is one
/// more answer to one question.
inline constexpr unsigned kLowPlaces = 16;
inline constexpr unsigned kContextPlaces = kResumePlaces + kLowPlaces;

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

}  // namespace framefold
