// A scenario that does not show its bug any more: is the bug gone, or has it only moved?
//
// Arrivals are counted in boundaries. An instruction more or less on the way to one, and it comes at another place than
// it did: that the scenario shows nothing then says nothing about the bug.
#pragma once

#include <optional>
#include <string>

#include "run/oracle.hpp"

namespace framefold {

struct Moved {
  std::string signature;  // as it was, or another one of its bucket
  Scenario scenario;      // which shows it
};

/// Looks for a signature, else for its bucket, with each of the first three arrivals up to eight boundaries earlier or
/// later; what is least away from `scenario` wins. nullopt: gone.
std::optional<Moved> find_moved(Oracle& oracle, const Scenario& scenario, const std::string& signature);

/// "minios-x86_64-table:nmi-masked:scrit+0x7f, with arrivals at distance 59"
std::string to_text(const Moved& moved);

}  // namespace framefold
