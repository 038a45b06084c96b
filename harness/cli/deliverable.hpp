// Every context that an entry can be entered from, and everything that can be delivered anywhere in it: what seeds are
// made of, and what a corpus is held to.
#pragma once

#include <set>
#include <vector>

#include "cli/feature_probe.hpp"
#include "scenario/enumerate.hpp"

namespace framefold {

/// Every vector × mode × stack × mask, without and with work asked for, in the region as well where a user can be
/// there. No arrivals; registers hold their tags.
std::vector<Scenario> all_contexts(const Entry& entry);

Scenario with_arrival(const Scenario& scenario, Arrival arrival, std::uint16_t distance);

struct DeliveredAt {
  GuestAddress boundary;
  ArrivalKind kind = ArrivalKind::event;
  friend bool operator<(const DeliveredAt& a, const DeliveredAt& b) {
    return a.boundary != b.boundary ? a.boundary < b.boundary : a.kind < b.kind;
  }
};

/// Adds where the last run's arrivals were delivered; ticks are left out, for they deliver events.
void add_delivered(const FeatureProbe& probe, const Scenario& scenario, std::set<DeliveredAt>& delivered);

/// Everything that can be delivered anywhere.
struct Deliverable {
  std::set<DeliveredAt> all;
  std::vector<Scenario> prefixes;      // the contexts, then what leaves an event pending, or led to code that nothing
                                       // before had executed
  std::vector<Scenario> folds;         // the first from each boundary and of each kind that is folded
  std::vector<BoundaryCounts> counts;  // what arrived, was delivered and was folded, by boundary
  std::vector<bool> executed;          // by boundary
};

/// By brute force: each arrival at each distance in each context, and again behind each of those that led to code not
/// executed before (a fold, a prologue, a loop).
Deliverable deliverable(const Entry& entry);

}  // namespace framefold
