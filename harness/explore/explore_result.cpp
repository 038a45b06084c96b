#include "explore/explore_result.hpp"

#include <algorithm>
#include <tuple>

namespace framefold {

void ExploreCounts::add(const ExploreCounts& other) {
  contexts += other.contexts;
  states += other.states;
  transitions += other.transitions;
  folds += other.folds;
  resumptions += other.resumptions;
  deepest_stack = std::max(deepest_stack, other.deepest_stack);
  identity += other.identity;
  shape += other.shape;
}

void BoundaryTally::add(const BoundaryTally& other) {
  states += other.states;
  folds += other.folds;
  for (std::size_t kind = 0; kind < delivered.size(); ++kind) {
    delivered[kind] += other.delivered[kind];
  }
}

void ExploreResult::add(const ExploreResult& other) {
  counts.add(other.counts);
  const auto merge = [](std::vector<std::uint8_t>& to, const std::vector<std::uint8_t>& from) {
    to.resize(std::max(to.size(), from.size()));
    std::transform(from.begin(), from.end(), to.begin(), to.begin(),
                   [](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a | b); });
  };
  boundaries.resize(std::max(boundaries.size(), other.boundaries.size()));
  for (std::size_t i = 0; i < other.boundaries.size(); ++i) {
    boundaries[i].add(other.boundaries[i]);
  }
  merge(covered, other.covered);
  merge(unmasked, other.unmasked);
  known.insert(other.known.begin(), other.known.end());
  for (const auto& [signature, violation] : other.violations) {
    add_path(violations, violation);
  }
  chains.insert(other.chains.begin(), other.chains.end());
  unlike.insert(other.unlike.begin(), other.unlike.end());
  inexpressible.insert(other.inexpressible.begin(), other.inexpressible.end());
  disagreements.insert(disagreements.end(), other.disagreements.begin(), other.disagreements.end());
  if (!unsaid) unsaid = other.unsaid;
  outline.add(other.outline);
  for (const auto& [word, values] : other.values_waiting) {
    values_waiting[word] = std::max(values_waiting[word], values);
  }
  interrupted = interrupted || other.interrupted;
  out_of_memory = out_of_memory || other.out_of_memory;
  cut_short = cut_short || other.cut_short;
  reads_ports = reads_ports || other.reads_ports;
}

void add_path(std::map<std::string, ExploredViolation>& violations, const ExploredViolation& violation) {
  const auto [at, added] = violations.emplace(violation.signature, violation);
  if (added) {
    return;
  }
  const auto common = static_cast<ConditionSet>(at->second.common & violation.common);
  if (shorter(violation, at->second)) {
    at->second = violation;
  }
  at->second.common = common;
}

bool shorter(const ExploredViolation& a, const ExploredViolation& b) {
  const auto length = [](const ExploredViolation& violation) {
    return std::tuple(violation.scenario.arrival_count, violation.scenario.context.vector != 0, violation.boundaries);
  };
  return length(a) < length(b);
}

}  // namespace framefold
