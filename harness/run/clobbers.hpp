// What modelled C functions leave where they may leave anything.
#pragma once

#include <cstdint>

#include "image/width.hpp"

namespace framefold {

// Both halves are the same: code may look at one.
inline constexpr std::uint64_t kClobber64 = 0xc10bbe70c10bbe70;
inline constexpr std::uint64_t kClobber32 = 0xc10bbe70;

/// What is in RAX behind a function whose description does not say what it returns. Nothing else has this value.
constexpr std::uint64_t unsaid_value(Width width) { return width == Width::k64 ? kClobber64 : kClobber32; }

}  // namespace framefold
