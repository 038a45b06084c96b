#include "cli/feature_probe.hpp"

#include <algorithm>

namespace framefold {

FeatureProbe::FeatureProbe(const Entry& entry)
    : oracle_(entry),
      counters_(Coverage::counters_wanted(entry)),
      boundaries_(boundary_count(entry)),
      executed_(boundaries_) {}

const Verdict& FeatureProbe::run(const Scenario& scenario) {
  std::fill(counters_.begin(), counters_.end(), std::uint8_t{0});
  coverage_.emplace(oracle_.entry(), counters_);
  oracle_.set_coverage(&*coverage_);
  const Verdict& verdict = oracle_.judge(scenario);
  take_features();
  return verdict;
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
  executed_new_ = false;
  add_where(counters_.size(), [this](std::size_t i) { return counters_[i] != 0; });
  add_where(boundaries_, [this](std::size_t i) {
    const bool executed = coverage_->executed_boundaries()[i] != 0;
    executed_new_ = executed_new_ || (executed && !executed_[i]);
    executed_[i] = executed_[i] || executed;
    return executed;
  });
  add_where(boundaries_, [this](std::size_t i) { return coverage_->counts()[i].folded != 0; });
}

}  // namespace framefold
