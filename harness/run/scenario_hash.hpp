// Hashes by which caches find what they keep of a scenario. They take what differs most; equality decides.
#pragma once

#include <cstdint>

#include "scenario/scenario.hpp"

namespace framefold {

std::uint64_t hash_of_context(const Context& context);
/// Of the context and the arrivals.
std::uint64_t hash_of(const Scenario& scenario);

}  // namespace framefold
