// What an input reaches in the guest: for making, merging and checking corpora.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "run/coverage.hpp"
#include "run/oracle.hpp"

namespace framefold {

/// Judges scenarios and tells their features: what a fuzzer sees of the guest, an index a counter of Coverage, and
/// behind those each boundary that was executed, and each with the kind of what was delivered there, of what came and
/// was not, and of what came and was folded.
class FeatureProbe {
 public:
  explicit FeatureProbe(const Entry& entry);
  FeatureProbe(const FeatureProbe&) = delete;
  FeatureProbe& operator=(const FeatureProbe&) = delete;

  /// The verdict, the outcome and the features are good until the next call.
  const Verdict& run(const Scenario& scenario);
  const Outcome& nested() const { return oracle_.nested(); }
  std::span<const std::uint32_t> features() const { return features_; }  // ascending
  /// Every feature is below it.
  std::size_t feature_limit() const {
    return counters_.size() + (1 + 2 * kArrivalKindCount + kDeliveryKindCount) * boundaries_;
  }
  /// Whether the last run executed a boundary that no run before it did.
  bool executed_new() const { return executed_new_; }
  /// Whether it folded something from a boundary from which nothing of its kind was folded before.
  bool folded_new() const { return folded_new_; }
  /// Of the last run.
  const Coverage& coverage() const { return *coverage_; }
  /// Of all runs.
  const std::vector<BoundaryCounts>& all_counts() const { return all_counts_; }
  const std::vector<bool>& all_executed() const { return executed_; }
  const Entry& entry() const { return oracle_.entry(); }
  Oracle& oracle() { return oracle_; }

 private:
  void take_features();
  void add_counts();

  Oracle oracle_;
  std::vector<std::uint8_t> counters_;
  std::size_t boundaries_;
  std::optional<Coverage> coverage_;  // always there; each run has one of its own
  std::vector<std::uint32_t> features_;
  std::vector<bool> executed_;  // by all runs
  std::vector<BoundaryCounts> all_counts_;
  std::vector<bool> folded_;  // likewise, by boundary and kind
  bool executed_new_ = false;
  bool folded_new_ = false;
};

}  // namespace framefold
