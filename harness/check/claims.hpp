// What a description says that no code shows: what its compiler was told, what Xen may write, what is meant. A check
// cannot hold it against the code, so a finding that rests on it says so, with the line.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "image/image.hpp"
#include "run/violation.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

struct Claim {
  std::string key;    // "handler.stack_alignment"
  std::string value;  // "16", as the description would write it
  std::string place;  // "my/entry.toml:34"; where the description does not say it, "my/entry.toml does not say it"
};

/// "handler.stack_alignment = 16 (my/entry.toml:34)"
std::string to_text(const Claim& claim);

/// What findings of a kind rest on besides the code. Nothing where all that they rest on can be checked.
std::optional<Claim> claim_behind(ViolationKind kind, const Entry& entry);

/// All that a finding of this kind and cause, which `scenario` shows, rests on besides the code, in one text; empty
/// where it rests on nothing else. Of the exceptions of `scenario`, `masks_events` counts where with its other value
/// the scenario shows no such finding, likewise what is never called; and a value that the code looks at and nobody
/// says.
std::string rests_on(ViolationKind kind, GuestAddress cause, const Entry& entry, const Scenario& scenario);

/// All of an entry's: in the order of the kinds, then each exception's `masks_events`, what is never called, what
/// functions return, and the counters.
std::vector<Claim> claims_of(const Entry& entry);

/// What of all that may be entered is judged, a line each: the modes, and what Xen enters. A proof is of these.
std::vector<std::string> scope_of(const Entry& entry);

}  // namespace framefold
