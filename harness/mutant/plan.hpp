// Faults to plant in an image, one at a time: in the fixup table, in each instruction of the entry code, and in the
// region's labels as the code uses them. All are patches that change no length, so that every symbol, and with it every
// `known` row, stays where it is.
//
// Branches are inverted or removed, never led elsewhere: what they would lead to is mostly the middle of an
// instruction.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace framefold {

struct BytePatch {
  GuestAddress address;
  std::vector<std::uint8_t> bytes;
};

struct Mutant {
  std::string fault;    // "removed", "displacement +8", "table 0x30 -> 0x38", "scrit one instruction later"
  GuestAddress place;   // instruction; for the table, the boundary that the byte is for
  std::string text;     // that instruction
  std::string becomes;  // the patched one; empty for the table and labels
  bool table = false;
  std::vector<BytePatch> patches;
};

/// In the order of kinds, then addresses.
std::vector<Mutant> plan_mutants(const Entry& entry);

/// The bytes of the image from `address` on.
std::span<const std::uint8_t> image_bytes(const Entry& entry, GuestAddress address, std::size_t size);

}  // namespace framefold
