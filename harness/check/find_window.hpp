// The critical region of an entry whose description gives no labels: where events are unmasked on the way out, seen by
// running it.
#pragma once

#include <memory>

#include "image/image.hpp"

namespace framefold {

/// The entry with its `critical` region, if it has none yet: around the instructions at which a window is open while
/// each vector is delivered once to plain contexts. Where they lie too far apart to be one way out (kMostCritical
/// bytes), around the longest part of them. Empty where a window is open nowhere. What else the code does there is not
/// looked at.
std::unique_ptr<const Entry> with_window(std::unique_ptr<Entry> entry);

/// Far more than the ways out of entry code take, and each byte of it is a place of contexts.
inline constexpr std::uint64_t kMostCritical = 1024;

}  // namespace framefold
