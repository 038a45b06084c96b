#include "cli/corpus_cover.hpp"

#include <algorithm>
#include <queue>

namespace framefold {

void drop_redundant(std::vector<CoveringInput>& inputs, std::size_t feature_limit) {
  std::vector<std::size_t> reached_by(feature_limit);
  for (const CoveringInput& input : inputs) {
    for (const std::uint32_t feature : input.features) {
      ++reached_by[feature];
    }
  }
  std::erase_if(inputs, [&](const CoveringInput& input) {
    if (std::any_of(input.features.begin(), input.features.end(),
                    [&](std::uint32_t feature) { return reached_by[feature] == 1; })) {
      return false;
    }
    for (const std::uint32_t feature : input.features) {
      --reached_by[feature];
    }
    return true;
  });
}

std::vector<CoveringInput> best_cover(std::vector<CoveringInput> inputs, std::size_t feature_limit, std::size_t most) {
  std::vector<bool> reached(feature_limit);
  const auto gain = [&](const CoveringInput& input) {
    return static_cast<std::size_t>(std::count_if(input.features.begin(), input.features.end(),
                                                  [&reached](std::uint32_t feature) { return !reached[feature]; }));
  };
  struct Offer {
    std::size_t gain;  // when it was last counted: never less than it is now
    std::size_t input;
    bool operator<(const Offer& other) const { return gain != other.gain ? gain < other.gain : input > other.input; }
  };
  std::priority_queue<Offer> offers;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    offers.push({gain(inputs[i]), i});
  }
  std::vector<std::size_t> chosen;
  while (chosen.size() < most && !offers.empty() && offers.top().gain > 0) {
    const Offer best = offers.top();
    offers.pop();
    if (const std::size_t now = gain(inputs[best.input]); now < best.gain) {
      offers.push({now, best.input});
      continue;
    }
    chosen.push_back(best.input);
    for (const std::uint32_t feature : inputs[best.input].features) {
      reached[feature] = true;
    }
  }
  std::sort(chosen.begin(), chosen.end());
  std::vector<CoveringInput> cover;
  cover.reserve(chosen.size());
  for (const std::size_t input : chosen) {
    cover.push_back(std::move(inputs[input]));
  }
  drop_redundant(cover, feature_limit);
  return cover;
}

}  // namespace framefold
