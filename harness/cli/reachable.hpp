// What can be reached of an entry, as exploration says: what the coverage of inputs is held against.
#pragma once

#include <array>
#include <vector>

#include "scenario/scenario.hpp"

namespace framefold {

/// Of one boundary.
struct ReachableBoundary {
  bool executed = false;
  std::array<bool, kArrivalKindCount> delivered{};  // whether something of that kind is delivered there
};

/// Explores the entry from all contexts: with events alone, to closure; and with one NMI and one exception on paths of
/// at most `choices` choices, for with them most entries do not close. By boundary index; where a handler stands,
/// nothing is executed. Takes seconds with one choice, and minutes with two.
std::vector<ReachableBoundary> reachable(const Entry& entry, unsigned choices = 1);

}  // namespace framefold
