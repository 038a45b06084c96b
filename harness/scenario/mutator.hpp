// Structural mutation for libFuzzer: moves arrivals, changes kinds, picks interesting registers. Deterministic in its
// seed.
#pragma once

#include <cstdint>

#include "scenario/scenario.hpp"

namespace framefold {

/// A small generator of our own, so that a seed means the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  /// SplitMix64.
  std::uint64_t next();
  /// Uniform enough for fuzzing: below `bound`, which is not 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

/// Changes the scenario in one to a few ways and canonicalises it. Does not allocate.
void mutate(Scenario& scenario, const Entry& entry, Random& random);

/// A scenario with the context of one parent and arrivals and actions of both, canonicalised. Does not allocate.
Scenario cross_over(const Scenario& a, const Scenario& b, const Entry& entry, Random& random);

}  // namespace framefold
