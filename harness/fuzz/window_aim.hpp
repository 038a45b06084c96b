// Where an entry's window lies, so that mutations hit it more often than chance does.
//
// A fold needs an event at one of some thirty boundaries out of two hundred, and the fold of a fold another one a
// distance later that depends on where the first one hit. All of this is measured once, by runs of the entry.
#pragma once

#include <cstdint>
#include <vector>

#include "run/oracle.hpp"
#include "scenario/mutator.hpp"

namespace framefold {

class WindowAim {
 public:
  explicit WindowAim(Oracle& oracle);

  /// Moves events of the scenario into the window, and canonicalises it. Does not allocate.
  void aim(Scenario& scenario, Random& random) const;

 private:
  /// Boundaries from an entry vector, or from an arrival, at which the next window is open.
  struct Window {
    std::int32_t first = 0;
    std::int32_t last = 0;
    bool known = false;
    bool contains(std::int32_t boundary) const { return known && first <= boundary && boundary <= last; }
  };
  /// Of the nested run, from the last arrival on.
  static Window measure(Oracle& oracle, Scenario scenario);
  /// The boundaries that delivering `arrival` before the window puts before the window.
  std::int32_t measure_detour(Oracle& oracle, Scenario scenario, const Arrival& arrival) const;
  std::int32_t detour(const Arrival& arrival) const;
  /// The window that opens after an event at boundary `index` of the one before.
  Window after_event(std::int32_t index) const;

  const Entry& entry_;
  std::vector<Window> after_vector_;  // by vector
  std::vector<Window> after_event_;   // by boundary of the event vector's window at which the event came
  std::vector<std::int32_t> detour_;  // by vector
  std::size_t nmi_ = 0;               // vector
};

}  // namespace framefold
