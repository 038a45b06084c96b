// A search from nothing, as a fuzzing engine makes it: what reaches something new in the guest is kept, and mutated
// further. For tests in builds that have no engine; its numbers of executions are like libFuzzer's, and its runs are
// the same on each machine.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "fuzz/window_aim.hpp"
#include "run/oracle.hpp"
#include "scenario/mutator.hpp"

namespace framefold::test {

class GuidedSearch {
 public:
  GuidedSearch(const Entry& entry, std::uint64_t seed);
  GuidedSearch(const GuidedSearch&) = delete;
  GuidedSearch& operator=(const GuidedSearch&) = delete;

  /// Judges scenarios until `wanted` says yes to one, or `limit` have been judged. The executions that it took, 0 where
  /// nothing was found.
  std::uint64_t run(std::uint64_t limit, const std::function<bool(const Verdict&)>& wanted);

 private:
  Scenario next();
  bool reached_new();

  Oracle oracle_;
  WindowAim aim_;
  std::vector<std::uint8_t> counters_;
  Coverage coverage_;
  std::vector<std::uint8_t> seen_;  // by counter, a bit for each power of two that it has come to
  std::vector<Scenario> kept_;
  Random random_;
};

}  // namespace framefold::test
