// The plain choices that an entry leaves, each once: what seeds, directed tests and explorations start from.
#pragma once

#include <vector>

#include "scenario/scenario.hpp"

namespace framefold {

/// Makes a scenario canonical, and adds it unless it is there.
void add_once(std::vector<Scenario>& scenarios, Scenario scenario, const Entry& entry);

/// Every vector × mode × stack × mask that exists. No arrivals; registers hold their tags.
std::vector<Scenario> plain_contexts(const Entry& entry);

/// One arrival of each kind, exception vector and pending value, at distance 0.
std::vector<Arrival> all_arrivals(const Entry& entry);

}  // namespace framefold
