// What a reference run replays.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>

#include "run/execution.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// The arrivals that a nested run reached, in order, without their distances and without exceptions, which belong to
/// the instruction that they hit.
///
/// Where events are on in the context, no port is masked and no handler does more than acknowledge, each upcall of the
/// resumed context starts from the same state and, where nothing is wrong, comes back to it. Equal ones are replayed
/// once then, and under other ports: a guest's entry code does not see them. (Not where entry code looks at a counter
/// of its own: of two upcalls the second may be another one.)
struct Replay {
  Scenario scenario;
  bool merged = false;
  std::array<std::uint8_t, kMaxArrivals> place{};  // where merged: index in `scenario` of each arrival that is in it
};

Replay replay_of(const Scenario& scenario, const Outcome& nested, bool may_merge = true);

/// Whether no instruction of the entry looks at a described counter, other than by counting.
bool has_upcalls_alike(const Entry& entry);

/// The ports of `scenario` that were handled, from those that the reference run of `replay` handled.
std::bitset<kPortCount> handled_ports(const Replay& replay, const Scenario& scenario, const Outcome& nested,
                                      const std::bitset<kPortCount>& replayed);

}  // namespace framefold
