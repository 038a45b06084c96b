// Status flags: which an instruction reads and writes, and what becomes of those that it leaves.
#pragma once

#include <cstdint>
#include <span>

#include "image/decoder.hpp"
#include "image/instruction.hpp"

namespace framefold {

/// What an instruction does with the status flags (SDM Vol. 1, section 3.4.3.1), one bit each.
struct FlagUse {
  enum : std::uint8_t { cf = 1, pf = 2, af = 4, zf = 8, sf = 16, of = 32 };
  std::uint8_t reads = 0;  // to decide by, or to compute with
  std::uint8_t writes = 0;
  bool copies = false;  // all of them, for others to read: pushf
  bool orders = false;  // it sees no more of two words that were compared than their order, as unsigned numbers
};

FlagUse flag_use(const cs_insn& insn);

/// Follows the code behind an instruction for as long as something of what that one leaves in the flags is there. The
/// hypercall page reads none.
class FlagReaders {
 public:
  FlagReaders(std::span<const Instruction> code, std::span<const FlagUse> uses) : code_(code), uses_(uses) {}

  /// Whether all that reads the flags of number `index` sees no more than an order; without `orders`, nothing may.
  bool allow(std::size_t index, bool orders) const { return behind(index, uses_[index].writes, orders, 0); }

 private:
  bool behind(std::size_t index, unsigned live, bool orders, unsigned passed) const;
  bool at(GuestAddress address, unsigned live, bool orders, unsigned passed) const;

  std::span<const Instruction> code_;
  std::span<const FlagUse> uses_;
};

}  // namespace framefold
