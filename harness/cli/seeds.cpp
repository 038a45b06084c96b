#include "cli/seeds.hpp"

#include <algorithm>

#include "cli/corpus_cover.hpp"
#include "cli/corpus_merge.hpp"
#include "cli/deliverable.hpp"

namespace framefold {

namespace {

constexpr std::size_t kArrivals = 8;  // of one input: it is 96 bytes then

class Builder {
 public:
  explicit Builder(const Entry& entry) : probe_(entry), seen_(probe_.feature_limit()), arrivals_(all_arrivals(entry)) {}

  std::vector<CoveringInput> build() {
    for (const Scenario& context : all_contexts(probe_.entry())) {
      add_inputs(context, true);
    }
    const Deliverable all = deliverable(probe_.entry());
    for (const Scenario& prefix : all.prefixes) {
      add_inputs(prefix, false);
    }
    for (const Scenario& fold : all.folds) {
      if (good(fold) && new_features() > 0) {  // as it is: what comes behind it may be in its way
        keep(fold);
      }
    }
    drop_redundant(inputs_, probe_.feature_limit());
    return inputs_.size() <= kMaxCorpusInputs ? inputs_ : best_cover(inputs_, probe_.feature_limit(), kMaxCorpusInputs);
  }

 private:
  /// Whether the scenario is one to keep: no violation that is not known, and every arrival reached.
  bool good(const Scenario& scenario) {
    return probe_.run(scenario).violation() == nullptr && probe_.nested().reached == scenario.arrival_count;
  }

  std::size_t new_features() const {
    const auto features = probe_.features();
    return static_cast<std::size_t>(
        std::count_if(features.begin(), features.end(), [this](std::uint32_t f) { return !seen_[f]; }));
  }

  void add_inputs(const Scenario& prefix, bool fold_first) {
    while (add_input(prefix, fold_first)) {
    }
  }

  /// False where that would reach nothing new.
  bool add_input(const Scenario& prefix, bool fold_first) {
    Scenario scenario = prefix;
    if ((fold_first && !append_fold(scenario)) || !good(scenario)) {
      return false;
    }
    const std::vector<bool> before = seen_;
    note();
    while (scenario.arrival_count < kArrivals && append_new(scenario)) {
    }
    good(scenario);
    seen_ = before;  // an arrival at the same boundary may have taken the place of one before it
    if (new_features() == 0) {
      return false;
    }
    keep(scenario);
    return true;
  }

  /// The scenario of the last run.
  void keep(const Scenario& scenario) {
    note();
    inputs_.push_back({scenario, {probe_.features().begin(), probe_.features().end()}});
  }

  void note() {
    for (const std::uint32_t feature : probe_.features()) {
      seen_[feature] = true;
    }
  }

  /// The next event that is folded, round and round the places where one is.
  bool append_fold(Scenario& scenario) {
    probe_.run(scenario);
    const std::uint32_t before = probe_.nested().folds;
    std::vector<Scenario> candidates;
    for (std::uint16_t distance = 0;; ++distance) {
      const Scenario longer = with_arrival(scenario, arrivals_.front(), distance);
      const bool clean = good(longer);
      if (probe_.nested().reached < longer.arrival_count) {
        break;
      }
      if (clean && probe_.nested().folds > before && probe_.nested().arrivals[scenario.arrival_count].delivered) {
        candidates.push_back(longer);
      }
    }
    if (candidates.empty()) {
      return false;
    }
    scenario = candidates[turn_++ % candidates.size()];
    return true;
  }

  /// The arrival that reaches most that is new, of the kind that did so last where there is one. Notes it, so that the
  /// one behind it has to reach something else.
  bool append_new(Scenario& scenario) {
    std::size_t most = 0;
    Scenario best;
    for (std::size_t tried = 0; most == 0 && tried < arrivals_.size(); ++tried, ++kind_) {
      for (std::uint16_t distance = 0;; ++distance) {
        const Scenario longer = with_arrival(scenario, arrivals_[kind_ % arrivals_.size()], distance);
        const bool clean = good(longer);
        if (probe_.nested().reached < longer.arrival_count) {
          break;
        }
        if (const std::size_t count = new_features(); clean && count > most) {
          most = count;
          best = longer;
        }
      }
    }
    if (most == 0) {
      return false;
    }
    --kind_;
    scenario = best;
    good(scenario);
    note();
    return true;
  }

  FeatureProbe probe_;
  std::vector<bool> seen_;
  std::vector<Arrival> arrivals_;
  std::vector<CoveringInput> inputs_;
  std::size_t turn_ = 0;  // of append_fold
  std::size_t kind_ = 0;  // of append_new
};

}  // namespace

std::vector<Scenario> make_seeds(const Entry& entry) {
  std::vector<Scenario> seeds;
  for (const CoveringInput& input : Builder(entry).build()) {
    seeds.push_back(input.scenario);
  }
  return seeds;
}

}  // namespace framefold
