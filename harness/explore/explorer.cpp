#include "explore/explorer.hpp"

#include <algorithm>
#include <bit>

namespace framefold {

namespace {

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

}  // namespace

Explorer::Explorer(const Entry& entry, const ExploreBounds& bounds)
    : bounds_(bounds), oracle_(entry), execution_(entry), coverage_(entry, {}), unsaid_(entry) {
  ExecutionOptions options;
  options.runaway_limit = oracle_.runaway_limit();
  execution_.set_options(options);
  has_nmi_ = std::any_of(entry.vectors.begin(), entry.vectors.end(),
                         [](const Vector& v) { return v.description.kind == DeliveryKind::nmi; });
  const auto add_instruction = [&](const Instruction& instruction) {
    instructions_.push_back({&instruction, event_use(instruction, entry, execution_.guest().stub_range())});
  };
  std::for_each(entry.instructions.begin(), entry.instructions.end(), add_instruction);
  const std::span<const Instruction> stub = execution_.guest().stub();
  std::for_each(stub.begin(), stub.end(), add_instruction);
  instructions_.resize(boundary_count(entry), {});
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
  nested_twice_.clear();
  repetitions_ = 0;
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
  outline_ = outline_start(scope_.seed, context);
  result.outline.add_joint(outline_);
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
  note_counts(before);
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
  outline_ = node.outline;
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
    if (bounds_.outline) {
      const std::uint64_t resumed = outline_resumption(execution_, scope_.seed);
      result_->outline.add_step(outline_, resumed);
      result_->outline.add_joint(resumed);
    }
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
  note_unsaid(boundary);
  if (bounds_.outline) {
    note_outline(boundary);
  }
  const ActivationStack& live = execution_.activations();
  if (!live.empty() && live.youngest().window) {
    result_->unmasked[boundary.index] = 1;
  }
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

/// The instruction here may be one that looks at what a function returned that nobody has said.
void Explorer::note_unsaid(const Boundary& boundary) {
  if (boundary.index < entry().instructions.size() && !result_->unsaid &&
      unsaid_.are_seen_by(boundary.index, execution_.guest())) {
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
