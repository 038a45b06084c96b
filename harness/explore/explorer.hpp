// Explores every interleaving of one entry from given contexts to closure: the explicit-state graph of oracle.md, on
// the machine code itself, judged by the code that judges a fuzz input.
//
// A path is followed from hook to hook inside one engine run until it joins a state that is known, or the context
// resumes. At each new state every choice that Xen or the handler has there is queued, with a snapshot; queued choices
// are taken in the order of their number of choices, so that the first path to a violation is a shortest one. An event
// that is raised while events are masked changes nothing but the shared page: what state it leads to is computed in
// place.
//
// States are known by budget as well: with as many NMIs and exceptions left or more. Where nothing can be chosen any
// more (a nesting that has been found unbounded), a path is run on to its end without looking at states.
#pragma once

#include <atomic>
#include <bitset>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "explore/contexts.hpp"
#include "explore/event_use.hpp"
#include "explore/explore_result.hpp"
#include "explore/path.hpp"
#include "explore/state_key.hpp"
#include "explore/visited.hpp"
#include "run/coverage.hpp"
#include "run/oracle.hpp"

namespace framefold {

/// Bounds of an exploration. Events are unbounded.
struct ExploreBounds {
  static constexpr unsigned kMost = 3;
  unsigned nmis = 0;
  unsigned exceptions = 0;
  bool in_windows_only = false;                 // nothing arrives but while a window is open
  bool actions = true;                          // event handlers take a nested event and set the work flag
  unsigned nested_depth = 1;                    // most live activations with which they take one
  bool stop_at_violation = false;               // one that no row knows
  unsigned choices = 0;                         // on a path; 0: unbounded
  bool outline = false;                         // is noted
  std::size_t memory = std::size_t{512} << 20;  // bytes, per explorer
};

class Explorer : private BoundaryObserver {
 public:
  /// More paths to one violation that no row knows, with their causes, are of no use to anybody; each takes a few runs,
  /// and what wrong code does behind it has no end.
  static constexpr unsigned kMostUnknown = 32;
  /// Paths that show it once more, after which the rest of the contexts that share states is left out: the states of
  /// wrong code need not close.
  static constexpr unsigned kMostRepetitions = 256;

  Explorer(const Entry& entry, const ExploreBounds& bounds);

  /// Explores from one context to closure, leaving out states known since `forget`. `stop` ends it early.
  void explore(const Scenario& context, ExploreResult& result, const std::atomic<bool>* stop = nullptr);
  /// Whether event handlers may act, from now on.
  void set_actions(bool actions) { bounds_.actions = actions; }
  /// Forgets all states.
  void forget();

  const Entry& entry() const { return execution_.entry(); }
  Oracle& oracle() { return oracle_; }
  std::size_t memory_used() const;

 private:
  struct Node {
    Snapshot snapshot;
    std::uint32_t references = 0;
    std::uint32_t handler_calls = 0;
    std::uint8_t budget = 0;
    std::uint64_t outline = 0;
    std::uint32_t depth = 0;
    std::bitset<kPortCount> handled;
  };
  struct Branch {
    std::uint32_t node = 0;
    std::uint32_t parent = 0;
    std::uint32_t step = 0;
    Choice choice;
    std::uint8_t port = 0;
    std::uint64_t key = 0;  // of the state that it leads to; 0: not known beforehand
  };
  struct KnownInstruction {
    const Instruction* instruction = nullptr;  // none at a handler's return
    EventUse event_use = EventUse::always;
  };
  /// Behind all boundaries of a leg.
  static constexpr std::int64_t kEnd = 0xffffffff;
  /// A violation whose cause depends on how the path came there.
  struct Downstream {
    std::uint32_t step = 0;  // of the leg: it shows between the boundary before and this one
    Violation violation;
  };
  struct CachedCause {
    std::int16_t known = -1;
    GuestAddress cause;
  };

