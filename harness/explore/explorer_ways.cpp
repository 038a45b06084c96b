// Explorer: the ways out of chains: taken from where they start, and noted where a chain ends (chain.hpp).
#include <algorithm>
#include <cstring>
#include <utility>

#include "explore/explorer.hpp"

namespace framefold {

/// The choices of a way, behind the one arrival that the scenario has.
void Explorer::set_way(const Way& way) {
  followed_ = 0;
  deliveries_seen_ = 0;
  arrived_ = 0;
  std::uint32_t distance = 0;
  for (const WayStep& step : way) {
    distance += step.step;
    if (step.choice.kind == Choice::Kind::action) {
      continue;
    }
    Arrival& arrival = scenario_.arrivals[scenario_.arrival_count++];
    arrival = arrival_of(step.choice, step.port, scenario_.arrivals[0].error_code);
    arrival.distance = static_cast<std::uint16_t>(distance);
    distance = 0;
  }
}

/// True where the way ends.
bool Explorer::follow_way(const Boundary& boundary) {
  RunState& state = execution_.state();
  handler_calls_ += state.event_calls;
  state.event_calls = 0;
  scenario_.event_actions = context_.event_actions;
  if (outcome_.reached != arrived_) {
    // What was delivered here may have come right behind a return: nothing that the stack did before matters.
    last_instruction_ = nullptr;
    activations_seen_ = execution_.activations().count - (outcome_.deliveries - deliveries_seen_);
    followed_ += outcome_.reached - arrived_ - (arrived_ == 0 ? 1 : 0);
    arrived_ = outcome_.reached;
    step_ = outcome_.arrivals[arrived_ - 1].entered ? 1 : 0;
  } else {
    ++step_;
  }
  deliveries_seen_ = outcome_.deliveries;
  const Way& way = end_->way;
  if (followed_ < way.size() && way[followed_].choice.kind == Choice::Kind::action && step_ == way[followed_].step) {
    scenario_.event_actions[0].nested_event = way[followed_].choice.nested_event;
    scenario_.event_actions[0].set_work_flag = way[followed_].choice.set_work_flag;
    ++followed_;
    step_ = 0;
  }
  if (followed_ == way.size() && step_ == end_->steps && !end_->resumes) {
    return true;
  }
  follow_stack(boundary);
  return false;
}

/// Behind a way. Where the chain has given back what it interrupted, what it left below that on any stack is nobody's.
/// So is RF, which the iret has loaded from a fault's frame: it is data as other flags are, and the next instruction
/// clears it (SDM Vol. 3, section 17.3.1.1; the emulator leaves it).
void Explorer::arrive_behind(const Boundary& boundary) {
  ChainEnd& end = *std::exchange(end_, nullptr);
  paths_[leg_].record = outcome_.arrivals[0];
  stale_.reset();
  read_registers(boundary);
  if (end.returns && (registers_.rflags & rflags::kRf) != 0) {
    registers_.rflags &= ~rflags::kRf;
    execution_.guest().cpu().write_rflags(registers_.rflags);
  }
  if (!arrives_at(end, boundary)) {
    note_unlike(from_);
  }
  if (!end.returns) {
    return;
  }
  const Node& node = nodes_[from_];
  check_effect(end, node);
  restore_quiet_stacks(node.snapshot.live);
  live_ = node.snapshot.live;
  last_instruction_ = nullptr;
  last_stack_ = {registers_[Gpr::rsp]};
  activations_seen_ = execution_.activations().count;
}

/// To behind a way, without running it.
void Explorer::jump(const Branch& branch, const ChainEnd& end) {
  const Node& node = nodes_[branch.node];
  begin_leg(branch, &end);
  paths_[leg_].record = node.record;
  shown_ |= end.shown;
  handler_calls_ += end.handler_calls;
  counts().folds += end.folds;
  scenario_.event_actions = context_.event_actions;
  scenario_.arrival_count = 0;
  skip_first_ = false;
  jumped_ = &end;
  apply(*end.effect, node.snapshot, hidden_);
  hidden_.registers.rflags &= ~rflags::kRf;
  execution_.restore(hidden_, scenario_, 0, outcome_);
  outcome_.handled = node.handled | end.handled;
  activations_seen_ = execution_.activations().count;
}

/// At the end of a way out of a chain: what it comes to.
void Explorer::note_effect(ChainEnd& end) {
  end.handled = outcome_.handled;
  end.handler_calls = handler_calls_ - level().start.handler_calls;
  if (end.returns && !tail_ && gives_back(execution_, level().start.snapshot)) {
    end.effect = effect_of(execution_, scope_.with_fault_address);
    if (keeps_stack_pointer(*end.effect, execution_.guest())) {
      end.effect.reset();
      return;
    }
    chain_bytes_ += end.effect->data.size() * sizeof(DataChange);
  }
}

/// Behind a way that was run: whether it comes to the same there as with opaque values.
void Explorer::check_effect(ChainEnd& end, const Node& node) {
  end.folds = outcome_.folds;
  const bool same_handled = !scope_.with_handled || outcome_.handled == (node.handled | end.handled);
  if (end.effect && !(gives_back(execution_, node.snapshot) &&
                      effect_of(execution_, scope_.with_fault_address) == *end.effect && same_handled)) {
    end.effect.reset();
  }
}

/// Whether a way has led where the chain that it is of says.
bool Explorer::arrives_at(const ChainEnd& end, const Boundary& boundary) {
  const Node& node = nodes_[from_];
  if (end.live + execution_.activations().count != node.activations ||
      (!end.returns && end.handler != boundary.handler) || event_state(execution_) != end.events) {
    return false;
  }
  if (!end.returns) {
    return true;
  }
  Registers interrupted = node.snapshot.registers;
  interrupted.rflags &= ~rflags::kRf;
  return registers_ == interrupted && (!end.identical || state_key(execution_, scope_, boundary, registers_,
                                                                   node.snapshot.live, outcome_, scratch_) == node.key);
}

/// Below `live`, stacks are as they were first; that of RSP is looked after by whoever moves it.
void Explorer::restore_quiet_stacks(const LiveStacks& live) {
  const Guest& guest = execution_.guest();
  for (std::size_t i = 0; i < kStackCount; ++i) {
    const auto id = static_cast<StackId>(i);
    const GuestAddress from = guest.touched_from(id);
    if (from < live[i] && live[i] == guest.stack_range(id).end) {
      std::memcpy(guest.stack_from(id, from).data(), guest.first_stack_bytes(id, from), live[i] - from);
    }
  }
}

/// On a path of a chain: whether what it interrupted goes on here.
bool Explorer::ends_chain(const Boundary& boundary) {
  const Node& start = level().start;
  const ActivationStack& live = execution_.activations();
  if (live.count > start.activations) {
    return false;
  }
  ChainEnd end;
  end.steps = static_cast<std::uint32_t>(step_);
  end.events = event_state(execution_);
  read_registers(boundary);
  end.live = start.activations - live.count;
  Registers returned = registers_;
  Registers interrupted = start.snapshot.registers;
  returned.rflags &= ~rflags::kRf;
  interrupted.rflags &= ~rflags::kRf;
  end.returns = live.count == start.activations && returned == interrupted;
  if (!end.returns) {
    end.handler = boundary.handler;
    note_stack(boundary);
    update_live_stacks(execution_, registers_, live_);
  }
  const std::uint64_t key =
      end.returns ? state_key(execution_, scope_, boundary, returned, start.snapshot.live, outcome_, scratch_)
                  : state_key(execution_, scope_, boundary, registers_, live_, outcome_, scratch_);
  end.identical = end.returns && key == start.key;
  note_end(std::move(end), key);
  return true;
}

/// The context has resumed from inside a chain.
void Explorer::note_resumption() {
  ChainEnd end;
  end.resumes = true;
  end.events = event_state(execution_);
  const RunState& state = execution_.state();
  std::uint64_t key = mix_registers(execution_.guest().shared().upcall_mask(), state.registers, entry().width());
  key = mix(mix(key, state.vcpu.async_exception_mask), std::hash<std::bitset<kPortCount>>{}(outcome_.handled));
  note_end(std::move(end), key);
}

void Explorer::note_end(ChainEnd end, std::uint64_t key) {
  end.nmis = nmis_;
  end.shown = shown_;
  end.exceptions = exceptions_;
  end.alone = alone_;
  key = mix(with_events(key, end.events), std::uint64_t{end.resumes} | std::uint64_t{end.shown} << 1);
  const std::uint8_t budget = budget_here();
  for (std::size_t other = 0; other < dominating_.size(); ++other) {
    if ((dominating_[budget] >> other & 1) != 0 && level().shown.count(mix(key, other)) != 0) {
      return;
    }
  }
  level().shown.insert(mix(key, budget));
  end.way = paths_.way_from(level().root, leg_);
  note_effect(end);
  chain_bytes_ += sizeof end + end.way.size() * sizeof(WayStep);
  level().chain->ends.push_back(std::move(end));
}

void Explorer::note_in_chain(const Violation& violation) {
  std::uint64_t key = mix(paths_.sequence_key(level().root, leg_), static_cast<std::uint64_t>(violation.kind));
  key = mix(mix(key, violation.judged.value), violation.conditions);
  if (level().shown.insert(key).second) {
    Way way = paths_.way_from(level().root, leg_);
    chain_bytes_ += sizeof(ChainViolation) + way.size() * sizeof(WayStep);
    level().chain->violations.push_back({std::move(way), violation});
  }
}

}  // namespace framefold
