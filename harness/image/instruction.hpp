// What the run needs to know of each instruction of the entry code, decoded once by Capstone when an entry is loaded.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/guest_address.hpp"
#include "image/registers.hpp"

namespace framefold {

/// What makes a boundary more than a count.
enum class InstructionFlag : std::uint16_t {
  none = 0,
  block_leader = 1 << 0,  // target of a branch, or behind one: where an edge of the guest's control flow ends
  returns = 1 << 1,       // iret, iretq
  traps = 1 << 2,         // syscall, int $0x82: taken at the boundary, never executed by the emulator
  calls = 1 << 3,         // call
  stores = 1 << 4,        // writes memory through an explicit operand that is not rsp + a displacement
  loads = 1 << 5,         // reads memory through an explicit operand that is not rsp + a displacement >= 0
  moves_stack =
      1 << 6,  // changes RSP other than by push, call, pop (not `pop %rsp`), ret or by adding a positive immediate
  shadows = 1 << 7,         // mov ss, pop ss: no asynchronous arrival before the next instruction
  repeats = 1 << 8,         // rep string instruction: each iteration is a boundary
  branches = 1 << 9,        // jmp, jcc, ret, iret, loop: the next instruction may be another
  loads_segment = 1 << 10,  // may change a segment register: mov, pop, lds and its kin; not far branches, not iret
  reads_time = 1 << 11,     // rdtsc, rdtscp
  reads_random = 1 << 12,   // rdrand, rdseed
};
constexpr InstructionFlag operator|(InstructionFlag a, InstructionFlag b) {
  return static_cast<InstructionFlag>(static_cast<std::uint16_t>(a) | static_cast<std::uint16_t>(b));
}
constexpr bool has(InstructionFlag set, InstructionFlag flag) {
  return (static_cast<std::uint16_t>(set) & static_cast<std::uint16_t>(flag)) != 0;
}

/// A memory operand: segment base + base + index * scale + displacement, cut to the address size. Explicit, or what
/// `xlat`, `leave` and `enter` read.
struct MemoryOperand {
  std::optional<Segment> segment;  // an override, or nothing for the default (base 0)
  std::optional<Gpr> base;
  std::optional<Gpr> index;
  std::optional<Gpr> bit_offset;  // of `bt` and its kin: signed, in bits, from the operand that stands here
  bool byte_index = false;        // xlat: of the index, the lowest byte
  bool stack_slot = false;        // RSP + a displacement, and nothing that could lead elsewhere
  std::uint8_t scale = 1;
  std::uint8_t address_size = 8;  // bytes: 8, 4 or 2
  bool rip_relative = false;      // then the displacement is from the next instruction
  std::int64_t displacement = 0;  // `pop` to memory based on RSP: the increment, which comes first, is in it
  std::uint16_t size = 0;         // bytes accessed (for a string instruction: of one iteration)
  bool read = false;
  bool write = false;
};

struct Instruction {
  GuestAddress address;
  std::uint8_t length = 0;
  InstructionFlag flags = InstructionFlag::none;
  std::uint8_t memory_count = 0;
  std::array<MemoryOperand, 2> memory;  // every access, RSP-based ones too, but no push and pop; two for movs and cmps
  std::optional<GuestAddress> target;   // of a direct branch or call
  std::uint32_t lowers_stack = 0;       // bytes by which it moves RSP down: an immediate, pusha, enter; 0 for others
  /// Which registers it changes, if it changes any and nothing but memory besides: of instructions of which that is
  /// plain, for who would not read all of them behind each.
  std::optional<RegisterSet> writes;
  std::string text;  // AT&T syntax, for people

  std::span<const MemoryOperand> accesses() const { return {memory.data(), memory_count}; }
  GuestAddress next() const { return address + length; }
};

/// Whether the instruction behind this one may be the next: not behind a jump or a return. A call comes back.
bool falls_through(const Instruction& instruction);

/// In what is on the stack: never dead, and no data. How far up that goes is what lies above every stack pointer of
/// the guest's.
constexpr bool is_live_slot(const MemoryOperand& operand) {
  constexpr std::int64_t kOnEveryStack = 256;
  return operand.stack_slot && operand.displacement >= 0 && operand.displacement + operand.size <= kOnEveryStack;
}

/// Where `operand` of an instruction points before it executes. `next` is the address of the instruction behind it;
/// `read` gives a register's value, `base_of` a segment's base.
template <typename Read, typename BaseOf>
constexpr GuestAddress effective_address(const MemoryOperand& operand, GuestAddress next, Read read, BaseOf base_of) {
  auto address = static_cast<std::uint64_t>(operand.displacement);
  if (operand.rip_relative) address += next.value;
  if (operand.base) address += read(*operand.base);
  if (operand.index)
    address += (operand.byte_index ? read(*operand.index) & 0xff : read(*operand.index)) * operand.scale;
  if (operand.bit_offset) {  // SDM Vol. 2, BT: as many whole operands up or down
    const unsigned unused = 64 - 8 * operand.size;
    const auto bits = static_cast<std::int64_t>(read(*operand.bit_offset) << unused) >> unused;
    address += static_cast<std::uint64_t>((bits >> 3) & -std::int64_t{operand.size});
  }
  if (operand.address_size < 8) address &= (std::uint64_t{1} << (8 * operand.address_size)) - 1;
  if (operand.segment) address += base_of(*operand.segment);
  return {address};
}

/// The same, with given registers. The bases of FS and GS are the 64-bit guest's; a 32-bit guest's own segments are not
/// seen here.
constexpr GuestAddress effective_address(const MemoryOperand& operand, const Registers& registers, GuestAddress next) {
  return effective_address(
      operand, next, [&](Gpr gpr) { return registers[gpr]; },
      [&](Segment segment) {
        if (segment == Segment::gs) return registers.gs_base;
        return segment == Segment::fs ? registers.fs_base : 0;
      });
}

/// Decodes `bytes` as the code at `address`, restarting at each of `starts` (sorted) so that data between functions
/// does not shift what follows; bytes that do not decode are skipped one by one. Where a direct branch leads into the
/// middle of an instruction, what is there is decoded too. Sets block leaders, but for the entry
/// points of the code: load_entry knows and sets those.
std::vector<Instruction> decode(Width width, GuestAddress address, std::span<const std::uint8_t> bytes,
                                std::span<const GuestAddress> starts);

}  // namespace framefold
