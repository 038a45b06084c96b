// Hashes by which caches find what they keep of a scenario; equality decides. What a hash leaves out does not keep two
// scenarios apart: each would drive the other from its place.
#pragma once

#include <cstdint>

#include "scenario/scenario.hpp"

namespace framefold {

/// Of everything but the arrivals.
std::uint64_t hash_of_beginning(const Scenario& scenario);
/// Of that, and of the arrivals' kinds, ports and values.
std::uint64_t hash_of(const Scenario& scenario);

}  // namespace framefold
