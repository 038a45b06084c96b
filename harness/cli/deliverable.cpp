#include "cli/deliverable.hpp"

namespace framefold {

namespace {

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

}  // namespace

std::vector<Scenario> all_contexts(const Entry& entry) {
  std::vector<Scenario> contexts;
  for (const Scenario& scenario : plain_contexts(entry)) {
    add_variants(contexts, scenario, entry);
  }
  return contexts;
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
  found.counts = probe.all_counts();
  found.executed = probe.all_executed();
  return found;
}

}  // namespace framefold
