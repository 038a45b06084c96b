#include "explore/explorer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "scenario/toml.hpp"

namespace framefold {

namespace {

bool is_exception(const Vector& vector) { return vector.description.kind == DeliveryKind::exception; }

/// Behind all boundaries of a leg.
constexpr std::int64_t kEnd = 0xffffffff;

/// Whether an event interrupted the window of an event that itself interrupted one, and neither was folded.
bool nests_twice(const ActivationStack& activations) {
  const auto in_window = [&](const Activation& a) {
    return a.kind() == DeliveryKind::event && a.interrupted_window >= 0;
  };
  return std::any_of(
      activations.items.begin(), activations.items.begin() + activations.count, [&](const Activation& a) {
        return in_window(a) && in_window(activations.items[static_cast<std::size_t>(a.interrupted_window)]);
      });
}

/// Whether an instruction may see or change what an event raises, or go where there is no boundary: `access` where that
/// depends on what it accesses.
enum class EventUse : std::uint8_t { never, access, always };

EventUse event_use(const Instruction& instruction, const Entry& entry, GuestRange stub) {
  constexpr InstructionFlag kActs = InstructionFlag::returns | InstructionFlag::traps | InstructionFlag::shadows;
  if (has(instruction.flags, kActs)) {
    return EventUse::always;
  }
  if (has(instruction.flags, InstructionFlag::branches | InstructionFlag::calls) &&
      !(instruction.target && (entry.text.contains(*instruction.target) || stub.contains(*instruction.target)))) {
    return EventUse::always;
  }
  return has(instruction.flags, InstructionFlag::stores | InstructionFlag::loads) ? EventUse::access : EventUse::never;
}

/// Whether an operand of the instruction lies in the page that Xen shares.
bool accesses_shared_page(const Instruction& instruction, const Registers& registers, const Guest& guest) {
  const GuestAddress page = guest.mask_address() - guest.mask_address().value % layout::kPage;
  const std::span<const MemoryOperand> accesses = instruction.accesses();
  return std::any_of(accesses.begin(), accesses.end(), [&](const MemoryOperand& operand) {
    const GuestAddress address = effective_address(operand, registers, instruction.next());
    return address - page < layout::kPage || page - address < operand.size;
  });
}

/// Whether an instruction that moves the stack pointer down stores what lies there then.
bool fills_stack(const Instruction& instruction) {
  const std::string_view text = instruction.text;
  return text.starts_with("push") || text.starts_with("call") || text.starts_with("enter");
}

}  // namespace

void ExploreCounts::add(const ExploreCounts& other) {
  contexts += other.contexts;
  states += other.states;
  transitions += other.transitions;
  folds += other.folds;
  resumptions += other.resumptions;
  deepest_stack = std::max(deepest_stack, other.deepest_stack);
  identity += other.identity;
  shape += other.shape;
}

void ExploreResult::add(const ExploreResult& other) {
  counts.add(other.counts);
  covered.resize(std::max(covered.size(), other.covered.size()));
  for (std::size_t i = 0; i < other.covered.size(); ++i) {
    covered[i] = static_cast<std::uint8_t>(covered[i] | other.covered[i]);
  }
  known.insert(other.known.begin(), other.known.end());
  for (const auto& [signature, violation] : other.violations) {
    const auto [at, added] = violations.emplace(signature, violation);
    if (!added && shorter(violation, at->second)) {
      at->second = violation;
    }
  }
  inexpressible.insert(other.inexpressible.begin(), other.inexpressible.end());
  disagreements.insert(disagreements.end(), other.disagreements.begin(), other.disagreements.end());
  interrupted = interrupted || other.interrupted;
  out_of_memory = out_of_memory || other.out_of_memory;
  cut_short = cut_short || other.cut_short;
}

bool shorter(const ExploredViolation& a, const ExploredViolation& b) {
  return std::pair(a.scenario.arrival_count, a.boundaries) < std::pair(b.scenario.arrival_count, b.boundaries);
}

Explorer::Explorer(const Entry& entry, const ExploreBounds& bounds)
    : bounds_(bounds), oracle_(entry), execution_(entry) {
  ExecutionOptions options;
  options.runaway_limit = oracle_.runaway_limit();
  execution_.set_options(options);
  has_nmi_ = std::any_of(entry.vectors.begin(), entry.vectors.end(),
                         [](const Vector& v) { return v.description.kind == DeliveryKind::nmi; });
  const auto add_instruction = [&](const Instruction& instruction) {
    instructions_.push_back(
        {&instruction, static_cast<std::uint8_t>(event_use(instruction, entry, execution_.guest().stub_range()))});
  };
  std::for_each(entry.instructions.begin(), entry.instructions.end(), add_instruction);
  const std::span<const Instruction> stub = execution_.guest().stub();
  std::for_each(stub.begin(), stub.end(), add_instruction);
  instructions_.resize(boundary_count(entry), {nullptr, static_cast<std::uint8_t>(EventUse::always)});
  for (const std::uint8_t value : entry.description.pending_values) {
    all_pending_ = static_cast<std::uint8_t>(all_pending_ | value);
  }
  dominating_.resize((bounds_.nmis + 1) * (bounds_.exceptions + 1));
  for (unsigned nmis = 0; nmis <= bounds_.nmis; ++nmis) {
    for (unsigned exceptions = 0; exceptions <= bounds_.exceptions; ++exceptions) {
      std::uint16_t set = 0;
      for (unsigned more = nmis; more <= bounds_.nmis; ++more) {
        for (unsigned most = exceptions; most <= bounds_.exceptions; ++most) {
          set = static_cast<std::uint16_t>(set | (1U << budget_index(more, most)));
        }
      }
      dominating_[budget_index(nmis, exceptions)] = set;
    }
  }
}

void Explorer::forget() {
  visited_.clear();
  downstream_.clear();
  unknown_.clear();
  unknown_runaways_ = 0;
  repetitions_ = 0;
}

std::size_t Explorer::memory_used() const {
  return visited_.bytes() + paths_.bytes() + node_bytes_ + queue_.size() * sizeof(Branch);
}

void Explorer::explore(const Scenario& context, ExploreResult& result, const std::atomic<bool>* stop) {
  context_ = scenario_ = context;
  result_ = &result;
  result.covered.resize(boundary_count(entry()));
  ++result.counts.contexts;
  execution_.set_observer(nullptr);
  execution_.run_nested(context, 0, reference_);
  execution_.set_observer(this);

  first_leg_ += static_cast<std::uint32_t>(paths_.size());
  paths_.clear();
  nested_twice_.clear();
  queue_.clear();
  leg_ = paths_.add({});
  nmis_ = bounds_.nmis;
  exceptions_ = bounds_.exceptions;
  handler_calls_ = 0;
  depth_ = 0;
  execution_.begin(scenario_, outcome_);
  scope_ = scope_of(execution_, context);
  for (std::size_t i = 0; i < kStackCount; ++i) {
    live_[i] = execution_.guest().stack_range(static_cast<StackId>(i)).end;
  }
  activations_seen_ = 0;
  skip_first_ = false;
  run_leg();
  while (!queue_.empty()) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) {
      result.interrupted = true;
      break;
    }
    if (repetitions_ > kMostRepetitions || (bounds_.stop_at_violation && !result.violations.empty())) {
      result.cut_short = true;
      break;
    }
    if (memory_used() > bounds_.memory) {
      result.out_of_memory = true;
      break;
    }
    const Branch branch = queue_.front();
    queue_.pop_front();
    take(branch);
  }
  for (const Branch& branch : queue_) {
    release(branch.node);
  }
  queue_.clear();
}

