// What modelled C functions leave where they may leave anything.
#pragma once

#include <cstdint>

#include "image/width.hpp"

namespace framefold {

// Both halves are the same: code may look at one.
inline constexpr std::uint64_t kClobber64 = 0xc10bbe70c10bbe70;
inline constexpr std::uint64_t kClobber32 = 0xc10bbe70;

/// What is in RAX behind a function whose description does not say what it returns; in each other register that it may
/// overwrite, this and the register's number. Nothing else has these values.
constexpr std::uint64_t unsaid_value(Width width) { return width == Width::k64 ? kClobber64 : kClobber32; }

/// What is in its arguments on the stack, which are a function's own: R15's number, which none overwrites.
constexpr std::uint64_t kOverwrittenArgument = 0xf;
constexpr std::uint64_t overwritten_argument(Width width) { return unsaid_value(width) + kOverwrittenArgument; }

/// Of the status flags, which are all set: zero and negative, as after nothing that entry code computes.
inline constexpr std::uint64_t kClobberedFlags = 0x40 | 0x80;  // ZF, SF

}  // namespace framefold
