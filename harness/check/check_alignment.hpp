// How the stack is aligned where handlers are called.
#pragma once

#include <cstdint>
#include <span>

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// Delivers each of `plain` with other stack pointers as well. Gives the bytes that RSP + 8 (32-bit: ESP + 4) was a
/// multiple of at every handler's first instruction, at most 64. Throws InputError that names handler.stack_alignment
/// where that asks for more than any ABI does, and the code does not keep it. Less than what an ABI asks for is a
/// finding (`handler-abi`).
std::uint32_t check_alignment(const Entry& entry, std::span<const Scenario> plain);

}  // namespace framefold
