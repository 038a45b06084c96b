// What an input reaches in the guest, and what can be reached at all: for making and checking corpora.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "run/oracle.hpp"

namespace framefold::test {

/// Judges scenarios and tells their features: what a fuzzer sees of the guest, an index a counter of Coverage.
class FeatureProbe {
 public:
  explicit FeatureProbe(const Entry& entry);
  FeatureProbe(const FeatureProbe&) = delete;
  FeatureProbe& operator=(const FeatureProbe&) = delete;

  /// The verdict, the outcome and the features are good until the next call.
  const Verdict& run(const Scenario& scenario);
  const Outcome& nested() const { return nested_; }
  std::span<const std::uint32_t> features() const { return features_; }  // ascending
  /// Whether the last run executed a boundary that no run before it did.
  bool executed_new() const { return executed_new_; }
  /// Whether it folded something from a boundary from which nothing of its kind was folded before.
  bool folded_new() const { return folded_new_; }
  const Entry& entry() const { return oracle_.entry(); }
  /// Of all runs.
  const Coverage& coverage() const { return coverage_; }

 private:
  Oracle oracle_;
  std::vector<std::uint8_t> counters_;
  Coverage coverage_;
  Outcome nested_;
  std::vector<std::uint32_t> features_;
  std::ptrdiff_t executed_ = 0;
  std::ptrdiff_t folded_ = 0;
  bool executed_new_ = false;
  bool folded_new_ = false;
};

/// Every vector × mode × stack × mask, without and with work asked for, in the region as well where a user can be
/// there. No arrivals; registers hold their tags.
std::vector<Scenario> all_contexts(const Entry& entry);

/// One arrival of each kind, exception vector and pending value, at distance 0.
std::vector<Arrival> all_arrivals(const Entry& entry);

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
  std::vector<Scenario> prefixes;      // the contexts, then what led to code that nothing before had executed
  std::vector<Scenario> folds;         // the first from each boundary and of each kind that is folded
  std::vector<BoundaryCounts> counts;  // what arrived, was delivered and was folded, by boundary
  std::vector<std::uint8_t> executed;  // 1 where a boundary was
};

/// By brute force: each arrival at each distance in each context, and again behind each of those that led to code not
/// executed before (a fold, a prologue, a loop).
Deliverable deliverable(const Entry& entry);

}  // namespace framefold::test