bool Explorer::is_known(std::uint64_t key, std::uint16_t dominating) {
  const Visited::Slot* slot = visited_.find(key);
  return slot != nullptr && (slot->budgets & dominating) != 0;
}

void Explorer::take(const Branch& branch) {
  Node& node = nodes_[branch.node];
  if (branch.key != 0 && is_known(branch.key, dominating_[node.budget])) {
    ++result_->counts.transitions;
    release(branch.node);
    return;
  }
  nmis_ = node.budget / (bounds_.exceptions + 1) - (branch.choice.kind == Choice::Kind::nmi ? 1 : 0);
  exceptions_ = node.budget % (bounds_.exceptions + 1) - (branch.choice.kind == Choice::Kind::exception ? 1 : 0);
  handler_calls_ = node.handler_calls;
  depth_ = node.depth + 1;
  live_ = node.snapshot.live;
  Leg leg;
  leg.parent = branch.parent;
  leg.step = branch.step;
  leg.choice = branch.choice;
  leg.port = branch.port;
  leg.handler_calls = node.handler_calls;
  leg_ = paths_.add(leg);
  set_choice(branch);
  execution_.restore(node.snapshot, scenario_, scenario_.arrival_count, outcome_);
  outcome_.handled = node.handled;
  activations_seen_ = execution_.activations().count;
  release(branch.node);
  run_leg();
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
  arrival = Arrival{};
  arrival.kind = *arrival_kind(branch.choice.kind);
  arrival.port = branch.port;
  arrival.pending_value = branch.choice.pending_value;
  arrival.vector = branch.choice.vector;
  arrival.error_code = context_.context.error_code;
  if (arrival.kind == ArrivalKind::exception && !entry().vectors[arrival.vector].description.error_code) {
    arrival.error_code = 0;
  }
}

