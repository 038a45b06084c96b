#include "report/boundary_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "report/recorder.hpp"
#include "scenario/enumerate.hpp"

namespace framefold {

namespace {

constexpr std::array<std::string_view, 7> kNames = {"not reached", "held back", "delivered", "folded",
                                                    "nested",      "known",     "violation"};
constexpr std::size_t kMostBoundaries = 2048;  // of one run: none that resumes comes near

/// Boundaries of the run without arrivals, in order; their index is the distance of an event there.
std::vector<GuestAddress> boundaries_of(Oracle& oracle, const Scenario& scenario) {
  Recorder recorder;
  Outcome outcome;
  oracle.execution().set_trace(&recorder);
  oracle.execution().run_nested(scenario, 0, outcome);
  oracle.execution().set_trace(nullptr);
  std::vector<GuestAddress> boundaries;
  for (const TraceEvent& event : recorder.events()) {
    if (event.kind == TraceEvent::Kind::boundary && boundaries.size() < kMostBoundaries) {
      boundaries.push_back(event.address);
    } else if (event.kind == TraceEvent::Kind::resumption) {
      break;
    }
  }
  return boundaries;
}

/// What the event brings about, as far as it does.
BoundaryResult judge_event(Oracle& oracle, const Scenario& scenario, const std::vector<std::string>& anyway) {
  const Verdict& verdict = oracle.judge(scenario);
  const ArrivalRecord& arrival = oracle.nested().arrivals[0];
  BoundaryResult result;
  if (!arrival.reached) {
    return result;
  }
  for (const Finding& finding : verdict.view()) {
    const BoundaryOutcome outcome = finding.known < 0 ? BoundaryOutcome::violation : BoundaryOutcome::known;
    const std::string signature = signature_of(oracle.entry(), finding);
    const bool new_with_it = std::find(anyway.begin(), anyway.end(), signature) == anyway.end();
    // What is judged in the handler that it calls is not its place's doing.
    const bool by_place = finding.cause == arrival.boundary || info_of(finding.kind).cause == CauseRule::arrival;
    if (new_with_it && by_place && outcome > result.outcome) {
      result = {outcome, signature};
    }
  }
  if (result.outcome != BoundaryOutcome::not_reached) {
    return result;
  }
  if (!arrival.delivered) {
    result.outcome = BoundaryOutcome::held;
  } else if (oracle.nested().folds != 0) {
    result.outcome = BoundaryOutcome::folded;
  } else {
    const bool region = oracle.entry().critical.contains(arrival.boundary);
    result.outcome = oracle.entry().description.nests && region ? BoundaryOutcome::nested : BoundaryOutcome::delivered;
  }
  return result;
}

}  // namespace

std::string_view name_of(BoundaryOutcome outcome) { return kNames[static_cast<std::size_t>(outcome)]; }

BoundaryColumn boundary_column(Oracle& oracle, const Scenario& context, std::string name) {
  Scenario scenario = context;
  scenario.arrivals = {};
  scenario.arrival_count = 0;
  BoundaryColumn column{std::move(name), {}};
  const std::vector<GuestAddress> boundaries = boundaries_of(oracle, scenario);
  std::vector<std::string> anyway;  // what shows without an event
  for (const Finding& finding : oracle.judge(scenario).view()) {
    anyway.push_back(signature_of(oracle.entry(), finding));
  }
  scenario.arrival_count = 1;
  for (std::size_t i = 0; i < boundaries.size(); ++i) {
    scenario.arrivals[0].distance = static_cast<std::uint16_t>(i);
    canonicalise(scenario, oracle.entry());
    const BoundaryResult result = judge_event(oracle, scenario, anyway);
    BoundaryResult& kept = column.results[boundaries[i]];
    if (result.outcome > kept.outcome) {
      kept = result;
    }
  }
  return column;
}

std::vector<BoundaryColumn> boundary_map(Oracle& oracle) {
  const Entry& entry = oracle.entry();
  std::vector<BoundaryColumn> columns;
  for (const Scenario& scenario : plain_contexts(entry)) {
    const Context& context = scenario.context;
    if (context.stack == ContextStack::thread) {
      const std::string& vector = entry.vectors[context.vector].description.name;
      columns.push_back(
          boundary_column(oracle, scenario,
                          fmt::format("{}, {}{}", vector, name_of(context.mode), context.mask != 0 ? ", masked" : "")));
    }
  }
  return columns;
}

}  // namespace framefold
