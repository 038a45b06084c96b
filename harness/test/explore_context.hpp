// Exploring one context, for tests that hold what is found against something else.
#pragma once

#include "explore/explorer.hpp"

namespace framefold::test {

/// Anew, where code was seen to read more of what Xen shares.
inline ExploreResult explore_one(Explorer& explorer, const Scenario& context) {
  ExploreResult result;
  explorer.forget();
  while (!explorer.explore(context, result)) {
    result = {};
  }
  return result;
}

}  // namespace framefold::test
