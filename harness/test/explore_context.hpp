// Exploring one context, for tests that hold what is found against something else.
#pragma once

#include <gtest/gtest.h>

#include "explore/explorer.hpp"

namespace framefold::test {

/// Anew, where code was seen to read arch.cr2.
inline ExploreResult explore_one(Explorer& explorer, const Scenario& context) {
  ExploreResult result;
  explorer.forget();
  if (!explorer.explore(context, result)) {
    result = {};
    EXPECT_TRUE(explorer.explore(context, result));
  }
  return result;
}

}  // namespace framefold::test