void Explorer::run_leg() {
  step_ = -1;
  tail_ = enough_ = false;
  last_instruction_ = nullptr;
  execution_.run_on();
  paths_[leg_].record = outcome_.arrivals[0];
  step_ = kEnd;
  harvest();
  result_->counts.folds += outcome_.folds;
  if (execution_.state().at_resumption) {
    ++result_->counts.resumptions;
    ++result_->counts.transitions;
    compare_with_reference();
  }
}

bool Explorer::at_boundary(const Boundary& boundary) {
  if (skip_first_) {
    skip_first_ = false;
    step_ = 0;
    return false;
  }
  if (step_ < 0) {
    paths_[leg_].record = outcome_.arrivals[0];
    step_ = outcome_.arrivals[0].delivered ? 1 : 0;
  } else {
    ++step_;
  }
  RunState& state = execution_.state();
  handler_calls_ += state.event_calls;
  state.event_calls = 0;
  scenario_.event_actions = context_.event_actions;
  ++result_->counts.transitions;
  result_->covered[boundary.index] = 1;
  if (outcome_.violations.count != 0) {
    harvest();
    if (enough_) {
      return true;
    }
  }
  const bool looked_at =
      !tail_ && !(entry().description.nests && nests_twice(execution_.activations())) && may_choose(boundary);
  if (!looked_at) {
    follow_stack(boundary);
    return false;
  }
  return enter_state(boundary);
}

/// Whether anything but going on may be chosen here. Where nothing can, there is no need to know the state: that paths
/// have joined shows at the next boundary where something can.
bool Explorer::may_choose(const Boundary& boundary) {
  const SharedInfo& shared = execution_.guest().shared();
  if (shared.upcall_mask() == 0 || boundary.handler != nullptr || nmis_ > 0 || exceptions_ > 0) {
    return true;
  }
  const KnownInstruction& known = instructions_[boundary.index];
  if ((shared.upcall_pending() & all_pending_) == all_pending_ ||
      known.event_use == static_cast<std::uint8_t>(EventUse::never)) {
    return false;
  }
  if (known.event_use == static_cast<std::uint8_t>(EventUse::always)) {
    return true;
  }
  read_registers(boundary);
  return accesses_shared_page(*known.instruction, registers_, execution_.guest());
}

void Explorer::read_registers(const Boundary& boundary) {
  const Cpu& cpu = execution_.guest().cpu();
  cpu.read_general(registers_);
  cpu.read_segments(registers_);
  registers_.rip = boundary.address.value;
  registers_.gs_base = entry().width() == Width::k64 ? execution_.state().vcpu.kernel_gs_base : 0;
}

/// Without looking at the state: stacks are left, and brought back to life, by few instructions only.
void Explorer::follow_stack(const Boundary& boundary) {
  constexpr InstructionFlag kMoves = InstructionFlag::moves_stack | InstructionFlag::returns | InstructionFlag::traps;
  const Instruction* instruction = instructions_[boundary.index].instruction;
  const bool behind = last_instruction_ != nullptr && has(last_instruction_->flags, kMoves);
  const bool before = instruction != nullptr && has(instruction->flags, kMoves);
  if (behind || before || activations_seen_ != execution_.activations().count) {
    registers_[Gpr::rsp] = execution_.guest().cpu().read(Gpr::rsp);
    revive_stack(boundary);
    update_live_stacks(execution_, registers_, live_);
  }
  last_instruction_ = instruction;
}

