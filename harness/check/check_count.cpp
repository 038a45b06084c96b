#include "check/check_count.hpp"

#include <fmt/format.h>

#include <optional>

#include "check/longest_run.hpp"
#include "run/execution.hpp"

namespace framefold {

namespace {

/// The count in a run, from its handler's call on.
class CountWatch : private TraceSink {
 public:
  explicit CountWatch(const Entry& entry) : entry_(entry), execution_(entry) {
    ExecutionOptions options;
    options.runaway_limit = kLongestRun;
    execution_.set_options(options);
  }

  void run(const Scenario& scenario) {
    execution_.set_trace(this);
    Outcome outcome;
    execution_.run_nested(scenario, 0, outcome);
    execution_.set_trace(nullptr);
    resumed_ = outcome.resumed;
    left_ = count();
  }

  /// While the handler runs, on the interrupt stack. Nothing where it runs elsewhere.
  std::optional<std::int32_t> in_handler() const { return in_handler_; }
  bool resumed() const { return resumed_; }
  /// In the end.
  std::int32_t left() const { return left_; }

 private:
  void record(const TraceEvent& event) override {
    if (event.kind != TraceEvent::Kind::handler || in_handler_) return;
    const Guest& guest = execution_.guest();
    const std::uint64_t stack = event.registers != nullptr ? (*event.registers)[Gpr::rsp] : guest.cpu().read(Gpr::rsp);
    if (guest.stack_of({stack}) == StackId::interrupt) in_handler_ = count();
  }

  std::int32_t count() const {
    const std::uint8_t* const host = execution_.guest().memory().find(*entry_.nesting_count, sizeof(std::int32_t));
    return static_cast<std::int32_t>(load_word(host, sizeof(std::int32_t)));
  }

  const Entry& entry_;
  Execution execution_;
  std::optional<std::int32_t> in_handler_;
  bool resumed_ = false;
  std::int32_t left_ = 0;
};

/// Code that leaves another value than it found may be wrong; where it finds that value, and leaves it, it is right.
void check_on_thread(const Entry& entry, const Scenario& plain, std::int32_t left) {
  Entry copy = entry;
  copy.description.stacks.on_thread = left;
  CountWatch watch(copy);
  watch.run(plain);
  if (!watch.resumed() || !watch.in_handler() || watch.left() != left) return;
  throw description_error(
      entry.description, "stacks.nesting.on_thread",
      fmt::format("expected {}: that is what the code leaves in {} on the thread stack, and what it finds then", left,
                  entry.description.stacks.nesting_count));
}

}  // namespace

void check_count(const Entry& entry, const Scenario& plain) {
  if (!entry.nesting_count || !entry.interrupt_stack) return;
  const StacksDescription& stacks = entry.description.stacks;
  CountWatch watch(entry);
  watch.run(plain);
  if (watch.resumed() && watch.left() != stacks.on_thread) check_on_thread(entry, plain, watch.left());
  const std::optional<std::int32_t> found = watch.in_handler();
  if (!found || *found == stacks.on_thread || *found == stacks.on_interrupt) return;
  throw description_error(
      entry.description, "stacks.nesting.on_interrupt",
      fmt::format(
          "expected {}: that is in {} when {} is called on the interrupt stack, where {} was on the thread stack",
          *found, stacks.nesting_count, entry.event().description.handler, stacks.on_thread));
}

}  // namespace framefold
