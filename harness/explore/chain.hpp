// What an NMI or an exception starts, explored once for all that it may interrupt alike.
//
// An NMI or an exception that arrives in entry code saves what it interrupts, runs, and gives it back: the graph above
// the interrupted state is the same for all states that the code above cannot tell apart, as with contexts. So it is
// explored from the first of them, and of each way out of it is kept where it leads to. At any other state of the
// class, the ways out are taken: for most, the state that they lead to is the interrupted one itself, which is known.
// What else there is runs on the interrupted state's own registers and stacks, by its own way, and goes on from there.
// An event that interrupts code which is not giving back a frame is one as well: nothing can fold it.
//
// What is alike is what the code above does not look at (interrupted.hpp). Where it looks at the interrupted RIP, at
// where the stack is, at flags, or at words of an interrupted frame, the class is split by that; where at other
// registers or memory, by all of the state. A chain may start in another: what it looks at of what that one interrupted
// splits that one's class, wherever the two meet. That nothing else matters is confirmed, with other flags and values,
// from another state: once for all classes that differ in nothing that code can see. Each way out that is taken has to
// end where the class says; where one does not, that is an error of this reckoning, and the contexts are explored anew
// without it (exploration.cpp).
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "explore/explore_result.hpp"
#include "explore/interrupted.hpp"
#include "explore/path.hpp"
#include "explore/state_key.hpp"
#include "run/effect.hpp"

namespace framefold {

/// A way out of a chain: to the interrupted boundary, to another one by the guest's own doing, or to the context.
struct ChainEnd {
  Way way;                  // behind the arrival that started the chain
  std::uint32_t steps = 0;  // boundaries behind the last choice of the way
  unsigned nmis = 0;        // left
  unsigned exceptions = 0;
  bool alone = false;
  std::size_t live = 0;             // activations less than were live when it started
  const Vector* handler = nullptr;  // called there
  bool returns = false;             // with the interrupted registers, to the interrupted boundary
  bool resumes = false;             // the context, without another boundary
  std::uint32_t shown = 0;          // kinds of violations on the way, one bit each
  bool identical = false;           // and with all else but the events as it was
  EventState events;
  // Where it returns: what the way comes to, so that it need not be run wherever it is taken.
  std::optional<Effect> effect;
  std::bitset<kPortCount> handled;
  std::uint32_t handler_calls = 0;
  std::uint64_t folds = 0;
  std::uint32_t taken = 0;  // how often
  bool covered = false;     // it has been run where coverage is counted
};

/// A violation inside a chain whose cause depends on what it interrupted.
struct ChainViolation {
  Way way;
  Violation violation;
};

/// Of what a chain interrupts: what code in it can see, and with all else.
struct ChainClass {
  std::uint64_t visible = 0;
  std::uint64_t whole = 0;
};

struct Chain {
  ExploreCounts counts;
  std::vector<ChainEnd> ends;
  std::vector<ChainViolation> violations;
  std::set<std::pair<std::size_t, GuestAddress>> known;                   // rows, and at which boundaries they showed
  std::set<std::tuple<ViolationKind, GuestAddress, ConditionSet>> shown;  // violations, known or not
  std::vector<Looks> below;  // at what it looks of what the chains interrupted in which it starts: the next one first
  std::uint64_t key = 0;     // of class, and what is exact
  std::size_t bytes = 0;     // that it takes, about, once it is used
  std::uint64_t member = 0;  // what it was explored from,
  std::uint64_t flags = 0;   // and its flags of arithmetic
  std::uint64_t told = 0;    // the exploration that has its rows
  bool exploring = false;    // by a level below
  bool explored = false;
  bool confirmed = false;  // with the other flags, and other values
};

}  // namespace framefold
