// Explores every interleaving of one entry from given contexts to closure: the explicit-state graph of oracle.md, on
// the machine code itself, judged by the code that judges a fuzz input.
//
// A path is followed from hook to hook inside one engine run until it joins a state that is known, or the context
// resumes. At each new state every choice that Xen or the handler has there is queued, with a snapshot; queued choices
// are taken in the order of their number of choices, so that the first path to a violation is a shortest one. An event
// that is raised while events are masked changes nothing but the shared page: what state it leads to is computed in
// place.
//
// States are known by budget as well: with as many NMIs and exceptions left or more; and by the kinds of violations
// that the path has shown: with no others. What NMIs and exceptions start is not explored anew from each state
// (chain.hpp), and one that waits behind another NMI is left to the instruction that lets it in. Where nothing can be
// chosen any more (a nesting that has been found unbounded), a path is run on to its end without looking at states.
#pragma once

#include <atomic>
#include <bitset>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_set>
#include <vector>

#include "explore/branch.hpp"
#include "explore/chains.hpp"
#include "explore/contexts.hpp"
#include "explore/event_use.hpp"
#include "explore/explore_result.hpp"
#include "explore/interrupted.hpp"
#include "explore/path.hpp"
#include "explore/state_key.hpp"
#include "explore/visited.hpp"
#include "run/coverage.hpp"
#include "run/oracle.hpp"

namespace framefold {

/// Bounds of an exploration. Events are unbounded.
struct ExploreBounds {
  static constexpr unsigned kMost = 3;
  /// On a path on which no pending byte but the first of the description is raised: Xen writes no other.
  unsigned nmis = 0;
  unsigned exceptions = 0;
  bool in_windows_only = false;    // nothing arrives but while a window is open
  bool actions = true;             // event handlers take a nested event and set the work flag
  unsigned nested_depth = 1;       // most live activations with which they take one
  bool stop_at_violation = false;  // one that no row knows
  unsigned choices = 0;            // on a path; 0: unbounded
  bool outline = false;            // is noted
  /// Where there are NMIs or exceptions, what they start is explored once for all that they interrupt alike
  /// (chain.hpp).
  bool chains = true;
  bool jumps = true;                            // ways out of them whose effect is known are not run each time
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

  /// Explores from one context to closure, leaving out states known since `forget`. `stop` ends it early. False where
  /// code was seen to read arch.cr2, or which ports are pending: until `set_chains`, states are told apart by that as
  /// well, or there are spurious ticks; nothing is known any more, and this context is to be explored anew, with those
  /// before it that share states with it.
  [[nodiscard]] bool explore(const Scenario& context, ExploreResult& result, const std::atomic<bool>* stop = nullptr);
  /// Whether event handlers may act, from now on.
  void set_actions(bool actions) { bounds_.actions = actions; }
  /// From now on. What chains lead to is forgotten.
  void set_chains(bool chains);
  /// Forgets all states; what chains lead to is kept, for each of the values apart.
  void forget(DataValues values = DataValues::first);

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
    std::uint32_t shown = 0;  // kinds of violations on the path to it
    // Where an NMI or an exception may start a chain.
    std::uint64_t key = 0;  // state_key
    EventState events;
    std::size_t activations = 0;
    std::uint16_t boundary = 0;
    ChainClass chain_class;
    bool exact_place = false;      // the class is of one RIP
    bool open = false;             // events are unmasked, and not because entry code gives back a frame
    ArrivalRecord record;          // of what is delivered there
    ArrivalRecord pending_record;  // and of what is raised there
  };
  /// The graph of the context, or of a chain above it.
  struct Level {
    Visited visited;
    BranchQueue queue;
    std::set<std::pair<GuestAddress, ConditionSet>> nested_twice;
    unsigned repetitions = 0;  // of violations that have been shown often enough
    // Of a chain.
    Chain* chain = nullptr;
    std::uint64_t salt = 0;                   // tells its states from those of others
    Node start;                               // that it interrupted, with opaque values
    Interrupted interrupted;                  // and what code may look at of it
    Looks exact;                              // what members have in common besides their class
    Looks looks;                              // at what else the code looks
    std::uint32_t root = 0;                   // leg
    std::uint64_t number = 0;                 // of what is explored
    std::unordered_set<std::uint64_t> shown;  // ends and violations that have been noted
  };
  struct KnownInstruction {
    const Instruction* instruction = nullptr;  // none at a handler's return
    EventUse event_use = EventUse::always;
    bool reads_beside_stack = false;  // memory that RSP alone does not find
    /// What it changes of the registers, and nothing else does before the next boundary; nothing where that is not
    /// known.
    std::optional<RegisterSet> writes;
  };
  /// Behind all boundaries of a leg.
  static constexpr std::int64_t kEnd = 0xffffffff;
  /// A violation whose cause depends on how the path came there.
  struct Downstream {
    std::uint32_t step = 0;  // of the leg: it shows between the boundary before and this one
    Violation violation;
  };
  /// Kind, instruction judged, conditions and source of a violation; boundary, conditions and kind of the last arrival.
  using CauseKey =
      std::tuple<ViolationKind, GuestAddress, ConditionSet, ViolationSource, GuestAddress, ConditionSet, std::uint32_t>;
  struct CachedCause {
    std::int16_t known = -1;
    GuestAddress cause;
  };

