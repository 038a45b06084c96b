// What an exploration has shown, as one HTML page: a map of boundaries and contexts an entry.
#pragma once

#include <span>
#include <string>

#include "explore/exploration.hpp"

namespace framefold {

/// Needs no network, no script and no other file.
std::string explore_page(std::span<const EntryReport> reports, const ExplorationOptions& options);

}  // namespace framefold
