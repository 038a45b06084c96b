#include "explore/explorer.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

namespace framefold {

namespace {

/// Whether an event interrupted the window of an event that itself interrupted one, and neither was folded.
bool nests_twice(const ActivationStack& activations) {
  const auto in_window = [&](const Activation& a) {
    return a.kind() == DeliveryKind::event && a.interrupted_window >= 0;
  };
  const auto interrupted_by = [&](const Activation& a) -> const Activation& {
    return activations.items[static_cast<std::uint8_t>(a.interrupted_window)];
  };
  return std::any_of(activations.items.begin(), activations.items.begin() + activations.count,
                     [&](const Activation& a) { return in_window(a) && in_window(interrupted_by(a)); });
}

}  // namespace

Explorer::Explorer(const Entry& entry, const ExploreBounds& bounds)
    : bounds_(bounds),
      oracle_(entry),
      execution_(entry),
      coverage_(entry, {}),
      unsaid_(entry),
      reads_(entry, execution_.guest()),
      chains_(entry) {
  ExecutionOptions options;
  options.runaway_limit = oracle_.runaway_limit();
  execution_.set_options(options);
  has_nmi_ = std::any_of(entry.vectors.begin(), entry.vectors.end(),
                         [](const Vector& v) { return v.description.kind == DeliveryKind::nmi; });
  const auto add_instruction = [&](const Instruction& instruction) {
    const std::span<const MemoryOperand> accesses = instruction.accesses();
    const bool beside_stack = std::any_of(accesses.begin(), accesses.end(), [](const MemoryOperand& operand) {
      return operand.read && !operand.stack_slot;
    });
    instructions_.push_back({&instruction, event_use(instruction, entry, execution_.guest().stub_range()), beside_stack,
                             instruction.writes});
  };
  std::for_each(entry.instructions.begin(), entry.instructions.end(), add_instruction);
  const std::span<const Instruction> stub = execution_.guest().stub();
  std::for_each(stub.begin(), stub.end(), add_instruction);
  instructions_.resize(boundary_count(entry), {});
  const auto is_modelled = [&](GuestAddress function) {  // what happens there is the model's
    if (const Instruction* const first = find_instruction(entry, function)) {
      instructions_[static_cast<std::size_t>(first - entry.instructions.data())].writes.reset();
    }
  };
  std::for_each(entry.vectors.begin(), entry.vectors.end(), [&](const Vector& vector) { is_modelled(vector.handler); });
  std::for_each(entry.calls.begin(), entry.calls.end(), [&](const Call& call) { is_modelled(call.address); });
  for (const std::uint8_t value : entry.description.pending_values) {
    all_pending_ = static_cast<std::uint8_t>(all_pending_ | value);
  }
  const auto is_exception = [](const Vector& v) { return v.description.kind == DeliveryKind::exception; };
  if (!has_nmi_) {  // what cannot arrive is no reason to look at a state
    bounds_.nmis = 0;
  }
  if (std::none_of(entry.vectors.begin(), entry.vectors.end(), is_exception)) {
    bounds_.exceptions = 0;
  }
  set_chains(bounds_.chains);
  levels_.emplace_back();
  dominating_.resize(alone_budget() + 1);
  const std::uint32_t most = 1U << budget_index(bounds_.nmis, bounds_.exceptions, false);
  for (unsigned nmis = 0; nmis <= bounds_.nmis; ++nmis) {
    for (unsigned exceptions = 0; exceptions <= bounds_.exceptions; ++exceptions) {
      std::uint32_t& set = dominating_[budget_index(nmis, exceptions, false)];
      for (unsigned more = nmis; more <= bounds_.nmis; ++more) {
        for (unsigned others = exceptions; others <= bounds_.exceptions; ++others) {
          set |= 1U << budget_index(more, others, false);
        }
      }
    }
  }
  dominating_[budget_index(0, 0, false)] |= 1U << alone_budget();
  dominating_[alone_budget()] = most | 1U << alone_budget();
}

/// An outline is of the whole graph.
void Explorer::set_chains(bool chains) {
  forget_chains();
  shared_reads_ = {};
  bounds_.chains = chains;
  by_class_ = chains && !bounds_.outline && bounds_.nmis + bounds_.exceptions > 0;
}

void Explorer::forget_chains() {
  chains_.clear();
  chain_bytes_ = 0;
}

void Explorer::forget(DataValues values) {
  chains_.use(values);
  forget_states();
}

void Explorer::forget_states() {
  levels_[0].visited.clear();
  downstream_.clear();
  downstream_entries_ = 0;
  unknown_.clear();
  unknown_runaways_ = 0;
  levels_[0].repetitions = 0;
}

std::size_t Explorer::memory_used() const {
  constexpr std::size_t kNode = 48;  // of a container, about
  std::size_t bytes = paths_.bytes() + node_bytes_ + nodes_.size() * (sizeof(Node) - sizeof(Snapshot)) + chain_bytes_ +
                      causes_.size() * (sizeof(CachedCause) + kNode) + downstream_entries_ * sizeof(Downstream);
  for (const Level& level : levels_) {
    bytes += level.visited.bytes() + level.queue.bytes() + level.shown.size() * kNode;
  }
  return bytes;
}

bool Explorer::explore(const Scenario& context, ExploreResult& result, const std::atomic<bool>* stop) {
  context_ = scenario_ = context;
  result_ = &result;
  result.boundaries.resize(boundary_count(entry()));
  result.covered.resize(boundary_count(entry()));
  result.unmasked.resize(boundary_count(entry()));
  ++result.counts.contexts;
  execution_.set_observer(nullptr);
  execution_.run_nested(context, 0, reference_);
  execution_.set_observer(this);
  execution_.set_coverage(&coverage_);
  const std::vector<BoundaryCounts> before(coverage_.counts().begin(), coverage_.counts().end());

  first_leg_ += static_cast<std::uint32_t>(paths_.size());
  paths_.clear();
  levels_[0].nested_twice.clear();
  levels_[0].shown.clear();
  levels_[0].repetitions = 0;
  levels_[0].number = ++explored_;
  stop_ = stop;
  ended_ = false;
  leg_ = paths_.add({});
  set_budget(budget_index(bounds_.nmis, bounds_.exceptions, goes_alone(context.context.pending)));
  shown_ = 0;
  handler_calls_ = 0;
  depth_ = 0;
  execution_.begin(scenario_, outcome_);
  scope_ = scope_of(execution_, context);
  const SharedReads known_reads = shared_reads_;
  scope_.with_fault_address = known_reads.fault_address;
  for (std::size_t i = 0; i < kStackCount; ++i) {
    live_[i] = execution_.guest().stack_range(static_cast<StackId>(i)).end;
  }
  activations_seen_ = 0;
  outline_ = outline_start(scope_.seed, context);
  result.outline.add_joint(outline_);
  skip_first_ = false;
  run_leg();
  drain();
  note_counts(before);
  result.reads_ports = result.reads_ports || shared_reads_.ports;
  if (shared_reads_ == known_reads) {
    return true;
  }
  forget_chains();
  forget_states();
  return false;
}

/// Takes what is queued on this level, and what that queues, until nothing is left or exploration ends early.
void Explorer::drain() {
  BranchQueue& queue = level().queue;
  while (!queue.empty() && !ended_ && !is_abandoned()) {
    if (stop_ != nullptr && stop_->load(std::memory_order_relaxed)) {
      result_->interrupted = ended_ = true;
    } else if (level().repetitions > kMostRepetitions || (bounds_.stop_at_violation && !result_->violations.empty())) {
      result_->cut_short = ended_ = true;
    } else if (memory_used() > bounds_.memory) {
      result_->out_of_memory = ended_ = true;
      note_values_waiting();
    } else {
      const Branch branch = queue.pop();
      take(branch);
      release(branch.node);
    }
  }
  while (!queue.empty()) {
    release(queue.pop().node);
  }
}

/// A word that counts has as many as there were counts. The first value is one, where some state still has it.
void Explorer::note_values_waiting() {
  constexpr std::uint64_t kWord = sizeof(std::uint32_t);
  std::map<GuestAddress, std::set<std::uint64_t>> values;  // bytes that changed, and above them which
  std::map<GuestAddress, std::size_t> changed;
  std::size_t states = 0;
  for (Node& node : nodes_) {
    if (node.references == 0) continue;
    ++states;
    const std::span<const std::uint8_t> data = parts_of(node.snapshot).data;
    std::map<GuestAddress, std::uint64_t> words;
    for (std::size_t at = 0; at + sizeof(DataChange) <= data.size(); at += sizeof(DataChange)) {
      DataChange change;
      std::memcpy(&change, data.data() + at, sizeof change);
      const std::uint64_t byte = change.address.value % kWord;
      words[change.address - byte] |= std::uint64_t{change.value} << (8 * byte) | std::uint64_t{1}
                                                                                      << (8 * kWord + byte);
    }
    for (const auto& [word, value] : words) {
      values[word].insert(value);
      ++changed[word];
    }
  }
  for (const auto& [word, seen] : values) {
    result_->values_waiting[word] = seen.size() + (changed[word] < states ? 1 : 0);
  }
}

void Explorer::note_counts(std::span<const BoundaryCounts> before) {
  const std::span<const BoundaryCounts> now = coverage_.counts();
  for (std::size_t i = 0; i < now.size(); ++i) {
    BoundaryTally& tally = result_->boundaries[i];
    for (std::size_t kind = 0; kind < kDeliveryKindCount; ++kind) {
      tally.folds += now[i].folded[kind] - before[i].folded[kind];
    }
    for (std::size_t kind = 0; kind < kArrivalKindCount; ++kind) {
      tally.delivered[kind] += now[i].delivered[kind] - before[i].delivered[kind];
    }
  }
}

void Explorer::take(const Branch& branch) {
  if (branch.kind == Branch::Kind::chain_end) {
    take_end(branch);
  } else if (branch.kind == Branch::Kind::chain_violation) {
    pass_on(branch);
  } else if (branch.key != 0 &&
             is_known(
                 branch.key, nodes_[branch.node].shown,
                 dominating_[goes_alone(branch.choice.pending_value) ? alone_budget() : nodes_[branch.node].budget])) {
    ++counts().transitions;
  } else if (const Node& node = nodes_[branch.node]; starts_chain(
                 branch.choice.kind, node.activations, node.snapshot.state.vcpu.async_exception_mask, node.open)) {
    take_chain(branch);
  } else {
    start_leg(branch, nullptr);
    run_leg();
  }
}

/// Back to the branch's boundary, with its choice due; where there is an `end`, with all of that way.
void Explorer::start_leg(const Branch& branch, ChainEnd* end) {
  const Node& node = nodes_[branch.node];
  begin_leg(branch, end);
  set_choice(branch);
  end_ = end;
  if (end != nullptr) {
    from_ = branch.node;
    set_way(end->way);
  }
  execution_.restore(node.snapshot, scenario_, scenario_.arrival_count, outcome_);
  outcome_.handled = node.handled;
  activations_seen_ = execution_.activations().count;
}

/// What a path is known to have behind the branch, or behind all of the way of `end`.
void Explorer::begin_leg(const Branch& branch, const ChainEnd* end) {
  const Node& node = nodes_[branch.node];
  set_budget(node.budget);
  nmis_ -= branch.choice.kind == Choice::Kind::nmi ? 1 : 0;
  exceptions_ -= branch.choice.kind == Choice::Kind::exception ? 1 : 0;
  if (branch.choice.sets_pending() && goes_alone(branch.choice.pending_value)) {
    set_budget(static_cast<std::uint8_t>(alone_budget()));
  }
  shown_ = node.shown;
  handler_calls_ = node.handler_calls;
  depth_ = node.depth + 1;
  outline_ = node.outline;
  live_ = node.snapshot.live;
  Leg leg = leg_of(branch);
  if (end != nullptr) {
    leg.way = &end->way;
    set_budget(budget_index(end->nmis, end->exceptions, end->alone));
    depth_ += static_cast<std::uint32_t>(end->way.size());
  }
  leg_ = paths_.add(leg);
}

void Explorer::set_budget(std::uint8_t budget) {
  alone_ = budget == alone_budget();
  nmis_ = alone_ ? 0 : budget / (bounds_.exceptions + 1);
  exceptions_ = alone_ ? 0 : budget % (bounds_.exceptions + 1);
}

Leg Explorer::leg_of(const Branch& branch) const {
  Leg leg;
  leg.parent = branch.parent;
  leg.step = branch.step;
  leg.choice = branch.choice;
  leg.port = branch.port;
  leg.handler_calls = nodes_[branch.node].handler_calls;
  return leg;
}

/// The scenario whose only arrival, or action, is the choice.
void Explorer::set_choice(const Branch& branch) {
  scenario_.event_actions = context_.event_actions;
  scenario_.arrival_count = 0;
  skip_first_ = branch.choice.kind == Choice::Kind::action;
  if (skip_first_) {
    scenario_.event_actions[0].nested_event = branch.choice.nested_event;
    scenario_.event_actions[0].set_work_flag = branch.choice.set_work_flag;
    return;
  }
  scenario_.arrival_count = 1;
  Arrival& arrival = scenario_.arrivals[0];
  arrival = arrival_of(branch.choice, branch.port, context_.context.error_code);
  if (arrival.kind == ArrivalKind::exception && !entry().vectors[arrival.vector].description.error_code) {
    arrival.error_code = 0;
  }
}

void Explorer::run_leg() {
  step_ = -1;
  tail_ = enough_ = false;
  last_instruction_ = nullptr;
  written_by_ = nullptr;
  stale_.reset();
  execution_.run_on();
  if (scenario_.arrival_count != 0) {
    paths_[leg_].record = outcome_.arrivals[0];
  }
  step_ = kEnd;
  if (end_ != nullptr && !(std::exchange(end_, nullptr)->resumes && execution_.state().at_resumption)) {
    note_unlike(from_);
  }
  note_reaching_frame();
  harvest();
  counts().folds += outcome_.folds;
  if (execution_.state().at_resumption && level_ > 0) {
    note_resumption();
  } else if (execution_.state().at_resumption) {
    if (bounds_.outline) {
      const std::uint64_t resumed = outline_resumption(execution_, scope_.seed);
      result_->outline.add_step(outline_, resumed);
      result_->outline.add_joint(resumed);
    }
    ++counts().resumptions;
    ++counts().transitions;
    compare_with_reference();
  }
}

bool Explorer::at_boundary(const Boundary& boundary) {
  const auto goes_on = [&] {
    note_reached(boundary);
    const bool stops = pass(boundary);
    note_written(boundary);
    return stops;
  };
  if (jumped_ != nullptr) {
    step_ = std::exchange(jumped_, nullptr)->steps;
    return goes_on();
  }
  if (end_ != nullptr) {
    if (!follow_way(boundary)) {
      return false;
    }
    arrive_behind(boundary);
    return goes_on();
  }
  if (skip_first_) {
    skip_first_ = false;
    step_ = 0;
    return false;
  }
  if (step_ < 0) {
    paths_[leg_].record = outcome_.arrivals[0];
    step_ = outcome_.arrivals[0].entered ? 1 : 0;
  } else {
    ++step_;
  }
  RunState& state = execution_.state();
  handler_calls_ += state.event_calls;
  state.event_calls = 0;
  scenario_.event_actions = context_.event_actions;
  return goes_on();
}

bool Explorer::pass(const Boundary& boundary) {
  ++counts().transitions;
  result_->covered[boundary.index] = 1;
  note_unsaid(boundary);
  if (bounds_.outline) {
    note_outline(boundary);
  }
  const ActivationStack& live = execution_.activations();
  if (!live.empty() && live.youngest().window) {
    result_->unmasked[boundary.index] = 1;
  }
  if (level_ > 0 && looks_further(boundary)) {
    outcome_.violations.count = 0;  // of values that should not have been opaque
    return true;
  }
  if (outcome_.violations.count != 0) {
    harvest();
    if (enough_) {
      return true;
    }
  }
  if (level_ > 0 && ends_chain(boundary)) {
    return true;
  }
  const bool looked_at =
      !tail_ && !(entry().description.nests && nests_twice(execution_.activations())) && may_choose(boundary);
  if (!looked_at) {
    follow_stack(boundary);
    if (instructions_[boundary.index].reads_beside_stack && !shared_reads_.all()) {
      read_registers(boundary);
    }
    return looks_further_at_shared(boundary);
  }
  return enter_state(boundary);
}

/// True, and exploration ends, where the code reads more than was known: states are told apart by arch.cr2 from then
/// on, or there are spurious ticks. Registers have been read, or RSP alone, where there is no need of others.
bool Explorer::looks_further_at_shared(const Boundary& boundary) {
  const Instruction* const instruction = instructions_[boundary.index].instruction;
  if (shared_reads_.all() || instruction == nullptr) {
    return false;
  }
  const SharedReads before = shared_reads_;
  const SharedReads here = shared_reads(*instruction, registers_, execution_.guest());
  shared_reads_.fault_address = before.fault_address || here.fault_address;
  shared_reads_.ports = before.ports || here.ports;
  ended_ = ended_ || shared_reads_ != before;
  return shared_reads_ != before;
}

/// The instruction here may be one that looks at what a function returned that nobody has said. Flags that are turned
/// round may be like those that stand for it. Where nothing is live, what runs is the context that a return has given
/// the vCPU to, be it entry text in the wrong mode: it may look at what it likes.
void Explorer::note_unsaid(const Boundary& boundary) {
  if (boundary.index >= entry().instructions.size() || result_->unsaid || confirming_ != 0 ||
      execution_.activations().empty() || !unsaid_.may_be_seen_by(boundary.index)) {
    return;
  }
  read_registers(boundary);
  if (unsaid_.find_seen(boundary.index, registers_, execution_.guest())) {
    result_->unsaid = UnsaidValueSeen{boundary.address, paths_.scenario_of(context_, leg_, entry())};
  }
}

void Explorer::note_outline(const Boundary& boundary) {
  const GuestAddress stack{execution_.guest().cpu().read(Gpr::rsp)};
  const OutlineNode node =
      outline_node(execution_, scope_.seed, boundary, stack, execution_.guest().shared().upcall_pending());
  result_->outline.add_step(outline_, node.key);
  if (node.joint) {
    result_->outline.add_joint(node.key);
  }
  outline_ = node.key;
}

}  // namespace framefold