/// True where the state is known.
bool Explorer::enter_state(const Boundary& boundary) {
  read_registers(boundary);
  revive_stack(boundary);
  update_live_stacks(execution_, registers_, live_);
  const std::uint64_t key = state_key(execution_, scope_, boundary, registers_, live_, outcome_, scratch_);
  const EventState events = event_state(execution_);
  const std::uint64_t full = with_events(key, events);
  const std::uint8_t budget = budget_index(nmis_, exceptions_);
  const auto bit = static_cast<std::uint16_t>(1U << budget);
  const std::uint32_t leg = first_leg_ + leg_;
  const auto step = static_cast<std::uint32_t>(step_);
  if (Visited::Slot* slot = visited_.find(full)) {
    if ((slot->budgets & dominating_[budget]) != 0) {
      if (slot->leg != leg) {
        inherit(*slot);
        return true;
      }
      // A cycle without arrivals: it runs on until it is judged as one.
      tail_ = true;
      return unknown_runaways_ >= kMostUnknown;
    }
    slot->budgets = static_cast<std::uint16_t>(slot->budgets | bit);
    slot->leg = leg;
    slot->step = step;
  } else {
    visited_.insert(full, leg, step, bit);
    ++result_->counts.states;
    result_->counts.identity += full;
    result_->counts.shape += shape_key(execution_, boundary, registers_);
  }
  if (bounds_.choices == 0 || depth_ < bounds_.choices) {
    queue_choices(boundary, key, events);
  }
  return false;
}

/// Bytes that a stack pointer moving down brings to life without storing them, of which nobody can know what they are:
/// below a delivery's alignment, and behind `and`, `sub` and the like.
void Explorer::revive_stack(const Boundary& boundary) {
  Guest& guest = execution_.guest();
  const GuestAddress rsp{registers_[Gpr::rsp]};
  const ActivationStack& activations = execution_.activations();
  if (activations.count > activations_seen_) {
    for (std::size_t i = activations_seen_; i < activations.count && entry().width() == Width::k64; ++i) {
      constexpr std::uint64_t kFrameAlignment = 16;
      const Activation& activation = activations.items[i];
      const GuestAddress interrupted{activation.interrupted[Gpr::rsp]};
      if (activation.mode == GuestMode::kernel) {
        guest.kill_stack_below(interrupted, interrupted.value % kFrameAlignment);
      }
    }
  } else if (last_instruction_ != nullptr && has(last_instruction_->flags, InstructionFlag::moves_stack) &&
             rsp < last_stack_ && !fills_stack(*last_instruction_) &&
             guest.stack_of(rsp) == guest.stack_of(last_stack_ - 1)) {
    guest.kill_stack_below(last_stack_, last_stack_ - rsp);
  }
  activations_seen_ = activations.count;
  last_stack_ = rsp;
  last_instruction_ = instructions_[boundary.index].instruction;
  if (!activations.empty()) {
    const Activation& oldest = activations.items[0];
    const std::uint64_t top =
        oldest.mode == GuestMode::user ? execution_.state().vcpu.kernel_sp : oldest.interrupted[Gpr::rsp];
    const std::optional<StackId> stack = guest.stack_of(rsp);
    if (stack && guest.stack_of({top - 1}) == stack && rsp.value < top) {
      result_->counts.deepest_stack = std::max(result_->counts.deepest_stack, top - rsp.value);
    }
  }
}

void Explorer::queue_choices(const Boundary& boundary, std::uint64_t key, const EventState& events) {
  node_ = -1;
  if (entry().description.nests && would_nest_twice(boundary)) {
    return;
  }
  const RunState& state = execution_.state();
  if (!boundary.shadowed) {
    queue_events(boundary, key, events);
    if (execution_.guest().shared().upcall_mask() == 0 && events.pending != 0) {
      push(boundary, {Choice::Kind::tick}, 0, 0);
    }
    if (has_nmi_ && nmis_ > 0 && !state.vcpu.nmi_pending) {
      push(boundary, {Choice::Kind::nmi}, 0, 0);
    }
  }
  for (std::size_t i = 0; exceptions_ > 0 && i < entry().vectors.size(); ++i) {
    if (is_exception(entry().vectors[i])) {
      Choice choice{Choice::Kind::exception};
      choice.vector = static_cast<std::uint8_t>(i);
      push(boundary, choice, 0, 0);
    }
  }
  if (bounds_.actions && boundary.handler == &entry().event()) {
    queue_actions(boundary);
  }
}

