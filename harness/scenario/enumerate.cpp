#include "scenario/enumerate.hpp"

#include <algorithm>

#include "scenario/codec.hpp"

namespace framefold {

void add_once(std::vector<Scenario>& scenarios, Scenario scenario, const Entry& entry) {
  canonicalise(scenario, entry);
  if (std::find(scenarios.begin(), scenarios.end(), scenario) == scenarios.end()) {
    scenarios.push_back(scenario);
  }
}

std::vector<Scenario> plain_contexts(const Entry& entry) {
  std::vector<Scenario> contexts;
  Scenario scenario = decode({}, entry);  // with a tag in each register
  for (std::size_t vector = 0; vector < entry.vectors.size(); ++vector) {
    for (const GuestMode mode : {GuestMode::kernel, GuestMode::user}) {
      for (const ContextStack stack : {ContextStack::thread, ContextStack::interrupt}) {
        for (const std::uint8_t mask : {0, 1}) {
          scenario.context.vector = static_cast<std::uint8_t>(vector);
          scenario.context.mode = mode;
          scenario.context.stack = stack;
          scenario.context.mask = mask;
          add_once(contexts, scenario, entry);
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

}  // namespace framefold
