#include "test/guided_search.hpp"

#include <algorithm>
#include <bit>

#include "scenario/codec.hpp"

namespace framefold::test {

namespace {

constexpr std::uint64_t kCrossOverOneIn = 4;
/// How often the base is one of the last that were kept, and how many those are: they lead on.
constexpr std::uint64_t kRecentOneIn = 2;
constexpr std::size_t kRecent = 16;
constexpr std::uint64_t kMostMutations = 4;

}  // namespace

GuidedSearch::GuidedSearch(const Entry& entry, std::uint64_t seed)
    : oracle_(entry),
      aim_(oracle_),
      counters_(Coverage::counters_wanted(entry)),
      coverage_(entry, counters_),
      seen_(counters_.size()),
      kept_{decode({}, entry)},
      random_(seed) {
  oracle_.set_coverage(&coverage_);
}

std::uint64_t GuidedSearch::run(std::uint64_t limit, const std::function<bool(const Verdict&)>& wanted) {
  for (std::uint64_t executions = 1; executions <= limit; ++executions) {
    const Scenario scenario = next();
    std::fill(counters_.begin(), counters_.end(), std::uint8_t{0});
    if (wanted(oracle_.judge(scenario))) {
      return executions;
    }
    if (reached_new()) {
      kept_.push_back(scenario);
    }
  }
  return 0;
}

Scenario GuidedSearch::next() {
  const Entry& entry = oracle_.entry();
  const std::size_t recent = random_.one_in(kRecentOneIn) ? std::min(kRecent, kept_.size()) : kept_.size();
  Scenario scenario = kept_[kept_.size() - 1 - random_.below(recent)];
  if (random_.one_in(kCrossOverOneIn)) {
    scenario = cross_over(scenario, kept_[random_.below(kept_.size())], entry, random_);
  }
  for (std::uint64_t left = 1 + random_.below(kMostMutations); left != 0; --left) {
    mutate(scenario, entry, random_);
  }
  aim_.aim(scenario, random_);
  return scenario;
}

bool GuidedSearch::reached_new() {
  bool any = false;
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    if (counters_[i] != 0) {
      const std::uint8_t level = std::bit_floor(counters_[i]);
      any = any || (seen_[i] & level) == 0;
      seen_[i] = static_cast<std::uint8_t>(seen_[i] | level);
    }
  }
  return any;
}

}  // namespace framefold::test
