// What instructions show without being run: through which data the code reaches the event bytes, what it compares
// addresses with.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "image/guest_address.hpp"
#include "image/instruction.hpp"
#include "image/width.hpp"

namespace framefold {

/// Through which word or structure code reaches evtchn_upcall_pending and evtchn_upcall_mask.
struct VcpuInfoClue {
  GuestAddress address;
  bool pointer = false;  // a word that holds the address; otherwise the structure itself
  unsigned uses = 0;
  GuestAddress seen_at;  // first instruction that shows it
};

/// Best first. Words that are loaded and then used to reach a byte at offset 0 or 1, and bytes at `address + 1` that
/// are stored to; `address` in [data.begin, data.end) of one of `data`.
std::vector<VcpuInfoClue> vcpu_info_clues(std::span<const Instruction> code, Width width,
                                          std::span<const GuestRange> data);

/// The general-purpose register that a plain load or move writes.
std::optional<Gpr> loaded_register(const Instruction& instruction, Width width);
/// The same, and one that an addition makes a pointer of: a base, to an index.
std::optional<Gpr> pointed_by(const Instruction& instruction, Width width);

/// Whether any instruction goes through this segment.
bool uses_segment(std::span<const Instruction> code, Segment segment);

/// The first instruction that reads the word at this fixed address.
std::optional<GuestAddress> reader_of(std::span<const Instruction> code, GuestAddress address);

/// A comparison of a register or of memory with a constant.
struct Comparison {
  GuestAddress at;
  std::uint64_t constant =
      0;  // what `cmp` or `sub` holds; for RIP-relative code what `lea` made for the `cmp` behind it
};
std::vector<Comparison> comparisons(std::span<const Instruction> code, Width width);

/// Whether an instruction, branches aside, holds this number: as a displacement, an immediate, or made from RIP.
bool mentions(std::span<const Instruction> code, Width width, std::uint64_t number);

}  // namespace framefold
