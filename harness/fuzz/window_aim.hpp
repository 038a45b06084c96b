// Where an entry's window lies, so that mutations hit it more often than chance does.
//
// A fold needs an event at one of some thirty boundaries out of two hundred, and the fold of a fold another one a
// distance later that depends on where the first one hit. All of this is measured once, by runs of the entry.
#pragma once

#include <array>
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
  /// Of contexts of one mode.
  struct Measured {
    std::vector<Window> after_vector;  // by vector
    std::vector<Window> after_event;   // by boundary of the event vector's window at which the event came
    std::vector<std::int32_t>
        detour;               // by vector: the boundaries that delivering it before the window puts before that
    std::int32_t nested = 0;  // the same of an event that the handler lets in

    std::int32_t detour_of(const Arrival& arrival, std::size_t nmi) const;
    /// The window that opens after an event at boundary `index` of the one before.
    Window window_after_event(std::int32_t index) const;
  };
  void measure_mode(Oracle& oracle, GuestMode mode);
  /// Of the nested run, from the last arrival on.
  static Window measure(Oracle& oracle, const Scenario& scenario);
  Window first_window(const Scenario& scenario, const Measured& measured) const;
  static std::int32_t place_in(const Window& window, std::int32_t position, Random& random);
  void aim_arrivals(Scenario& scenario, bool opens, bool served_at_once, Random& random) const;

  const Entry& entry_;
  std::array<Measured, 2> measured_;  // by mode
  std::size_t nmi_ = 0;               // vector
};

}  // namespace framefold
