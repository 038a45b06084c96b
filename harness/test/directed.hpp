// Scenarios in order instead of at random: every context of an entry, with every arrival at every boundary.
#pragma once

#include <functional>

#include "run/oracle.hpp"

namespace framefold::test {

/// Returns false to end the enumeration.
using Visit = std::function<bool(const Scenario&, const Verdict&)>;

/// Judges, in this order: each context as it is; each with one arrival of each kind, vector and pending value at each
/// distance until it is not reached any more, and the same with an event at that boundary as well; each with a first
/// arrival at some distances and an event at each distance behind it; and for contexts that an event interrupted, three
/// events. False where `visit` ended it.
bool for_each_directed(Oracle& oracle, const Visit& visit);

/// Judges random scenarios, each made from an empty one by a few mutations. Deterministic in the seed.
bool for_each_random(Oracle& oracle, std::uint64_t seed, std::uint64_t count, const Visit& visit);

}  // namespace framefold::test
