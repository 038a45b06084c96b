#include "test/guest_features.hpp"

#include <algorithm>
#include <utility>

#include "scenario/codec.hpp"

namespace framefold::test {

namespace {

void add_once(std::vector<Scenario>& scenarios, Scenario scenario, const Entry& entry) {
  canonicalise(scenario, entry);
  if (std::find(scenarios.begin(), scenarios.end(), scenario) == scenarios.end()) {
    scenarios.push_back(scenario);
  }
}

void add_variants(std::vector<Scenario>& scenarios, Scenario scenario, const Entry& entry) {
  add_once(scenarios, scenario, entry);
  for (EventAction& action : scenario.event_actions) {
    action.set_work_flag = true;
  }
  add_once(scenarios, scenario, entry);
  scenario.event_actions = {};
  scenario.context.place = ContextPlace::region;
  add_once(scenarios, scenario, entry);
}

/// Boundaries × kinds of what was folded from there.
std::ptrdiff_t count_folded(const Coverage& coverage) {
  std::ptrdiff_t count = 0;
  for (const BoundaryCounts& counts : coverage.counts()) {
    count += std::count_if(counts.folded.begin(), counts.folded.end(), [](std::uint64_t n) { return n > 0; });
  }
  return count;
}

}  // namespace

FeatureProbe::FeatureProbe(const Entry& entry)
    : oracle_(entry), counters_(Coverage::counters_wanted(entry)), coverage_(entry, counters_) {}

/// The features are those of the scenario's two runs: not of the ones in which the oracle looks for a cause.
const Verdict& FeatureProbe::run(const Scenario& scenario) {
  std::fill(counters_.begin(), counters_.end(), std::uint8_t{0});
  const Verdict& verdict = oracle_.judge(scenario);
  Outcome reference;
  oracle_.execution().set_coverage(&coverage_);
  oracle_.execution().run_nested(scenario, kMaxArrivals, nested_);
  if (!nested_.violations.closed) {
    oracle_.execution().run_reference(scenario, nested_, reference);
  }
  oracle_.execution().set_coverage(nullptr);
  features_.clear();
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    if (counters_[i] != 0) {
      features_.push_back(static_cast<std::uint32_t>(i));
    }
  }
  const std::span<const std::uint8_t> executed = coverage_.executed_boundaries();
  const std::ptrdiff_t before = std::exchange(executed_, std::count(executed.begin(), executed.end(), 1));
  executed_new_ = executed_ != before;
  const std::ptrdiff_t folded_before = std::exchange(folded_, count_folded(coverage_));
  folded_new_ = folded_ != folded_before;
  return verdict;
}

std::vector<Scenario> all_contexts(const Entry& entry) {
  std::vector<Scenario> contexts;
  Scenario scenario = decode({}, entry);
  for (std::size_t vector = 0; vector < entry.vectors.size(); ++vector) {
    for (const GuestMode mode : {GuestMode::kernel, GuestMode::user}) {
      for (const ContextStack stack : {ContextStack::thread, ContextStack::interrupt}) {
        for (const std::uint8_t mask : {0, 1}) {
          scenario.context.vector = static_cast<std::uint8_t>(vector);
          scenario.context.mode = mode;
          scenario.context.stack = stack;
          scenario.context.mask = mask;
          add_variants(contexts, scenario, entry);
        }
      }
    }
  }
  return contexts;
}

std::vector<Arrival> all_arrivals(const Entry& entry) {
  std::vector<Arrival> arrivals;
  Arrival arrival;
  arrival.port = 9;
  for (const std::uint8_t value : entry.description.pending_values) {
    arrival.pending_value = value;
    arrivals.push_back(arrival);
  }
  for (std::size_t i = 0; i < entry.vectors.size(); ++i) {
    const DeliveryKind kind = entry.vectors[i].description.kind;
    if (kind != DeliveryKind::event) {
      arrival = {};
      arrival.kind = kind == DeliveryKind::nmi ? ArrivalKind::nmi : ArrivalKind::exception;
      arrival.vector = kind == DeliveryKind::nmi ? std::uint8_t{0} : static_cast<std::uint8_t>(i);
      arrivals.push_back(arrival);
    }
  }
  arrival = {};
  arrival.kind = ArrivalKind::tick;
  arrivals.push_back(arrival);
  return arrivals;
}

Scenario with_arrival(const Scenario& scenario, Arrival arrival, std::uint16_t distance) {
  Scenario longer = scenario;
  arrival.distance = distance;
  longer.arrivals[longer.arrival_count++] = arrival;
  return longer;
}

void add_delivered(const FeatureProbe& probe, const Scenario& scenario, std::set<DeliveredAt>& delivered) {
  for (std::size_t i = 0; i < probe.nested().reached; ++i) {
    const ArrivalRecord& record = probe.nested().arrivals[i];
    if (record.delivered && scenario.arrivals[i].kind != ArrivalKind::tick) {
      delivered.insert({record.boundary, scenario.arrivals[i].kind});
    }
  }
}

Deliverable deliverable(const Entry& entry) {
  constexpr std::size_t kMostArrivals = 3;
  FeatureProbe probe(entry);
  Deliverable found;
  found.prefixes = all_contexts(entry);
  for (const Scenario& context : found.prefixes) {
    probe.run(context);
  }
  const std::vector<Arrival> arrivals = all_arrivals(entry);
  for (std::size_t i = 0; i < found.prefixes.size(); ++i) {
    const Scenario prefix = found.prefixes[i];
    for (const Arrival& arrival : arrivals) {
      for (std::uint16_t distance = 0;; ++distance) {
        const Scenario scenario = with_arrival(prefix, arrival, distance);
        probe.run(scenario);
        if (probe.nested().reached < scenario.arrival_count) {
          break;
        }
        add_delivered(probe, scenario, found.all);
        if (probe.folded_new()) {
          found.folds.push_back(scenario);
        }
        if (probe.executed_new() && scenario.arrival_count < kMostArrivals) {
          found.prefixes.push_back(scenario);
        }
      }
    }
  }
  const Coverage& coverage = probe.coverage();
  found.counts.assign(coverage.counts().begin(), coverage.counts().end());
  found.executed.assign(coverage.executed_boundaries().begin(), coverage.executed_boundaries().end());
  return found;
}

}  // namespace framefold::test