  bool at_boundary(const Boundary& boundary) override;
  void run_leg();
  void take(const Branch& branch);
  void set_choice(const Branch& branch);
  bool may_choose(const Boundary& boundary);
  bool may_see_event(const Boundary& boundary);
  void follow_stack(const Boundary& boundary);
  void note_outline(const Boundary& boundary);
  void note_unsaid(const Boundary& boundary);
  bool enter_state(const Boundary& boundary);
  void revive_stack(const Boundary& boundary);
  void queue_choices(const Boundary& boundary, std::uint64_t key, const EventState& events);
  void queue_events(const Boundary& boundary, std::uint64_t key, const EventState& events);
  void queue_actions(const Boundary& boundary);
  void push(const Boundary& boundary, const Choice& choice, std::uint8_t port, std::uint64_t key);
  std::uint32_t node_here(const Boundary& boundary);
  void release(std::uint32_t node);
  bool may_arrive() const;
  bool may_interrupt() const;
  bool would_nest_twice(const Boundary& boundary);
  bool is_known(std::uint64_t key, std::uint16_t dominating);

  void harvest();
  void note_counts(std::span<const BoundaryCounts> before);
  void inherit(const Visited::Slot& joined);
  void judge(const Violation& violation);
  void judge_by_oracle(const Violation& violation);
  void compare_with_reference();
  void note_known(std::int16_t row, GuestAddress cause);

  std::uint8_t budget_index(unsigned nmis, unsigned exceptions) const {
    return static_cast<std::uint8_t>(nmis * (bounds_.exceptions + 1) + exceptions);
  }

  ExploreBounds bounds_;
  Oracle oracle_;
  Execution execution_;
  Coverage coverage_;  // for what is delivered at each boundary, and folded
  UnsaidValues unsaid_;
  bool has_nmi_ = false;
  std::vector<KnownInstruction> instructions_;  // by boundary index
  std::uint8_t all_pending_ = 0;                // bits of all values that a raise may set
  std::vector<std::uint16_t> dominating_;       // by budget: the budgets that allow as much

  // Of the exploration that is going on.
  Scenario context_;
  Scenario scenario_;  // with the one arrival that is due
  Outcome outcome_;
  Outcome reference_;
  KeyScope scope_;
  ExploreResult* result_ = nullptr;
  Visited visited_;
  PathTree paths_;
  std::uint32_t first_leg_ = 1;  // number of the first one of this context, in Visited
  std::deque<Branch> queue_;
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> free_nodes_;
  std::size_t node_bytes_ = 0;
  std::map<std::uint32_t, std::vector<Downstream>> downstream_;  // by leg, of those that have some
  std::map<std::uint64_t, CachedCause> causes_;
  /// How many paths to a violation that no row knows were judged, by its kind and place, and what was delivered to the
  /// context: since `forget`.
  std::map<std::tuple<ViolationKind, GuestAddress, std::uint8_t>, unsigned> unknown_;
  unsigned unknown_runaways_ = 0;
  unsigned repetitions_ = 0;
  std::set<std::pair<GuestAddress, ConditionSet>> nested_twice_;

  // Of the leg of a path that is being followed.
  std::uint32_t leg_ = 0;
  std::int64_t step_ = 0;
  std::uint32_t handler_calls_ = 0;
  std::uint32_t depth_ = 0;  // choices on the whole path
  unsigned nmis_ = 0;
  unsigned exceptions_ = 0;
  bool skip_first_ = false;
  bool enough_ = false;  // it shows what has been shown often enough
  bool tail_ = false;    // nothing is chosen any more
  std::int64_t node_ = -1;
  std::uint64_t outline_ = 0;  // where the path is
  Registers registers_;
  LiveStacks live_{};
  GuestAddress last_stack_;
  const Instruction* last_instruction_ = nullptr;
  std::size_t activations_seen_ = 0;
  std::vector<DataChange> scratch_;
};

}  // namespace framefold