/// In an entry that folds nothing, a third frame is what proves the nesting unbounded: which is tried once for each
/// boundary, and each state of the frame that a `known` row can ask for. Where that has been done, or an event would
/// not be delivered, exploration goes on.
bool Explorer::would_nest_twice(const Boundary& boundary) {
  const ActivationStack& activations = execution_.activations();
  if (activations.empty() || !activations.youngest().window || activations.youngest().interrupted_window < 0 ||
      activations.youngest().kind() != DeliveryKind::event || execution_.guest().shared().upcall_mask() != 0) {
    return false;
  }
  const ConditionSet conditions = execution_.conditions_of(activations.youngest());
  return !nested_twice_.emplace(boundary.address, conditions).second;
}

/// An event counts only where it sets a bit of the pending byte that is clear: ports are nothing that entry code looks
/// at, and control for Xen is a tick's. It gets a port in a word of its own, whose selector bit is clear.
///
/// Raised while events are masked, it changes only the shared page: before an instruction that has nothing to do with
/// that, it comes to the same as right behind it, and is left to the next boundary.
void Explorer::queue_events(const Boundary& boundary, std::uint64_t key, const EventState& events) {
  const KnownInstruction& known = instructions_[boundary.index];
  if (execution_.guest().shared().upcall_mask() != 0 && boundary.handler == nullptr &&
      (known.event_use == static_cast<std::uint8_t>(EventUse::never) ||
       (known.event_use == static_cast<std::uint8_t>(EventUse::access) &&
        !accesses_shared_page(*known.instruction, registers_, execution_.guest())))) {
    return;
  }
  const SharedInfo& shared = execution_.guest().shared();
  const unsigned words = kPortCount / shared.word_bits();
  unsigned word = 0;
  while (word < words && (events.selector >> word & 1) != 0) {
    ++word;
  }
  const Port port{word * shared.word_bits() + 1};
  if (word == words || shared.port_pending(port)) {
    return;
  }
  for (const std::uint8_t value : entry().description.pending_values) {
    if ((events.pending & value) == value) {
      continue;
    }
    Choice choice{Choice::Kind::event};
    choice.pending_value = value;
    std::uint64_t next_key = 0;
    if (shared.upcall_mask() != 0) {
      EventState next = events;
      next.raised_while_masked = events.raised_while_masked || events.pending == 0;
      next.pending = static_cast<std::uint8_t>(events.pending | value);
      next.selector |= std::uint64_t{1} << word;
      next.ports[port.number / 64] |= std::uint64_t{1} << (port.number % 64);
      next_key = with_events(key, next);
      if (is_known(next_key, dominating_[budget_index(nmis_, exceptions_)])) {
        ++result_->counts.transitions;
        continue;
      }
    }
    push(boundary, choice, static_cast<std::uint8_t>(port.number), next_key);
  }
}

void Explorer::queue_actions(const Boundary& boundary) {
  const bool nested = execution_.state().nested_handlers == 0 && execution_.activations().count <= bounds_.nested_depth;
  const bool work = entry().work_flag && context_.context.mode == GuestMode::user;
  for (const bool nested_event : {false, true}) {
    for (const bool set_work_flag : {false, true}) {
      if ((nested_event || set_work_flag) && (nested || !nested_event) && (work || !set_work_flag)) {
        Choice choice{Choice::Kind::action};
        choice.nested_event = nested_event;
        choice.set_work_flag = set_work_flag;
        push(boundary, choice, 0, 0);
      }
    }
  }
}

void Explorer::push(const Boundary& boundary, const Choice& choice, std::uint8_t port, std::uint64_t key) {
  if (node_ < 0) {
    node_ = node_here(boundary);
  }
  const auto node = static_cast<std::uint32_t>(node_);
  ++nodes_[node].references;
  queue_.push_back({node, leg_, static_cast<std::uint32_t>(step_), choice, port, key});
}

std::uint32_t Explorer::node_here(const Boundary& boundary) {
  if (free_nodes_.empty()) {
    free_nodes_.push_back(static_cast<std::uint32_t>(nodes_.size()));
    nodes_.emplace_back();
  }
  const std::uint32_t index = free_nodes_.back();
  free_nodes_.pop_back();
  Node& node = nodes_[index];
  node_bytes_ -= node.snapshot.size();
  execution_.save(boundary, registers_, live_, node.snapshot);
  node_bytes_ += node.snapshot.size();
  node.references = 0;
  node.handler_calls = handler_calls_;
  node.budget = budget_index(nmis_, exceptions_);
  node.depth = depth_;
  node.handled = outcome_.handled;
  return index;
}

