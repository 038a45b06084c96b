// Code that looks at what a function has returned, where the description does not say what that is. It may be anything,
// so nothing can be said of such code: what it does with the one value that framefold puts there shows nothing.
//
// Behind such a function RAX has a value that nothing else has. Copies carry it (value_reads.hpp); whatever else reads
// it, is code that looks. Code that only ever copies it does the same with any other value.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "check/check_nesting.hpp"
#include "image/image.hpp"
#include "image/value_reads.hpp"
#include "run/guest.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

class UnsaidValues {
 public:
  explicit UnsaidValues(const Entry& entry);

  /// Whether the entry's instruction number `index`, which is next, looks at one.
  bool are_seen_by(std::size_t index, const Guest& guest) const {
    return !reads_[index].none() && is_seen(index, guest);
  }

 private:
  bool is_seen(std::size_t index, const Guest& guest) const;
  bool is_in_memory(const Instruction& instruction, const Guest& guest) const;
  /// Whether one of `size` bytes at `offset` of the word `value` is of an unsaid value.
  bool shows(std::uint64_t value, std::uint64_t offset, std::uint64_t size) const;

  const Entry& entry_;
  unsigned word_;
  std::vector<ValueReads> reads_;
};

/// Each of `plain` as it is, and with one event at each boundary. Throws InputError that names the function's row.
void check_unsaid_values(const Entry& entry, std::span<const PlainRun> plain);

/// A place where exploring has seen such code, and the scenario that leads there, where there is one.
struct UnsaidValueSeen {
  GuestAddress at;
  std::optional<Scenario> scenario;
};

/// Throws InputError that names the function's row.
[[noreturn]] void fail_with_unsaid_value(const Entry& entry, const UnsaidValueSeen& seen);

}  // namespace framefold
