// The smallest scenario that shows the same finding, and what each line of it contributes.
//
// A scenario is smaller with fewer arrivals; then with fewer things that are not plain (its context's, its arrivals',
// its handlers'); then with plainer ones; then with arrivals that come earlier (ScenarioOrder). The search follows that
// order, so that different inputs end in the same scenario:
//
//   1. Reduce: leave out, make plain, move earlier, one thing at a time, for as long as something can go. What is left
//      of the arrivals keeps its distances, or its places.
//   2. Trade, where more than two arrivals are left: one of them for something else that could bring the same about, in
//      every context.
//   3. Search: every smaller context with up to two arrivals of every kind, in order. Where the cause is the boundary
//      of the last arrival, that one is tried there and the first everywhere; else one alone everywhere, two where the
//      arrivals of the reduced scenario are and near to each other.
//   4. Again, until nothing changes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "run/oracle.hpp"

namespace framefold {

/// What has to stay: a signature, and whether it is known, so that a new bug does not end as a known one at the same
/// place. By which row it is known does not matter: several may be of one signature, for the contexts that it shows in.
struct MinimizeTarget {
  std::string signature;
  bool known = false;
};

struct Minimized {
  Scenario scenario;
  std::uint64_t judged = 0;  // scenarios that it took
};

/// The finding of a verdict that shows `target`, and that no other new finding comes before; nullptr where none does.
const Finding* find_target(const Entry& entry, const Verdict& verdict, const MinimizeTarget& target);

/// Deterministic: depends on the scenario and the target only. `scenario` shows the target. `progress` is told how many
/// scenarios were judged.
Minimized minimize(Oracle& oracle, const Scenario& scenario, const MinimizeTarget& target,
                   const std::function<void(std::uint64_t)>& progress = {});

/// The scenario as TOML, without the lines that say what is so anyway; each line that is left has a comment that says
/// what happens without it. Reads back as the same scenario.
std::string annotated_toml(Oracle& oracle, const Scenario& scenario, const MinimizeTarget& target,
                           const std::string& explanation = {});

}  // namespace framefold
