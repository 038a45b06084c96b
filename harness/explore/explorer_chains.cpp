// Explorer: chains, which are explored once for all that they may interrupt alike (chain.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

#include "explore/explorer.hpp"

namespace framefold {

namespace {

std::uint64_t mix_record(std::uint64_t hash, const ArrivalRecord& record) {
  hash = mix(mix(hash, record.boundary.value), record.conditions);
  return record.has_cause ? mix(mix(hash, record.cause.value), record.cause_conditions) : hash;
}

}  // namespace

/// What of an interrupted state code above may tell apart, before it looks at more (`looks_further`), and what decides
/// what may be delivered there.
std::uint64_t Explorer::visible_class(const Boundary& boundary) {
  const Guest& guest = execution_.guest();
  const RunState& state = execution_.state();
  const Activation& youngest = execution_.activations().youngest();
  std::uint64_t key = with_events(1, here_events_);
  key = mix(key, std::uint64_t{guest.shared().upcall_mask()} | std::uint64_t{state.vcpu.async_exception_mask} << 8 |
                     std::uint64_t{state.vcpu.nmi_old_mask} << 16 | std::uint64_t{state.vcpu.nmi_pending} << 24 |
                     std::uint64_t{boundary.shadowed} << 25 | std::uint64_t{youngest.window} << 26 |
                     std::uint64_t{bounds_.actions} << 27 | static_cast<std::uint64_t>(state.vcpu.mode) << 28);
  guest.data_changes(scratch_);
  for (const DataChange& change : scratch_) {
    key = mix(key, change.address.value << 8 | change.value);
  }
  for (const std::uint16_t selector : registers_.segment) {
    key = mix(key, selector);
  }
  key = mix(mix(key, registers_.gs_base), registers_.fs_base);
  key = mix(key, scope_.with_fault_address ? guest.shared().cr2() : 0);
  key = mix(key, registers_.rflags & ~(kDataFlags | rflags::kRf));
  key = mix(key, place_class(boundary.address, youngest.window));
  const GuestAddress rsp{registers_[Gpr::rsp]};
  const std::optional<StackId> stack = guest.stack_of(rsp - 1);
  return mix(key,
             rsp.value % reads_.stack_alignment() << 8 | (stack ? static_cast<std::uint64_t>(*stack) : kStackCount));
}

/// With what contexts are told apart by besides, and what Xen, the handlers' model and the oracle keep.
std::uint64_t Explorer::chain_class(std::uint64_t visible) {
  const Guest& guest = execution_.guest();
  const RunState& state = execution_.state();
  const ActivationStack& live = execution_.activations();
  const Activation& youngest = live.youngest();
  std::uint64_t key =
      mix(visible, std::uint64_t{state.nested_handlers} | std::uint64_t{state.call_mask} << 8 |
                       std::uint64_t{state.work_asked} << 16 | std::uint64_t{state.work_waiting} << 17 |
                       std::uint64_t{youngest.marked} << 18 | std::uint64_t{youngest.interrupted_window >= 0} << 19 |
                       static_cast<std::uint64_t>(youngest.kind()) << 20 | std::uint64_t{youngest.lowered} << 24);
  key = mix(key, state.nmi_lost.value);
  key = mix(key, state.nmi_lost_conditions);
  key = mix(key, execution_.conditions_of(youngest));
  for (const std::uint8_t ports : guest.shared_bytes().mask) {
    key = mix(key, ports);
  }
  key = mix(key, std::min<std::uint64_t>(live.count, bounds_.nested_depth + 1));
  key = mix(key, scope_.with_handled ? std::hash<std::bitset<kPortCount>>{}(outcome_.handled) : 0);
  const Context& context = context_.context;
  const bool unmasks = context_.event_actions[0].unmask_port && context.has_masked_port &&
                       guest.shared().port_masked({context.masked_port});
  key = mix(key, unmasks ? context.masked_port + 1U : 0U);
  key = mix(key, shown_);
  return mix(key, bounds_.choices == 0 ? 0 : depth_);
}

/// Of the state that the path is in: computed once.
void Explorer::classify(const Boundary& boundary) {
  if (!here_class_) {
    const std::uint64_t visible = visible_class(boundary);
    here_class_ = {visible, chain_class(visible)};
  }
}

bool Explorer::is_exact_place(GuestAddress place, bool window) const {
  return window || entry().critical.contains(place);
}

/// Of an interrupted RIP: on which side of the region it lies, and of which of those that the oracle tells apart it is.
std::uint64_t Explorer::place_class(GuestAddress place, bool window) const {
  enum : std::uint64_t { text, stub, elsewhere, exact };
  const GuestRange& region = entry().critical;
  if (is_exact_place(place, window)) {
    return exact + (place.value << 2);
  }
  const std::uint64_t kind = entry().text.contains(place)                      ? text
                             : execution_.guest().stub_range().contains(place) ? stub
                                                                               : elsewhere;
  return kind | (place < region.begin ? 0U : 4U);
}

/// An NMI or an exception anywhere; an event where nothing is being given back, so that none can be folded.
bool Explorer::starts_chain(Choice::Kind choice, std::size_t activations, std::uint8_t async_exception_mask,
                            bool open) const {
  if (!by_class_ || activations == 0) {
    return false;
  }
  switch (choice) {
    case Choice::Kind::exception:
      return true;
    case Choice::Kind::nmi:
      return (async_exception_mask & kTrapNmi) == 0;
    case Choice::Kind::event:
    case Choice::Kind::tick:
      return open;
    case Choice::Kind::none:
    case Choice::Kind::action:
      return false;
  }
  return false;
}

bool Explorer::is_open() const {
  return execution_.guest().shared().upcall_mask() == 0 && !execution_.activations().youngest().window;
}

/// Whether the choice starts a chain of which all has been said, and whose ways out all lead to known states: most do,
/// and need no snapshot.
bool Explorer::goes_nowhere(const Boundary& boundary, const Choice& choice, std::uint8_t port) {
  const ActivationStack& live = execution_.activations();
  if (!starts_chain(choice.kind, live.count, execution_.state().vcpu.async_exception_mask,
                    !live.empty() && is_open())) {
    return false;
  }
  classify(boundary);
  const std::uint64_t key = chain_key(here_class_->whole, budget_here(), choice, port);
  const Looks* const looks = chains_.find_looks(key);
  if (looks == nullptr || (looks->has(Look::memory) && !looks->has(Look::values))) {
    return false;
  }
  Chain* const found = chains_.find(exact_key(key, *looks, registers_, here_key_));
  if (found == nullptr) {
    return false;
  }
  Chain& chain = *found;
  if (!chain.explored || !chain.violations.empty() || (level_ > 0 && !chain.below.empty()) ||
      !(chain.confirmed || chain.member == mix_registers(1, registers_, entry().width())) ||
      !std::all_of(chain.ends.begin(), chain.ends.end(), [&](const ChainEnd& end) {
        return end.identical && is_known(full_key(here_key_, end.events), shown_ | end.shown,
                                         dominating_[budget_index(end.nmis, end.exceptions, end.alone)]);
      })) {
    return false;
  }
  counts().transitions += chain.ends.size();
  count_delivered(boundary.index, choice);
  tell(chain);
  return true;
}

/// What starts a chain is delivered; coverage sees none of it.
void Explorer::count_delivered(std::size_t boundary, const Choice& choice) {
  if (arrival_kind(choice.kind)) {
    const ArrivalKind kind = arrival_of(choice, 0, 0).counted_as();
    ++result_->boundaries[boundary].delivered[static_cast<std::size_t>(kind)];
  }
}

/// What showed in the chain, whatever was interrupted, has shown on this level.
void Explorer::tell(Chain& chain) {
  if (std::exchange(chain.told, level().number) == level().number) {
    return;
  }
  auto& known = level_ == 0 ? result_->known : level().chain->known;
  known.insert(chain.known.begin(), chain.known.end());
  if (level_ > 0) {
    level().chain->shown.insert(chain.shown.begin(), chain.shown.end());
  }
}

void Explorer::take_chain(const Branch& branch) {
  Chain* const chain = chain_of(branch);
  if (ended_ || is_abandoned()) {
    return;
  }
  if (chain == nullptr) {
    start_leg(branch, nullptr);
    run_leg();
    return;
  }
  follow_chain(branch, *chain);
}

/// What is known of what the choice starts; explored where it is not. Nothing where the code goes on so, and where
/// exploration ends early.
Chain* Explorer::chain_of(const Branch& branch) {
  const Registers interrupted = nodes_[branch.node].snapshot.registers;
  const std::uint64_t member = mix_registers(1, interrupted, entry().width());
  const ChainClass of = nodes_[branch.node].chain_class;
  const auto key_in = [&, budget = nodes_[branch.node].budget](std::uint64_t chain_class) {
    return chain_key(chain_class, budget, branch.choice, branch.port);
  };
  const std::uint64_t class_key = key_in(of.whole);
  Looks& exact = chains_.looks_of(class_key);
  for (;;) {
    const bool folds = exact.has(Look::memory) && !exact.has(Look::values);
    const std::uint64_t state = folds ? where_is_what(branch.node, exact) : nodes_[branch.node].key;
    const std::uint64_t key = exact_key(class_key, exact, interrupted, state);
    Chain& chain = chains_[key];
    if (chain.exploring) {
      return nullptr;
    }
    Looks seen;
    if (!chain.explored) {
      chain.exploring = true;
      chain.member = member;
      chain.flags = interrupted.rflags & kDataFlags;
      seen = explore_chain(branch, key, exact, chain);
      chain.exploring = false;
      chain.explored = true;
      if (ended_ || is_abandoned() || !seen.none()) {
        chains_.erase(key);
      }
    } else if (!chain.confirmed && chain.member != member) {
      const std::uint64_t visible = exact_key(key_in(of.visible), exact, interrupted, state);
      if (!chains_.is_confirmed(visible)) {
        seen = confirm(branch, key, exact, chain);
      }
      chain.confirmed = seen.none() && !ended_ && !is_abandoned();
      if (chain.confirmed) {
        chains_.confirm(visible);
      }
    }
    if (ended_ || is_abandoned()) {
      return nullptr;
    }
    if (seen.none()) {
      note_looks_of(chain);
      return &chain;
    }
    exact.add(seen);
  }
}

/// From the state that the branch starts at, which is a member.
void Explorer::follow_chain(const Branch& branch, Chain& chain) {
  if (chain.bytes == 0) {
    constexpr std::size_t kNodes = 384;  // of the containers that it is in and has, about
    chain.bytes = sizeof chain + sizeof(ExploreCounts) + kNodes;
    chain_bytes_ += chain.bytes;
    result_->chains.emplace(chain.key, chain.counts);
  }
  tell(chain);
  const Node& node = nodes_[branch.node];
  count_delivered(node.boundary, branch.choice);
  if (!chain.violations.empty() &&
      level().shown.insert(mix_record(mix_record(chain.key, node.record), node.pending_record)).second) {
    Branch shown = branch;
    shown.kind = Branch::Kind::chain_violation;
    shown.chain = &chain;
    for (shown.index = 0; shown.index < chain.violations.size(); ++shown.index) {
      ++nodes_[branch.node].references;
      level().queue.push(node.depth + 1 + static_cast<std::uint32_t>(chain.violations[shown.index].way.size()), shown);
    }
  }
  queue_ends(branch, chain);
}

/// Where in a state what the youngest activation interrupted is: a key.
std::uint64_t Explorer::where_is_what(std::uint32_t node, const Looks& exact) {
  hidden_ = nodes_[node].snapshot;
  return hide(hidden_, exact, {});
}

std::uint64_t Explorer::hide(Snapshot& snapshot, const Looks& exact, OpaqueNumber number) {
  const Guest& guest = execution_.guest();
  const std::optional<StackId> stack = guest.stack_of(GuestAddress{snapshot.registers[Gpr::rsp]});
  if (!stack) {
    snapshot.registers = with_opaque_values(snapshot.registers, entry().width(), number);
    return 0;
  }
  return hide_interrupted(snapshot, *stack, guest.stack_range(*stack), exact, entry().width(), number);
}

/// A node like `node`, with opaque values instead of what code should not look at.
std::uint32_t Explorer::opaque_node(std::uint32_t node, const Chain& chain, const Looks& exact) {
  const std::uint32_t index = free_node();
  node_bytes_ -= nodes_[index].snapshot.size();
  nodes_[index] = nodes_[node];
  node_bytes_ += nodes_[index].snapshot.size();
  nodes_[index].references = 1;
  if (exact.has(Look::values)) {
    return index;
  }
  const bool again = chain.explored;
  const OpaqueNumber number{level_, again};
  Snapshot& snapshot = nodes_[index].snapshot;
  Registers& registers = snapshot.registers;
  if (exact.has(Look::memory)) {
    hide(snapshot, exact, number);
  } else {
    registers = with_opaque_values(registers, entry().width(), number);
  }
  if (again && !exact.has(Look::flags)) {
    registers.rflags = (registers.rflags & ~kDataFlags) | (~chain.flags & kDataFlags);
  }
  return index;
}

/// From one member for all. Ends early where the code looks at more than what is `exact`: at what.
Looks Explorer::explore_chain(const Branch& branch, std::uint64_t key, const Looks& exact, Chain& chain) {
  const std::size_t legs = paths_.size();
  Branch opaque = branch;
  if (++level_ == levels_.size()) {
    levels_.emplace_back();
  }
  opaque.node = opaque_node(branch.node, chain, exact);
  Level& above = level();
  above.visited.clear();
  above.nested_twice.clear();
  above.repetitions = 0;
  above.shown.clear();
  above.chain = &chain;
  above.salt = key;
  above.start = nodes_[opaque.node];
  above.interrupted = {above.start.snapshot.registers,
                       above.start.snapshot.live,
                       execution_.guest().stack_of(GuestAddress{above.start.snapshot.registers[Gpr::rsp]}),
                       exact.has(Look::memory),
                       {},
                       level_};
  above.exact = exact;
  above.looks = {};
  above.root = static_cast<std::uint32_t>(legs);
  above.number = ++explored_;
  chain.key = key;
  execution_.set_coverage(nullptr);
  start_leg(opaque, nullptr);
  above.start.key = key_of(above.start);
  run_leg();
  drain();
  release(opaque.node);
  paths_.cut(legs);
  const auto first = downstream_.lower_bound(first_leg_ + static_cast<std::uint32_t>(legs));
  std::for_each(first, downstream_.end(), [this](const auto& of_leg) { downstream_entries_ -= of_leg.second.size(); });
  downstream_.erase(first, downstream_.end());
  --level_;
  if (level_ == 0) {
    execution_.set_coverage(&coverage_);
  }
  return above.looks;
}

/// Of the state that was just restored from it.
std::uint64_t Explorer::key_of(const Node& node) {
  Registers registers = node.snapshot.registers;
  registers.rflags &= ~rflags::kRf;
  const Boundary boundary{GuestAddress{registers.rip}, node.boundary, node.snapshot.state.shadow, nullptr};
  return state_key(execution_, scope_, boundary, registers, node.snapshot.live, outcome_, scratch_);
}

/// Once more, with the other flags and other values: what the code looks at where that makes a difference.
Looks Explorer::confirm(const Branch& branch, std::uint64_t key, const Looks& exact, Chain& chain) {
  Chain second;
  second.explored = true;
  second.flags = chain.flags;
  ++confirming_;
  Looks seen = explore_chain(branch, key, exact, second);
  --confirming_;
  chain.below.resize(std::max(chain.below.size(), second.below.size()));
  for (std::size_t i = 0; i < second.below.size(); ++i) {
    chain.below[i].add(second.below[i]);
  }
  if (!seen.none() || ended_ || is_abandoned() || alike(chain, second)) {
    return seen;
  }
  seen.add(exact.has(Look::flags) ? Look::values : Look::flags);
  return seen;
}

void Explorer::note_unlike(std::uint32_t node) {
  result_->unlike.insert(format_location(entry(), nodes_[node].record.boundary));
}

/// Where a chain leads from here: known, or to be gone on from.
void Explorer::queue_ends(const Branch& branch, Chain& chain) {
  Branch behind = branch;
  behind.kind = Branch::Kind::chain_end;
  behind.chain = &chain;
  for (behind.index = 0; behind.index < chain.ends.size(); ++behind.index) {
    const ChainEnd& end = chain.ends[behind.index];
    if (leads_nowhere(nodes_[branch.node], end)) {
      ++counts().transitions;
      continue;
    }
    ++nodes_[branch.node].references;
    level().queue.push(nodes_[branch.node].depth + 1 + static_cast<std::uint32_t>(end.way.size()), behind);
  }
}

/// Back to the interrupted state, with events that are known.
bool Explorer::leads_nowhere(const Node& node, const ChainEnd& end) {
  return end.identical && is_known(full_key(node.key, end.events), node.shown | end.shown,
                                   dominating_[budget_index(end.nmis, end.exceptions, end.alone)]);
}

void Explorer::take_end(const Branch& branch) {
  ChainEnd& end = branch.chain->ends[branch.index];
  if (leads_nowhere(nodes_[branch.node], end)) {
    ++counts().transitions;
    return;
  }
  const auto arrives = [](const WayStep& step) { return step.choice.kind != Choice::Kind::action; };
  if (std::count_if(end.way.begin(), end.way.end(), arrives) >= static_cast<std::ptrdiff_t>(kMaxArrivals)) {
    result_->inexpressible.emplace("a way through what an NMI or exception starts");
    return;
  }
  if (has_to_run(*branch.chain, end)) {
    start_leg(branch, &end);
  } else {
    jump(branch, end);
  }
  run_leg();
}

/// A way is run now and then, to see that it leads where it should: wherever it shows what is not settled, and at least
/// once where coverage is counted.
bool Explorer::has_to_run(const Chain& chain, ChainEnd& end) const {
  const bool again = std::has_single_bit(++end.taken) || (level_ == 0 && !end.covered);
  end.covered = end.covered || level_ == 0;
  return again || !bounds_.jumps || !end.effect || !chain.violations.empty();
}

/// A violation of the chain, as one of the path that leads here.
void Explorer::pass_on(const Branch& branch) {
  const ChainViolation& violation = branch.chain->violations[branch.index];
  const Node& node = nodes_[branch.node];
  Leg leg = leg_of(branch);
  leg.record = node.record;
  leg.way = &violation.way;
  leg_ = paths_.add(leg);
  step_ = kEnd;
  shown_ = node.shown;
  passing_on_ = true;
  show(violation.violation);
  passing_on_ = false;
}

}  // namespace framefold
