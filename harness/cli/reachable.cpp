#include "cli/reachable.hpp"

#include <algorithm>

#include "explore/exploration.hpp"

namespace framefold {

namespace {

void add_explored(const Entry& entry, const ExplorationOptions& chosen, std::vector<ReachableBoundary>& found) {
  ExplorationOptions options = chosen;
  options.second_values = false;
  const std::array<const Entry*, 1> entries{&entry};
  const std::atomic<bool> stop{false};
  const EntryReport report = explore_entries(entries, options, stop, [](std::size_t, std::size_t) {}).front();
  for (std::size_t i = 0; i < found.size(); ++i) {
    found[i].executed = found[i].executed || report.result.covered[i] != 0;
    for (std::size_t kind = 0; kind < kArrivalKindCount; ++kind) {
      found[i].delivered[kind] = found[i].delivered[kind] || report.result.boundaries[i].delivered[kind] != 0;
    }
  }
}

}  // namespace

std::vector<ReachableBoundary> reachable(const Entry& entry, unsigned choices) {
  std::vector<ReachableBoundary> found(boundary_count(entry));
  add_explored(entry, {}, found);
  ExplorationOptions interrupted;
  interrupted.crossing = Crossing::none;
  interrupted.bounds.nmis = interrupted.bounds.exceptions = 1;
  interrupted.bounds.choices = choices;
  add_explored(entry, interrupted, found);
  for (const Vector& vector : entry.vectors) {
    if (const Instruction* instruction = find_instruction(entry, vector.handler)) {
      found[static_cast<std::size_t>(instruction - entry.instructions.data())].executed = false;
    }
  }
  return found;
}

}  // namespace framefold
