#include "check/check_nesting.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "check/check_fault.hpp"
#include "check/longest_run.hpp"
#include "run/execution.hpp"

namespace framefold {

namespace {

/// Runs `scenario` on an entry that is described as one that nests, or not.
class OneEvent {
 public:
  OneEvent(const Entry& entry, bool nests) : entry_(entry) {
    entry_.description.nests = nests;
    execution_.emplace(entry_);
  }
  Outcome run(const Scenario& scenario) {
    Outcome outcome;
    execution_->run_nested(scenario, scenario.arrival_count, outcome);
    return outcome;
  }

 private:
  Entry entry_;
  std::optional<Execution> execution_;  // of entry_
};

/// Whether any of its runs opens a window.
class WindowSeen : private TraceSink {
 public:
  explicit WindowSeen(const Entry& entry) : execution_(entry) {
    ExecutionOptions options;
    options.runaway_limit = kLongestRun;
    execution_.set_options(options);
  }
  bool in(const Scenario& scenario) {
    if (seen_) return true;
    execution_.set_trace(this);
    Outcome outcome;
    execution_.run_nested(scenario, scenario.arrival_count, outcome);
    execution_.set_trace(nullptr);
    return seen_;
  }

 private:
  void record(const TraceEvent& event) override { seen_ = seen_ || event.kind == TraceEvent::Kind::window_open; }

  Execution execution_;
  bool seen_ = false;
};

}  // namespace

Scenario with_event(const Scenario& plain, std::uint32_t distance, const Entry& entry) {
  Scenario scenario = plain;
  scenario.arrival_count = 1;
  scenario.arrivals[0].distance = static_cast<std::uint16_t>(distance);
  scenario.arrivals[0].port = static_cast<std::uint8_t>(plain.context.port + 1);
  canonicalise(scenario, entry);
  return scenario;
}

void visit_events(const PlainRun& run, const Entry& entry, const std::function<void(const Scenario&)>& visit) {
  constexpr std::uint32_t kMost = 512;  // each run is as long as all of them: entry code has a hundred or two
  const std::uint32_t step = run.boundaries / kMost + 1;
  for (std::uint32_t distance = 0; distance < run.boundaries; distance += step) {
    visit(with_event(run.scenario, distance, entry));
  }
}

void check_nesting(const Entry& entry, const Scenario& plain, std::uint32_t boundaries) {
  if (!entry.description.nests) return;
  OneEvent nesting(entry, true);
  OneEvent folding(entry, false);
  for (std::uint32_t distance = 0; distance < boundaries; ++distance) {
    const Scenario scenario = with_event(plain, distance, entry);
    if (!nesting.run(scenario).violations.contains(ViolationKind::handler_frame)) continue;
    const Outcome folded = folding.run(scenario);
    if (folded.folds == 0 || folded.violations.contains(ViolationKind::handler_frame)) continue;
    throw description_error(entry.description, "nests",
                            fmt::format("expected false: an event at {} is folded into the frame that it interrupts",
                                        format_location(entry, folded.arrivals[0].boundary)));
  }
}

void check_nests_somewhere(const Entry& entry, std::span<const PlainRun> plain) {
  if (!entry.description.nests) return;
  WindowSeen window(entry);
  if (std::any_of(plain.begin(), plain.end(), [&](const PlainRun& run) { return window.in(run.scenario); })) return;
  for (const PlainRun& run : plain) {
    visit_events(run, entry, [&](const Scenario& scenario) { window.in(scenario); });
  }
  if (window.in(plain.front().scenario)) return;
  throw description_error(
      entry.description, "nests",
      fmt::format(
          "expected false, where {} is right: the code unmasks events nowhere on its way out, so that there is no "
          "window in which a frame could nest",
          vcpu_info_key(entry.description)));
}

void check_folding(Execution& execution, std::span<const PlainRun> plain) {
  const Entry& entry = execution.entry();
  if (entry.description.nests) return;
  std::optional<GuestAddress> first;
  GuestAddress last;
  for (const PlainRun& run : plain) {
    for (std::uint32_t distance = 0; distance < run.boundaries; ++distance) {
      Outcome outcome;
      execution.run_nested(with_event(run.scenario, distance, entry), 1, outcome);
      if (outcome.folds != 0) return;
      if (!outcome.violations.contains(ViolationKind::critical_frame)) continue;
      last = outcome.arrivals[0].boundary;
      if (!first) first = last;
    }
  }
  if (!first) return;
  throw description_error(entry.description, "nests",
                          fmt::format("expected true, or code that folds: events are let in from {} to {}, and none of "
                                      "them is folded into the frame that it interrupts",
                                      format_location(entry, *first), format_location(entry, last)));
}

}  // namespace framefold
