// Code that looks at what a function has left, where the description does not say what that is: what it has returned,
// and registers, flags and arguments that a C function may overwrite. It may be anything, so nothing can be said of
// such code: what it does with the one value that framefold puts there shows nothing.
//
// Behind such a function each of them has a value that nothing else has (run/clobbers.hpp). Copies carry it
// (value_reads.hpp); whatever else reads it, is code that looks. Code that only ever copies it does the same with any
// other value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "check/check_nesting.hpp"
#include "image/image.hpp"
#include "image/value_reads.hpp"
#include "run/guest.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// What a function has left, and nobody has said.
struct UnsaidValue {
  enum class Kind : std::uint8_t { returned, overwritten, argument, flags };
  Kind kind = Kind::returned;
  Gpr gpr = Gpr::rax;  // that held it behind the function
};

class UnsaidValues {
 public:
  explicit UnsaidValues(const Entry& entry);

  /// Whether the entry's instruction number `index` reads anything that may be one.
  bool may_be_seen_by(std::size_t index) const { return !reads_[index].none(); }
  /// The first that it looks at, where it is next. `registers`: general ones and RFLAGS count.
  std::optional<UnsaidValue> find_seen(std::size_t index, const Registers& registers, const Guest& guest) const;

 private:
  std::optional<UnsaidValue> find_in_memory(const Instruction& instruction, const Registers& registers,
                                            const Guest& guest) const;
  /// That of which one of `size` bytes at `offset` of the word `value` is.
  std::optional<UnsaidValue> shown_by(std::uint64_t value, std::uint64_t offset, std::uint64_t size) const;

  const Entry& entry_;
  unsigned word_;
  std::vector<ValueReads> reads_;
};

/// Code that looks at one, whatever else is right: names the function's row. No verdict of it means anything.
class LooksAtUnsaidValue : public InputError {
 public:
  LooksAtUnsaidValue(const InputError& error, bool any) : InputError(error), any_(any) {}
  /// It is what a handler has overwritten, which may be any: what the code does wrong with the one value that is there
  /// is wrong.
  bool may_be_any() const { return any_; }

 private:
  bool any_;
};

/// Each of `plain` as it is, and with one event at each boundary. Throws LooksAtUnsaidValue; and InputError where what
/// a row of `calls` names is reached in another way than by a call. Returns which rows' functions are called.
///
/// `changed` says which register a plain context does not get back, if any. Code that changes what it has saved looks,
/// behind an event, at whatever the interrupted code's registers held; then WrongCode says that it changes it.
std::set<std::size_t> check_unsaid_values(const Entry& entry, std::span<const PlainRun> plain,
                                          const std::string& changed = "");

/// What it would say of this run up to its first violation of `kind`; nothing where the code looks at none.
std::optional<std::string> unsaid_value_behind(const Entry& entry, const Scenario& scenario, ViolationKind kind);

/// Whether such a run looks at one that may not be any value, so that what it shows may be no finding.
bool rests_on_unsaid_value(const Entry& entry, const Scenario& scenario, ViolationKind kind);

/// A place where exploring has seen such code, and the scenario that leads there, where there is one.
struct UnsaidValueSeen {
  GuestAddress at;
  std::optional<Scenario> scenario;
};

/// Throws LooksAtUnsaidValue.
[[noreturn]] void fail_with_unsaid_value(const Entry& entry, const UnsaidValueSeen& seen);

}  // namespace framefold
