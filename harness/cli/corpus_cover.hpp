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

}  // namespace framefold