void Explorer::release(std::uint32_t node) {
  if (--nodes_[node].references == 0) {
    free_nodes_.push_back(node);
  }
}

void Explorer::harvest() {
  for (const Violation& violation : outcome_.violations.view()) {
    judge(violation);
    tail_ = tail_ || (violation.kind == ViolationKind::unbounded_nesting && !entry().description.nests);
  }
  outcome_.violations.count = 0;
}

/// A path that joins a known state shows all that comes behind it. What depends on the state alone has been said; where
/// the cause is an arrival, it may be another one on this path.
void Explorer::inherit(const Visited::Slot& joined) {
  const auto found = downstream_.find(joined.leg);
  if (found == downstream_.end()) {
    return;
  }
  const std::vector<Downstream> behind = found->second;  // the map changes below
  for (const Downstream& entry : behind) {
    if (entry.step > joined.step) {
      step_ = kEnd;
      judge_by_oracle(entry.violation);
    }
  }
}

void Explorer::note_known(std::int16_t row, GuestAddress cause) {
  result_->known.emplace(static_cast<std::size_t>(row), cause);
}

void Explorer::judge(const Violation& violation) {
  if (info_of(violation.kind).cause == CauseRule::judged && violation.source == ViolationSource::nested) {
    Finding finding;
    finding.kind = violation.kind;
    finding.cause = violation.judged;
    finding.conditions = violation.conditions;
    if (const std::int16_t row = oracle_.match_known(finding); row >= 0) {
      note_known(row, violation.judged);
      return;
    }
  }
  judge_by_oracle(violation);
}

/// The scenario of the path, judged as any other: its cause and signature are those that a fuzz binary finds.
void Explorer::judge_by_oracle(const Violation& violation) {
  downstream_[first_leg_ + leg_].push_back({static_cast<std::uint32_t>(step_), violation});
  std::uint64_t key = paths_.sequence_key(leg_);
  key = key * 31 + static_cast<std::uint64_t>(violation.kind);
  key = (key ^ violation.judged.value) * 0x9e3779b97f4a7c15 + violation.conditions;
  if (const auto cached = causes_.find(key); cached != causes_.end()) {
    note_known(cached->second.known, cached->second.cause);
    return;
  }
  unsigned& unknown = unknown_[{violation.kind, violation.judged}];
  if (unknown == kMostUnknown) {
    enough_ = true;
    ++repetitions_;
    return;
  }
  const std::optional<Scenario> scenario = paths_.scenario_of(context_, leg_, entry());
  if (!scenario) {
    result_->inexpressible.emplace(name_of(violation.kind));
    return;
  }
  const Verdict& verdict = oracle_.judge(*scenario);
  const auto found = std::find_if(verdict.view().begin(), verdict.view().end(),
                                  [&](const Finding& f) { return f.kind == violation.kind; });
  if (found == verdict.view().end()) {
    result_->disagreements.push_back(fmt::format("{} at {}:\n{}", name_of(violation.kind),
                                                 format_location(entry(), violation.judged),
                                                 to_toml(*scenario, entry(), {})));
    return;
  }
  if (found->known >= 0) {
    causes_[key] = {found->known, found->cause};
    note_known(found->known, found->cause);
    return;
  }
  ++unknown;
  unknown_runaways_ += found->kind == ViolationKind::runaway ? 1 : 0;
  ExploredViolation explored;
  explored.signature = signature_of(entry(), *found);
  explored.kind = found->kind;
  explored.conditions = found->conditions;
  explored.cause = found->cause;
  explored.scenario = *scenario;
  explored.boundaries = oracle_.nested().boundaries;
  const auto [at, added] = result_->violations.emplace(explored.signature, explored);
  if (!added && shorter(explored, at->second)) {
    at->second = explored;
  }
}

/// The end of a path is that of the run without arrivals. What is pending then, and which ports were handled, differs
/// rightly: but where that run ends with events masked, none may have been handled that it has not.
void Explorer::compare_with_reference() {
  if (!reference_.resumed) {
    return;
  }
  execution_.end();
  outcome_.pending = reference_.pending;
  if (reference_.mask == 0) {
    outcome_.handled = reference_.handled;
  }
  ViolationList differences;
  compare_outcomes(outcome_, reference_, entry().width(), differences);
  for (const Violation& violation : differences.view()) {
    judge_by_oracle(violation);
  }
}

}  // namespace framefold
