#include "cli/corpus_cover.hpp"

#include <algorithm>

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

}  // namespace framefold
