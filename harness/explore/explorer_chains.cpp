// Explorer: chains, which are explored once for all that they may interrupt alike (chain.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "explore/explorer.hpp"

namespace framefold {

namespace {

/// What a chain leads to, by what does not depend on values of data. (How many states it has does, and with
/// it by which way an end is found first: values that are the same by chance make two states one.) Of ends that differ
/// in what may still arrive, those with most.
std::set<std::uint64_t> ends_of(const Chain& chain) {
  std::set<std::uint64_t> shown;
  const auto signature = [](const ChainEnd& end) {
    const std::uint64_t key =
        mix(end.live, std::uint64_t{end.returns} | std::uint64_t{end.resumes} << 1 | std::uint64_t{end.identical} << 2 |
                          std::uint64_t{end.handler != nullptr} << 3 | std::uint64_t{end.alone} << 4 |
                          std::uint64_t{end.shown} << 5);
    return with_events(key, end.events);
  };
  for (const ChainEnd& end : chain.ends) {
    const bool less = std::any_of(chain.ends.begin(), chain.ends.end(), [&](const ChainEnd& other) {
      return other.nmis >= end.nmis && other.exceptions >= end.exceptions &&
             other.nmis + other.exceptions > end.nmis + end.exceptions && signature(other) == signature(end);
    });
    if (!less) {
      shown.insert(mix(mix(signature(end), end.nmis), end.exceptions));
    }
  }
  return shown;
}

bool alike(const Chain& a, const Chain& b) { return a.shown == b.shown && ends_of(a) == ends_of(b); }

std::uint64_t mix_record(std::uint64_t hash, const ArrivalRecord& record) {
  hash = mix(mix(hash, record.boundary.value), record.conditions);
  return record.has_cause ? mix(mix(hash, record.cause.value), record.cause_conditions) : hash;
}

}  // namespace

/// What of an interrupted state the code above can tell apart: all that contexts are told apart by, and what Xen, the
/// entry and the oracle keep. Registers are opaque to it, as they are to the code above a context: it saves and
/// restores them. So are flags but DF and the NMI marker, and RIP: but in a window, and in the region, with which the
/// code compares it.
std::uint64_t Explorer::chain_class(const Boundary& boundary) {
  const Guest& guest = execution_.guest();
  const RunState& state = execution_.state();
  const Guest::SharedBytes shared = guest.shared_bytes();
  const ActivationStack& live = execution_.activations();
  const Activation& youngest = live.youngest();
  std::uint64_t key = with_events(1, here_events_);
  key = mix(key, std::uint64_t{guest.shared().upcall_mask()} | std::uint64_t{state.vcpu.async_exception_mask} << 8 |
                     std::uint64_t{state.vcpu.nmi_old_mask} << 16 | std::uint64_t{state.nested_handlers} << 24 |
                     std::uint64_t{state.call_mask} << 32 | std::uint64_t{state.vcpu.nmi_pending} << 40 |
                     std::uint64_t{state.work_asked} << 41 | std::uint64_t{state.work_waiting} << 42 |
                     std::uint64_t{boundary.shadowed} << 43 | static_cast<std::uint64_t>(state.vcpu.mode) << 44);
  key = mix(key, state.nmi_lost.value);
  key = mix(key, state.nmi_lost_conditions);
  key = mix(key, std::uint64_t{youngest.window} | std::uint64_t{youngest.marked} << 1 |
                     std::uint64_t{youngest.interrupted_window >= 0} << 2 |
                     static_cast<std::uint64_t>(youngest.kind()) << 3);
  key = mix(key, execution_.conditions_of(youngest));
  for (const std::uint8_t ports : shared.mask) {
    key = mix(key, ports);
  }
  guest.data_changes(scratch_);
  for (const DataChange& change : scratch_) {
    key = mix(key, change.address.value << 8 | change.value);
  }
  for (const std::uint16_t selector : registers_.segment) {
    key = mix(key, selector);
  }
  key = mix(key, registers_.rflags & (rflags::kDf | rflags::kNmiMarker));
  key = mix(key, place_class(boundary.address, youngest.window));
  const GuestAddress rsp{registers_[Gpr::rsp]};
  const std::optional<StackId> stack = guest.stack_of(rsp - 1);
  key = mix(key, rsp.value % 16 << 8 | (stack ? static_cast<std::uint64_t>(*stack) : kStackCount));
  key = mix(key, std::min<std::uint64_t>(live.count, bounds_.nested_depth + 1) << 1 | std::uint64_t{bounds_.actions});
  key = mix(key, scope_.with_handled ? std::hash<std::bitset<kPortCount>>{}(outcome_.handled) : 0);
  const Context& context = context_.context;
  const bool unmasks = context_.event_actions[0].unmask_port && context.has_masked_port &&
                       guest.shared().port_masked({context.masked_port});
  key = mix(key, unmasks ? context.masked_port + 1U : 0U);
  key = mix(key, shown_);
  return mix(key, bounds_.choices == 0 ? 0 : depth_) | 1;
}

/// Of an interrupted RIP: on which side of the region it lies, and of which of those that the oracle tells apart it is.
std::uint64_t Explorer::place_class(GuestAddress place, bool window) const {
  enum : std::uint64_t { text, stub, elsewhere, exact };
  const GuestRange& region = entry().region;
  if (bounds_.chains == Chains::by_place || window || region.contains(place)) {
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

std::uint64_t Explorer::chain_key(std::uint64_t chain_class, std::uint8_t budget, const Choice& choice,
                                  std::uint8_t port) const {
  return mix(mix(chain_class, budget), static_cast<std::uint64_t>(choice.kind) | std::uint64_t{choice.vector} << 8 |
                                           std::uint64_t{choice.pending_value} << 16 | std::uint64_t{port} << 24);
}

/// Whether the choice starts a chain of which all has been said and checked for this boundary, and whose ways out all
/// lead to known states: most do, and need no snapshot.
bool Explorer::goes_nowhere(const Boundary& boundary, const Choice& choice, std::uint8_t port) {
  const ActivationStack& live = execution_.activations();
  if (!starts_chain(choice.kind, live.count, execution_.state().vcpu.async_exception_mask,
                    !live.empty() && is_open())) {
    return false;
  }
  if (here_class_ == 0) {
    here_class_ = chain_class(boundary);
  }
  auto& chains = chains_[static_cast<std::size_t>(values_)];
  const auto found = chains.find(chain_key(here_class_, budget_here(), choice, port));
  if (found == chains.end()) {
    return false;
  }
  Chain& chain = found->second;
  if (!chain.explored || !chain.violations.empty() || !chain.places[boundary.index] ||
      !(chain.confirmed || chain.member == mix_registers(1, registers_, entry().width())) ||
      !std::all_of(chain.ends.begin(), chain.ends.end(), [&](const ChainEnd& end) {
        return end.identical && is_known(full_key(here_key_, end.events), shown_ | end.shown,
                                         dominating_[budget_index(end.nmis, end.exceptions, end.alone)]);
      })) {
    return false;
  }
  counts().transitions += chain.ends.size();
  count_delivered(boundary.index, choice.kind);
  tell(chain);
  return true;
}

/// What starts a chain is delivered; coverage sees none of it.
void Explorer::count_delivered(std::size_t boundary, Choice::Kind choice) {
  if (const std::optional<ArrivalKind> kind = arrival_kind(choice)) {
    ++result_->boundaries[boundary].delivered[static_cast<std::size_t>(*kind)];
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
  const std::uint64_t member = mix_registers(1, nodes_[branch.node].snapshot.registers, entry().width());
  const std::uint64_t key =
      chain_key(nodes_[branch.node].chain_class, nodes_[branch.node].budget, branch.choice, branch.port);
  auto& chains = chains_[static_cast<std::size_t>(values_)];
  Chain& chain = chains[key];
  if (chain.exploring) {  // code that goes on so needs no summary
    start_leg(branch, nullptr);
    run_leg();
    return;
  }
  if (!chain.explored) {
    chain.places.resize(instructions_.size());
    chain.exploring = true;
    explore_chain(branch, key, chain);
    chain.exploring = false;
    chain.member = member;
    if (ended_) {
      chains.erase(key);
      return;
    }
    chain.explored = true;
    constexpr std::size_t kNodes = 8 * 48;  // of the containers that it is in and has, about
    chain_bytes_ += sizeof chain + sizeof(ExploreCounts) + kNodes;
    result_->chains.emplace(key, chain.counts);
  } else if (!chain.confirmed && chain.member != member) {
    chain.confirmed = true;
    confirm(branch, key, chain);
    if (ended_) {
      return;
    }
  }
  tell(chain);
  const Node& node = nodes_[branch.node];
  count_delivered(node.boundary, branch.choice.kind);
  if (!chain.violations.empty() &&
      level().shown.insert(mix_record(mix_record(key, node.record), node.pending_record)).second) {
    Branch shown = branch;
    shown.kind = Branch::Kind::chain_violation;
    shown.chain = &chain;
    for (shown.index = 0; shown.index < chain.violations.size(); ++shown.index) {
      ++nodes_[branch.node].references;
      level().queue.push(node.depth + 1 + static_cast<std::uint32_t>(chain.violations[shown.index].way.size()), shown);
    }
  }
  const bool first_here = !chain.places[node.boundary];
  chain.places[node.boundary] = true;
  queue_ends(branch, chain, first_here && chain.member != member);
}

void Explorer::explore_chain(const Branch& branch, std::uint64_t key, Chain& chain) {
  const std::size_t legs = paths_.size();
  if (++level_ == levels_.size()) {
    levels_.emplace_back();
  }
  Level& above = level();
  above.visited.clear();
  above.nested_twice.clear();
  above.repetitions = 0;
  above.shown.clear();
  above.chain = &chain;
  above.salt = key;
  above.start = nodes_[branch.node];
  above.root = static_cast<std::uint32_t>(legs);
  above.number = ++explored_;
  execution_.set_coverage(nullptr);
  start_leg(branch, nullptr);
  run_leg();
  drain();
  paths_.cut(legs);
  const auto first = downstream_.lower_bound(first_leg_ + static_cast<std::uint32_t>(legs));
  std::for_each(first, downstream_.end(), [this](const auto& of_leg) { downstream_entries_ -= of_leg.second.size(); });
  downstream_.erase(first, downstream_.end());
  --level_;
  if (level_ == 0) {
    execution_.set_coverage(&coverage_);
  }
}

/// The class again, from another member of it.
void Explorer::confirm(const Branch& branch, std::uint64_t key, const Chain& chain) {
  Chain second;
  explore_chain(branch, key, second);
  if (!ended_ && !alike(chain, second)) {
    note_unlike(branch.node);
  }
}

void Explorer::note_unlike(std::uint32_t node) {
  result_->unlike.insert(format_location(entry(), nodes_[node].record.boundary));
}

/// Where a chain leads from here: known, or to be gone on from. `all`: the known as well.
void Explorer::queue_ends(const Branch& branch, const Chain& chain, bool all) {
  Branch behind = branch;
  behind.kind = Branch::Kind::chain_end;
  behind.chain = &chain;
  behind.checked = all;
  for (behind.index = 0; behind.index < chain.ends.size(); ++behind.index) {
    const ChainEnd& end = chain.ends[behind.index];
    const Node& node = nodes_[branch.node];
    if (!all && end.identical &&
        is_known(full_key(node.key, end.events), node.shown | end.shown,
                 dominating_[budget_index(end.nmis, end.exceptions, end.alone)])) {
      ++counts().transitions;
      continue;
    }
    ++nodes_[branch.node].references;
    level().queue.push(node.depth + 1 + static_cast<std::uint32_t>(end.way.size()), behind);
  }
}

void Explorer::take_end(const Branch& branch) {
  const ChainEnd& end = branch.chain->ends[branch.index];
  const Node& node = nodes_[branch.node];
  if (!branch.checked && end.identical &&
      is_known(full_key(node.key, end.events), node.shown | end.shown,
               dominating_[budget_index(end.nmis, end.exceptions, end.alone)])) {
    ++counts().transitions;
    return;
  }
  const auto arrives = [](const WayStep& step) { return step.choice.kind != Choice::Kind::action; };
  if (std::count_if(end.way.begin(), end.way.end(), arrives) >= static_cast<std::ptrdiff_t>(kMaxArrivals)) {
    result_->inexpressible.emplace("a way through what an NMI or exception starts");
    return;
  }
  start_leg(branch, &end);
  run_leg();
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
  show(violation.violation);
}

}  // namespace framefold
