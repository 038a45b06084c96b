#include "cli/feature_probe.hpp"

#include <algorithm>
#include <functional>

namespace framefold {

FeatureProbe::FeatureProbe(const Entry& entry)
    : oracle_(entry),
      counters_(Coverage::counters_wanted(entry)),
      boundaries_(boundary_count(entry)),
      executed_(boundaries_),
      all_counts_(boundaries_),
      folded_(boundaries_ * kDeliveryKindCount) {}

const Verdict& FeatureProbe::run(const Scenario& scenario) {
  std::fill(counters_.begin(), counters_.end(), std::uint8_t{0});
  coverage_.emplace(oracle_.entry(), counters_);
  oracle_.set_coverage(&*coverage_);
  const Verdict& verdict = oracle_.judge(scenario);
  take_features();
  add_counts();
  return verdict;
}

void FeatureProbe::add_counts() {
  const auto add = [](auto& sums, const auto& counts) {
    std::transform(sums.begin(), sums.end(), counts.begin(), sums.begin(), std::plus());
  };
  for (std::size_t i = 0; i < boundaries_; ++i) {
    const BoundaryCounts& counts = coverage_->counts()[i];
    add(all_counts_[i].arrived, counts.arrived);
    add(all_counts_[i].delivered, counts.delivered);
    add(all_counts_[i].folded, counts.folded);
  }
}

void FeatureProbe::take_features() {
  features_.clear();
  auto add_where = [this, base = std::size_t{0}](std::size_t size, auto&& reached) mutable {
    for (std::size_t i = 0; i < size; ++i) {
      if (reached(i)) {
        features_.push_back(static_cast<std::uint32_t>(base + i));
      }
    }
    base += size;
  };
  executed_new_ = folded_new_ = false;
  add_where(counters_.size(), [this](std::size_t i) { return counters_[i] != 0; });
  add_where(boundaries_, [this](std::size_t i) {
    const bool executed = coverage_->executed_boundaries()[i] != 0;
    executed_new_ = executed_new_ || (executed && !executed_[i]);
    executed_[i] = executed_[i] || executed;
    return executed;
  });
  add_where(boundaries_ * kArrivalKindCount, [this](std::size_t i) {
    return coverage_->counts()[i / kArrivalKindCount].delivered[i % kArrivalKindCount] != 0;
  });
  add_where(boundaries_ * kArrivalKindCount, [this](std::size_t i) {
    const BoundaryCounts& counts = coverage_->counts()[i / kArrivalKindCount];
    return counts.arrived[i % kArrivalKindCount] > counts.delivered[i % kArrivalKindCount];
  });
  add_where(folded_.size(), [this](std::size_t i) {
    const bool folded = coverage_->counts()[i / kDeliveryKindCount].folded[i % kDeliveryKindCount] != 0;
    folded_new_ = folded_new_ || (folded && !folded_[i]);
    folded_[i] = folded_[i] || folded;
    return folded;
  });
}

}  // namespace framefold
