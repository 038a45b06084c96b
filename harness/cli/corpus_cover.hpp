// Which inputs of many are enough to reach what all of them reach.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "scenario/scenario.hpp"

namespace framefold {

struct CoveringInput {
  Scenario scenario;
  std::vector<std::uint32_t> features;  // ascending
};

/// Drops each input, first to last, whose features all are among those of the ones that are left. What is left reaches
/// the same features, and each of them one that no other does. So there are never more of them than features.
void drop_redundant(std::vector<CoveringInput>& inputs, std::size_t feature_limit);

/// At most `most` of the inputs, in their order, that reach as many features as a greedy choice finds: each time the
/// input that reaches most of what those before it do not, of equals the first. Where that is not all there is, it is
/// at least 63 % of what the best choice of so many would reach (Nemhauser, Wolsey, Fisher 1978: 1 - 1/e).
std::vector<CoveringInput> best_cover(std::vector<CoveringInput> inputs, std::size_t feature_limit, std::size_t most);

}  // namespace framefold