  void forget_chains();
  void forget_states();
  bool at_boundary(const Boundary& boundary) override;
  bool pass(const Boundary& boundary);
  void run_leg();
  void drain();
  void take(const Branch& branch);
  void start_leg(const Branch& branch, ChainEnd* end);
  void begin_leg(const Branch& branch, const ChainEnd* end);
  Leg leg_of(const Branch& branch) const;
  void set_choice(const Branch& branch);

  // Chains (explorer_chains.cpp, explorer_looks.cpp).
  bool starts_chain(Choice::Kind choice, std::size_t activations, std::uint8_t async_exception_mask, bool open) const;
  bool is_open() const;
  bool looks_further(const Boundary& boundary);
  bool note_looks(std::size_t of, const Looks& seen);
  void note_looks_of(const Chain& chain);
  bool is_abandoned() const;
  void note_reaching_frame();
  bool goes_nowhere(const Boundary& boundary, const Choice& choice, std::uint8_t port);
  void count_delivered(std::size_t boundary, const Choice& choice);
  void tell(Chain& chain);
  bool arrives_at(const ChainEnd& end, const Boundary& boundary);
  void note_unlike(std::uint32_t node);
  void take_chain(const Branch& branch);
  Chain* chain_of(const Branch& branch);
  Looks explore_chain(const Branch& branch, std::uint64_t key, const Looks& exact, Chain& chain);
  Looks confirm(const Branch& branch, std::uint64_t key, const Looks& exact, Chain& chain);
  void follow_chain(const Branch& branch, Chain& chain);
  std::uint64_t where_is_what(std::uint32_t node, const Looks& exact);
  std::uint64_t hide(Snapshot& snapshot, const Looks& exact, OpaqueNumber number);
  std::uint64_t key_of(const Node& node);
  std::uint32_t opaque_node(std::uint32_t node, const Chain& chain, const Looks& exact);
  void queue_ends(const Branch& branch, Chain& chain);
  bool leads_nowhere(const Node& node, const ChainEnd& end);
  void take_end(const Branch& branch);
  bool has_to_run(const Chain& chain, ChainEnd& end) const;
  void jump(const Branch& branch, const ChainEnd& end);
  void note_effect(ChainEnd& end);
  void check_effect(ChainEnd& end, const Node& node);
  void pass_on(const Branch& branch);
  void set_way(const Way& way);
  bool follow_way(const Boundary& boundary);
  void arrive_behind(const Boundary& boundary);
  void restore_quiet_stacks(const LiveStacks& live);
  bool ends_chain(const Boundary& boundary);
  void note_resumption();
  void note_end(ChainEnd end, std::uint64_t key);
  void note_in_chain(const Violation& violation);
  std::uint64_t visible_class(const Boundary& boundary);
  std::uint64_t chain_class(std::uint64_t visible);
  void classify(const Boundary& boundary);
  std::uint64_t place_class(GuestAddress place, bool window) const;
  bool is_exact_place(GuestAddress place, bool window) const;
  Level& level() { return levels_[level_]; }
  ExploreCounts& counts() { return level_ == 0 ? result_->counts : level().chain->counts; }
  std::uint64_t full_key(std::uint64_t key, const EventState& events) {
    return with_events(key, events) ^ level().salt;
  }

