// Outcomes of reference runs, kept from one scenario to the next. What a reference run does follows from what it
// replays, and a fuzzer that moves arrivals about asks for the same one again and again.
#pragma once

#include <cstddef>
#include <vector>

#include "run/execution.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// A table of fixed size: an entry leaves it when another comes to its place.
class ReferenceCache {
 public:
  struct Entry {
    bool used = false;
    Scenario replayed;
    Outcome outcome;
  };

  ReferenceCache() : entries_(kEntries) {}

  /// The place of a scenario: its outcome is there where `holds` says so, otherwise that of another, or none.
  Entry& place_of(const Scenario& replayed);
  static bool holds(const Entry& entry, const Scenario& replayed) { return entry.used && entry.replayed == replayed; }
  /// Forgets everything.
  void clear();

 private:
  static constexpr std::size_t kEntries = 4096;  // a power of two
  std::vector<Entry> entries_;
};

}  // namespace framefold
