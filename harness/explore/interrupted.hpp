// What code looks at of what it interrupted: what NMIs, exceptions and events start is explored once for all states
// that it may interrupt alike (chain.hpp), and only what it does not look at is alike.
//
// It is explored with general-purpose registers that hold values that nothing else has, so that a copy of one shows as
// what it is. Code that only ever copies them does the same with any others (value_reads.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "image/value_reads.hpp"
#include "run/snapshot.hpp"

namespace framefold {

enum class Look : std::uint8_t {
  stack = 1,   // where RSP is, other than by stacks' alignment: a stack pointer, whatever it was made from
  flags = 2,   // status flags, ID and AC
  memory = 4,  // what was live on a stack is read or overwritten, as where what was interrupted is folded
  values = 8,  // other registers, or memory in another way: all of the state
};

/// Words of live memory, from RSP up, that may be looked at one by one: more than any frame has.
inline constexpr std::uint32_t kFrameWords = 40;

/// What is looked at.
struct Looks {
  std::uint8_t set = 0;             // of Look, one bit each
  std::set<std::uint64_t> borders;  // of RIP: on which side of each it lies
  std::set<std::uint32_t> words;    // of live memory: numbers, from RSP up, below kFrameWords

  bool has(Look look) const { return (set & static_cast<std::uint8_t>(look)) != 0; }
  void add(Look look) { set = static_cast<std::uint8_t>(set | static_cast<std::uint8_t>(look)); }
  void add(const Looks& other) {
    set = static_cast<std::uint8_t>(set | other.set);
    borders.insert(other.borders.begin(), other.borders.end());
    words.insert(other.words.begin(), other.words.end());
  }
  bool none() const { return set == 0 && borders.empty() && words.empty(); }
  /// Without what is in `known`.
  void remove(const Looks& known);
};

/// The state that was interrupted.
struct Interrupted {
  Registers registers;  // with opaque values
  LiveStacks live{};
  std::optional<StackId> stack;                    // that it was on
  bool folds = false;                              // what was live there may be read: each word shows what it is
  std::map<std::uint64_t, std::uint64_t> shifted;  // what was made of its RIP by adding: what was added
  std::size_t level = 0;                           // of its opaque values
};

/// What makes opaque values differ: which of them are nested, and of which of two that were explored they are.
struct OpaqueNumber {
  std::size_t level = 0;
  bool others = false;
};

/// With opaque values in general-purpose registers other than RSP.
Registers with_opaque_values(Registers registers, Width width, OpaqueNumber number);

/// The same in a snapshot from which the code may fold: what the youngest activation interrupted is the same value
/// there, in a register, or on the stack `stack`, as far up as a frame may reach; but for the words of `exact`. Gives a
/// key of where what is, and of the words of `exact`.
std::uint64_t hide_interrupted(Snapshot& snapshot, StackId stack, GuestRange range, const Looks& exact, Width width,
                               OpaqueNumber number);

class InterruptedReads {
 public:
  InterruptedReads(const Entry& entry, const Guest& guest);

  /// Adds what the instruction at `boundary`, or the function that is modelled there, looks at. `registers` are those
  /// there.
  void look(const Boundary& boundary, const Registers& registers, const Execution& execution, Interrupted& of,
            Looks& looks) const;
  /// Stacks whose pointers are the same modulo this are alike to deliveries, to handlers, and to code that rounds.
  std::uint64_t stack_alignment() const { return stack_alignment_; }

 private:
  /// A word that an instruction reads, and what of it.
  struct Word {
    std::uint64_t value = 0;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    bool address = false;
  };
  struct Words;
  struct Place;
  void read_registers(const ValueReads& reads, const Place& place, Words& words) const;
  void read_memory(const ValueReads& reads, const Instruction& instruction, const Place& place, Words& words) const;
  void read_words(GuestAddress at, std::uint64_t size, const Place& place, Words& words) const;
  std::uint64_t base_of(GuestAddress address, const Place& place) const;
  bool is_aligned(GuestAddress address, const Place& place) const;
  void look_at(const ValueReads& reads, const Words& words, const Place& place) const;
  void look_at_place(const ValueReads& reads, const Words& words, std::uint64_t value, const Place& place) const;
  void look_at_stack(std::uint64_t first, std::uint64_t words, const Place& place) const;
  void look_at_arguments(const Activation& youngest, const Place& place) const;
  void look_at_hypercall(const Place& place) const;
  void look_at_interrupted(GuestAddress address, std::uint64_t size, bool read, const Place& place) const;
  bool is_interrupted_memory(GuestAddress address, std::uint64_t size, const Place& place) const;
  bool is_in_stack(std::uint64_t value, const Guest& guest) const;

  const Entry& entry_;
  FrameLayout frame_;
  unsigned word_;
  std::uint64_t stack_alignment_;
  std::vector<ValueReads> reads_;                 // by boundary index
  std::vector<const Instruction*> instructions_;  // by boundary index; none at the handler's return, and where a
                                                  // function starts that is not executed
};

}  // namespace framefold
