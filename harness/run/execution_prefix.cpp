// Execution: runs that begin where an earlier one's window opened.
#include "run/execution.hpp"
#include "run/prefix_cache.hpp"

namespace framefold {

/// Takes up the beginning of `scenario` where it is known, no arrival comes before its end, and nobody watches. True
/// where it did.
bool Execution::take_up_prefix(const Scenario& scenario, bool reference, std::size_t arrivals, Outcome& outcome) {
  recording_ = nullptr;
  if (prefixes_ == nullptr || traced() || observer_ != nullptr) {
    return false;
  }
  Prefix& prefix = prefixes_->place_of(scenario);
  const bool known = prefix.begins(scenario) && (coverage_ == nullptr || prefix.coverage == coverage_);
  if (!known) {
    recording_ = &prefix;
    return false;
  }
  const std::uint32_t due = arrivals > 0 ? 1U + scenario.arrivals[0].distance : kNever;
  if (due <= prefix.snapshot.state.boundaries) {
    return false;
  }
  set_nesting_count(prefix.snapshot.state.context_stack);
  restore(prefix.snapshot, scenario, arrivals, outcome);
  schedule_arrival(due);
  state_.reference = reference;
  outcome.deliveries = 1;
  outcome.handler_calls = prefix.handler_calls;
  outcome.handled = prefix.handled;
  outcome.hash = prefix.hash;
  outcome.violations = prefix.violations;
  for (std::size_t i = 0; i < outcome.violations.count; ++i) {
    outcome.violations.items[i].source = reference ? ViolationSource::reference : ViolationSource::nested;
  }
  if (coverage_ != nullptr) {
    coverage_->take_up(prefix.covered);
  }
  return true;
}

/// Where the window of the context's own activation opens, before the boundary at `address` counts.
void Execution::record_prefix(GuestAddress address) {
  Prefix& prefix = *recording_;
  recording_ = nullptr;
  const bool plain = state_.next_arrival == 0 && activations_.count == 1 && outcome_->deliveries == 1;
  const std::optional<CoveragePrefix> covered = coverage_ == nullptr ? CoveragePrefix{} : coverage_->prefix();
  if (!plain || !covered) {
    return;
  }
  sample_stack();
  LiveStacks touched;
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < kStackCount; ++i) {
    touched[i] = guest_.touched_from(static_cast<StackId>(i));
    size += guest_.stack_from(static_cast<StackId>(i), touched[i]).size();
  }
  guest_.data_changes(changes_);
  constexpr std::uint64_t kBeside = 512;  // the shared page's bytes, one activation, sizes
  static_assert(sizeof(Guest::SharedBytes) + sizeof(Activation) + (kStackCount + 2) * sizeof(std::size_t) <= kBeside);
  if (size + changes_.size() * sizeof(DataChange) + kBeside > PrefixCache::kMostBytes) {
    return;
  }
  Registers registers;
  read_registers(address, registers);
  save({address}, registers, touched, prefix.snapshot);
  prefix.context = scenario_->context;
  prefix.event_actions = scenario_->event_actions;
  prefix.frame_write = scenario_->frame_write;
  prefix.handled = outcome_->handled;
  prefix.hash = outcome_->hash;
  prefix.handler_calls = outcome_->handler_calls;
  prefix.violations = outcome_->violations;
  prefix.coverage = coverage_;
  prefix.covered = *covered;
  prefix.used = true;
}

}  // namespace framefold
