// How runs begin, kept from one run to the next: from the context's delivery to the boundary at which its own window
// opens, no arrival has come, and what happens follows from the context and from what handlers do. A fuzzer that moves
// arrivals about in the window asks for the same beginning again and again.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <vector>

#include "run/coverage.hpp"
#include "run/snapshot.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// The beginning of a run, up to a boundary that has not been counted yet.
struct Prefix {
  bool used = false;
  // What it follows from.
  Context context;
  std::array<EventAction, kActionCalls> event_actions{};
  FrameWrite frame_write;
  // What it leaves: in the guest, in the outcome, and in the coverage of the run, if one was counted.
  Snapshot snapshot;
  std::bitset<kPortCount> handled;
  std::uint32_t handler_calls = 0;
  std::uint64_t hash = 0;
  ViolationList violations;
  const Coverage* coverage = nullptr;
  CoveragePrefix covered;

  bool begins(const Scenario& scenario) const {
    return used && context == scenario.context && event_actions == scenario.event_actions &&
           frame_write == scenario.frame_write;
  }
};

/// A table of fixed size: a prefix leaves it when another comes to its place.
class PrefixCache {
 public:
  /// Bytes of memory that a prefix may keep: what touches more is not kept.
  static constexpr std::size_t kMostBytes = 4096;

  PrefixCache();

  /// The place of a scenario's beginning, which is there where `begins` says so.
  Prefix& place_of(const Scenario& scenario);
  /// Forgets everything.
  void clear();

 private:
  static constexpr std::size_t kEntries = 512;  // a power of two
  std::vector<Prefix> entries_;
};

}  // namespace framefold
