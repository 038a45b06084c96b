// What exploring has shown, and how to add up what was shown of several contexts.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "check/unsaid_values.hpp"
#include "explore/outline.hpp"
#include "run/violation.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// A violation that no row knows, with a shortest path to it.
struct ExploredViolation {
  std::string signature;
  ViolationKind kind = ViolationKind::runaway;
  ConditionSet conditions = 0;
  ConditionSet common = 0;  // those of all paths that have shown it
  GuestAddress cause;
  Scenario scenario;
  std::uint32_t boundaries = 0;  // that the run has up to the violation's end
};

struct ExploreCounts {
  std::uint64_t contexts = 0;
  std::uint64_t states = 0;
  std::uint64_t transitions = 0;
  std::uint64_t folds = 0;
  std::uint64_t resumptions = 0;
  std::uint64_t deepest_stack = 0;  // bytes below where the context's stack pointer, or kernel_sp, was
  std::uint64_t identity = 0;       // sum over the states of their keys: of everything
  std::uint64_t shape = 0;          // sum over the states of what does not depend on data
  void add(const ExploreCounts& other);
};

/// One more path to a violation: the shortest is kept.
void add_path(std::map<std::string, ExploredViolation>& violations, const ExploredViolation& violation);

/// In arrivals, then in boundaries; a context of an event before those of exceptions, which may rest on their
/// `masks_events`.
bool shorter(const ExploredViolation& a, const ExploredViolation& b);

/// Of one boundary.
struct BoundaryTally {
  std::uint64_t states = 0;
  std::uint64_t folds = 0;  // of what was delivered there
  std::array<std::uint64_t, kArrivalKindCount> delivered{};
  void add(const BoundaryTally& other);
};

/// What exploring some contexts has shown.
struct ExploreResult {
  ExploreCounts counts;
  std::vector<BoundaryTally> boundaries;                 // by boundary index
  std::vector<std::uint8_t> covered;                     // by boundary index
  std::vector<std::uint8_t> unmasked;                    // by boundary index: in a window that entry code had opened
  std::set<std::pair<std::size_t, GuestAddress>> known;  // rows, and at which boundaries they showed
  std::map<std::string, ExploredViolation> violations;   // by signature
  std::set<std::string> inexpressible;                   // kinds on paths that no scenario can take
  /// What NMIs and exceptions started, by the class of what they interrupted. Not in `counts`.
  std::map<std::uint64_t, ExploreCounts> chains;
  /// Where states that were taken for alike are not: nothing is proved.
  std::set<std::string> unlike;
  std::vector<std::string> disagreements;  // paths whose scenario shows something else: our error
  std::optional<UnsaidValueSeen> unsaid;   // then what rests on none alone is said
  Outline outline;                         // where it was asked for
  /// Words of the entry's data, and how many values each had in the states that waited when memory ran out.
  std::map<GuestAddress, std::size_t> values_waiting;
  bool interrupted = false;
  bool out_of_memory = false;
  bool cut_short = false;    // it shows one violation over and over
  bool reads_ports = false;  // the code looks at which ports are pending, of which exploration raises one a word

  bool closed() const { return !interrupted && !out_of_memory && unlike.empty(); }
  void add(const ExploreResult& other);
};

}  // namespace framefold
