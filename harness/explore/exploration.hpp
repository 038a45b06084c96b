// An exploration of entries: all their contexts, on several threads, with the second pass and what a report says of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "explore/explorer.hpp"

namespace framefold {

struct ExplorationOptions {
  ExploreBounds bounds;
  Crossing crossing = Crossing::pairs;
  DataValues values = DataValues::first;
  bool second_values = true;       // explore again with other values of data
  bool stop_at_violation = false;  // one that no row knows: the rest is left out, and reports are partial
  unsigned jobs = 1;
  std::size_t memory = std::size_t{1} << 30;  // bytes, of all threads together
};

enum class ExploreVerdict : std::uint8_t { proved, proved_except_known, violated, not_closed };
/// "proved except known"
std::string_view name_of(ExploreVerdict verdict);

struct ContextReport {
  ContextClass context;
  ExploreCounts counts;  // states that an earlier context has not shown
  std::size_t known = 0;
  std::size_t violations = 0;
  bool explored = false;
};

/// A `known` row, and at which of its boundaries it has shown and has not.
struct RowReport {
  std::size_t row = 0;
  std::vector<GuestAddress> seen;
  std::vector<GuestAddress> unseen;
};

/// Contexts that share states: what one has shown, those behind it do not show again.
struct GroupReport {
  ContextClass first;
  std::size_t contexts = 0;
  ExploreCounts counts;
  std::vector<BoundaryTally> boundaries;  // by boundary index
  std::set<GuestAddress> known;           // boundaries at which rows of the description showed, and other violations
  std::set<GuestAddress> violated;
  bool explored = false;
};

struct EntryReport {
  const Entry* entry = nullptr;
  ExploreResult result;
  std::vector<ContextReport> contexts;
  std::vector<GroupReport> groups;
  std::vector<RowReport> rows;
  std::size_t region_boundaries = 0;
  std::size_t region_covered = 0;
  std::vector<GuestAddress> unmasked;          // instructions of entry code at which events were unmasked: the region
                                               // that there is, whatever the labels say
  std::vector<GuestAddress> unmasked_on_page;  // and of the hypercall page's iret stub
  std::vector<ContextClass> value_dependent;   // first context of each group whose graph is another with other values
  std::size_t refined_groups = 0;  // in which what is interrupted alike does not go on alike (chain.hpp): explored anew
                                   // from each state
  ExploreVerdict verdict = ExploreVerdict::not_closed;
};

/// Called now and then, by one thread at a time: groups of contexts done, and how many there are.
using ExplorationProgress = std::function<void(std::size_t done, std::size_t total)>;

/// In the order of `entries`. The same for every number of jobs. `stop` ends it early: reports then are partial.
std::vector<EntryReport> explore_entries(std::span<const Entry* const> entries, const ExplorationOptions& options,
                                         const std::atomic<bool>& stop, const ExplorationProgress& progress);

}  // namespace framefold
