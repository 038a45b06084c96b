// The neighbourhood of a scenario: what is like it, and shows the same.
#pragma once

#include "scenario/mutator.hpp"
#include "test/directed.hpp"

namespace framefold::test {

/// The scenario with some registers, flags, the stack pointer's alignment, the place and ports at random, and with a
/// few mutations or none.
Scenario vary(Scenario scenario, const Entry& entry, Random& random);

/// The scenario without one of its arrivals; those behind it stay where they are.
Scenario without_arrival(const Scenario& scenario, std::size_t index, const Entry& entry);

/// Judges the scenario, then the scenario with each of its arrivals at each distance while the others keep theirs, then
/// with the first three of them some boundaries sooner or later in every way (so that it shows what it is for in code
/// that is some instructions longer), then `count` variations. False where `visit` ended it.
bool for_each_around(Oracle& oracle, const Scenario& scenario, std::uint64_t seed, std::uint64_t count,
                     const Visit& visit);

/// The scenario with as few arrivals and actions as show what `shows` looks for, which it does itself.
Scenario reduce(Oracle& oracle, Scenario scenario, const std::function<bool(const Verdict&)>& shows);

}  // namespace framefold::test
