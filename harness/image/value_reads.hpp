// Which values an instruction does more with than copy them: those that what the code does may depend on.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "image/instruction.hpp"

namespace framefold {

/// Bytes of a general-purpose register.
struct RegisterRead {
  Gpr gpr = Gpr::rax;
  std::uint8_t offset = 0;
  std::uint8_t size = 0;
  bool address = false;  // only to find a memory operand
};

/// Copies are moves, pushes, pops and exchanges of whole words, string moves, and popf and iret of flags. A word at a
/// displacement that is no multiple of its size is parts of two. What `xor %eax, %eax` and its kin read does not
/// matter.
struct ValueReads {
  static constexpr std::size_t kMost = 8;
  std::array<RegisterRead, kMost> registers{};  // RSP left out
  std::uint8_t count = 0;
  bool memory = false;  // what its memory operands read
  bool stack = false;   // the word at RSP, where it goes
  bool flags = false;   // status flags; not CF alone, where code since the last call or label has written it
  // CF, which nothing has written since the call of the function here, nor is there a label between.
  std::optional<GuestAddress> carry_of;
  bool stack_pointer = false;  // RSP, other than to find a memory operand
  std::uint8_t pops_part = 0;  // bytes, of a word at RSP
  std::uint8_t popped = 0;     // words at RSP that it uses, as ret, iret and popf do
  /// How many words, of those that it reads, may be stack pointers without it telling apart where the stack is: what
  /// comes out is what went in, or a constant off, or rounded down to a stack's alignment, and no instruction looks at
  /// the flags of that.
  std::uint8_t shifts = 0;
  std::optional<std::int64_t> adds;  // the constant: what comes out is that and the sum of what is read
  std::optional<std::int64_t> by;    // the same, of one register
  std::uint8_t rounds_to = 0;        // bytes, where it rounds down
  /// All that can be told from it, and from what looks at its flags, is the order of the two words that it compares, as
  /// unsigned numbers.
  bool compares = false;
  std::optional<std::int64_t> with;  // the constant, where one of the two is one

  std::span<const RegisterRead> view() const { return {registers.data(), count}; }
  bool none() const { return count == 0 && !memory && !stack && !flags && !carry_of; }
};

/// Of each of `code`, which was decoded from `bytes` at `address`.
std::vector<ValueReads> value_reads(Width width, GuestAddress address, std::span<const std::uint8_t> bytes,
                                    std::span<const Instruction> code);

}  // namespace framefold