  /// Whether it is a pending byte that is explored without NMIs and exceptions.
  bool goes_alone(std::uint8_t pending) const {
    return bounds_.nmis + bounds_.exceptions > 0 && pending != 0 &&
           pending != entry().description.pending_values.front();
  }

  void read_registers(const Boundary& boundary);
  void read_stack_pointer();
  void note_written(const Boundary& boundary);
  void note_reached(const Boundary& boundary);
  bool may_choose(const Boundary& boundary);
  bool may_see_event(const Boundary& boundary);
  void follow_stack(const Boundary& boundary);
  void note_outline(const Boundary& boundary);
  void note_unsaid(const Boundary& boundary);
  bool looks_further_at_shared(const Boundary& boundary);
  bool enter_state(const Boundary& boundary);
  void note_stack(const Boundary& boundary);
  void leave_stack(GuestAddress rsp);
  void queue_choices(const Boundary& boundary, std::uint64_t key, const EventState& events);
  void queue_events(const Boundary& boundary, std::uint64_t key, const EventState& events);
  void queue_raise(const Boundary& boundary, const Choice& choice, Port port, std::uint64_t key,
                   const EventState& next);
  void queue_actions(const Boundary& boundary);
  void push(const Boundary& boundary, const Choice& choice, std::uint8_t port, std::uint64_t key);
  std::uint32_t free_node();
  std::uint32_t node_here(const Boundary& boundary);
  void release(std::uint32_t node);
  bool may_arrive() const;
  bool may_interrupt(const Boundary& boundary) const;
  bool may_take_nmi(const Boundary& boundary) const;
  bool would_nest_twice(const Boundary& boundary);
  bool is_known(std::uint64_t key, std::uint32_t shown, std::uint32_t dominating);

  void harvest();
  void note_values_waiting();
  void note_counts(std::span<const BoundaryCounts> before);
  void inherit(const Visited::Slot& joined);
  void judge(const Violation& violation);
  void judge_by_oracle(const Violation& violation);
  void show(const Violation& violation);
  bool is_settled(const Violation& violation);
  void compare_with_reference();
  void note_known(std::int16_t row, GuestAddress cause);

  /// What may still arrive on a path: NMIs and exceptions, or, where it goes alone, neither but all pending bytes.
  std::uint8_t budget_index(unsigned nmis, unsigned exceptions, bool alone) const {
    const unsigned index = alone ? alone_budget() : nmis * (bounds_.exceptions + 1) + exceptions;
    return static_cast<std::uint8_t>(index);
  }
  unsigned alone_budget() const { return (bounds_.nmis + 1) * (bounds_.exceptions + 1); }
  std::uint8_t budget_here() const { return budget_index(nmis_, exceptions_, alone_); }
  void set_budget(std::uint8_t budget);
  bool may_go_alone() const { return alone_ || (nmis_ == bounds_.nmis && exceptions_ == bounds_.exceptions); }

