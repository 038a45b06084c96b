#include "check/check_nesting.hpp"

#include <fmt/format.h>

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

}  // namespace

void check_nesting(const Entry& entry, const Scenario& plain, std::uint32_t boundaries) {
  if (!entry.description.nests) return;
  OneEvent nesting(entry, true);
  OneEvent folding(entry, false);
  for (std::uint32_t distance = 0; distance < boundaries; ++distance) {
    Scenario scenario = plain;
    scenario.arrival_count = 1;
    scenario.arrivals[0].distance = static_cast<std::uint16_t>(distance);
    scenario.arrivals[0].port = static_cast<std::uint8_t>(plain.context.port + 1);
    canonicalise(scenario, entry);
    if (!nesting.run(scenario).violations.contains(ViolationKind::handler_frame)) continue;
    const Outcome folded = folding.run(scenario);
    if (folded.folds == 0 || folded.violations.contains(ViolationKind::handler_frame)) continue;
    throw description_error(entry.description, "nests",
                            fmt::format("expected false: an event at {} is folded into the frame that it interrupts",
                                        format_location(entry, folded.arrivals[0].boundary)));
  }
}

}  // namespace framefold
