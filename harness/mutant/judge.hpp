// What exploration says of an image with a fault planted in it.
#pragma once

#include <atomic>
#include <span>
#include <string>
#include <vector>

#include "explore/exploration.hpp"
#include "mutant/plan.hpp"

namespace framefold {

enum class Fate : std::uint8_t {
  killed,       // exploration shows something that no row knows, or ends since it looks at what nobody says
  equivalent,   // by execution: no explored state of the original executes, or is interrupted at, what was changed
  same_states,  // exploration closes with the original's states and transitions, every value included
  argued,       // it closes with others and shows nothing; the description argues why, and what is seen is the same
  survived,     // it closes with others, and shows nothing
  unclear,      // exploration ended without a verdict; `detail` says how
  not_judged,   // interrupted before
};
std::string_view name_of(Fate fate);

struct JudgedMutant {
  Mutant mutant;
  Fate fate = Fate::not_judged;
  std::string kind;         // killed: by which violation
  std::string signature;    // killed, where a scenario shows it
  std::string detail;       // unclear
  double seconds = 0;       // of exploration, the original's loading and planning aside
  bool same_graph = false;  // survived: but for values, states and transitions are the original's
  int row = -1;             // of the description's equivalent_mutants
};

struct MutantReport {
  const Entry* entry = nullptr;
  std::vector<std::string> wrong_arguments;  // one line each, with its place in the description
  ExploreVerdict original = ExploreVerdict::not_closed;
  std::vector<JudgedMutant> mutants;  // as planned
  std::size_t count(Fate fate) const;
};

struct MutantOptions {
  ExploreBounds bounds;
  Crossing crossing = Crossing::each;
  unsigned jobs = 1;
  std::size_t memory = std::size_t{1} << 30;  // bytes, of all explorations together
};

/// Each is explored as far as the bounds go. What shows nothing is explored with other values of data, and with an NMI
/// and an exception in open windows, among few arrivals.
///
/// `elf` is the entry's image. The same for every number of jobs, times aside. `stop` ends it early. Throws
/// InputError where the description argues about a fault that is not planted, and where the code without a fault looks
/// at what nobody says.
MutantReport judge_mutants(const Entry& entry, std::span<const std::uint8_t> elf, const MutantOptions& options,
                           const std::atomic<bool>& stop, const ExplorationProgress& progress);

}  // namespace framefold
