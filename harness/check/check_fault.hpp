// What a fault in a plain context says of the description: which line to look at.
#pragma once

#include <string>

#include "check/complaint.hpp"
#include "check/data_use.hpp"
#include "run/execution.hpp"

namespace framefold {

/// A plain context's run, which a guest-fault ended.
struct FaultyRun {
  Execution& execution;
  const Vector& vector;
  std::string context;  // "event, user"
  const DataUse& use;
  std::set<GuestAddress> ran;  // of the entry's instructions
};
/// Throws InputError that names the line.
[[noreturn]] void fail_with_fault(const FaultyRun& run, const Violation& violation);

/// The key that says how the code finds its vcpu_info.
std::string vcpu_info_key(const Description& description);

/// An address outside the code, by the nearest symbol of the image that precedes it.
std::string data_name(const Entry& entry, GuestAddress at);

}  // namespace framefold