  ExploreBounds bounds_;
  Oracle oracle_;
  Execution execution_;
  Coverage coverage_;  // for what is delivered at each boundary, and folded
  UnsaidValues unsaid_;
  InterruptedReads reads_;
  bool has_nmi_ = false;
  bool by_class_ = false;                       // there are chains
  SharedReads shared_reads_;                    // of code, on any path
  std::vector<KnownInstruction> instructions_;  // by boundary index
  std::uint8_t all_pending_ = 0;                // bits of all values that a raise may set
  std::vector<std::uint32_t> dominating_;       // by budget: the budgets that allow as much

  // Of the exploration that is going on.
  Scenario context_;
  Scenario scenario_;  // with the one arrival that is due
  Outcome outcome_;
  Outcome reference_;
  KeyScope scope_;
  ExploreResult* result_ = nullptr;
  std::deque<Level> levels_;  // [0] is the context's
  std::size_t level_ = 0;
  Snapshot hidden_;             // kept so that it allocates once
  std::uint64_t explored_ = 0;  // contexts and chains, so far
  Chains chains_;
  bool ended_ = false;  // early: all levels
  PathTree paths_;
  std::uint32_t first_leg_ = 1;  // number of the first one of this context, in Visited
  std::deque<Node> nodes_;
  std::vector<std::uint32_t> free_nodes_;
  std::size_t node_bytes_ = 0;
  std::size_t chain_bytes_ = 0;
  std::map<std::uint32_t, std::vector<Downstream>> downstream_;  // by leg, of those that have some
  std::size_t downstream_entries_ = 0;
  std::map<std::uint64_t, CachedCause> causes_;
  std::map<CauseKey, std::int16_t> settled_;  // rows, of violations whose cause is the last arrival before them
  /// How many paths to a violation that no row knows were judged, by its kind and place, and what was delivered to the
  /// context: since `forget`.
  std::map<std::tuple<ViolationKind, GuestAddress, std::uint8_t>, unsigned> unknown_;
  unsigned unknown_runaways_ = 0;
  const std::atomic<bool>* stop_ = nullptr;

  // Of the leg of a path that is being followed.
  std::uint32_t leg_ = 0;
  std::int64_t step_ = 0;
  std::uint32_t handler_calls_ = 0;
  std::uint32_t depth_ = 0;  // choices on the whole path
  unsigned nmis_ = 0;
  unsigned exceptions_ = 0;
  bool alone_ = false;  // a pending byte that goes alone has been raised
  bool skip_first_ = false;
  bool enough_ = false;      // it shows what has been shown often enough
  bool tail_ = false;        // nothing is chosen any more
  unsigned confirming_ = 0;  // levels below that are
  bool passing_on_ = false;  // a violation of a chain
  /// Kinds of violations on the whole path, one bit each: the cause of another of the kind is that of the first one.
  std::uint32_t shown_ = 0;
  const ChainEnd* jumped_ = nullptr;   // behind whose way it starts
  ChainEnd* end_ = nullptr;            // whose way is being followed,
  std::uint32_t from_ = 0;             // from which node,
  std::size_t followed_ = 0;           // how many of its choices have been taken,
  std::uint8_t arrived_ = 0;           // how many arrivals,
  std::uint32_t deliveries_seen_ = 0;  // and what they and others delivered
  std::uint64_t here_key_ = 0;         // of the state that the path is in
  EventState here_events_;
  std::optional<ChainClass> here_class_;
  std::int64_t node_ = -1;
  std::uint64_t outline_ = 0;                // where the path is
  Registers registers_;                      // as they were last read,
  std::optional<RegisterSet> stale_;         // and which may have changed since; nothing: all
  const Instruction* written_by_ = nullptr;  // the last that has changed them, if only such have since they were read
  LiveStacks live_{};
  GuestAddress last_stack_;
  const Instruction* last_instruction_ = nullptr;
  std::size_t activations_seen_ = 0;
  std::vector<DataChange> scratch_;
};

}  // namespace framefold
