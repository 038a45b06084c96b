#include "cli/deliverable.hpp"

#include <optional>

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

/// Prefixes behind which an event is pending while events are unmasked, since the code had looked already when it was
/// raised, or looks for another value: there Xen delivers it at a tick. Of the window, and of an exception's code that
/// an event has interrupted, each where it has ticks at boundaries that none before it has.
class PendingPrefixes {
 public:
  PendingPrefixes(const Entry& entry, std::vector<Scenario>& found) : probe_(entry), found_(found) {}

  void add(const Scenario& context, const Arrival& event) {
    add_behind(context, event);
    const Scenario interrupted = with_arrival(context, event, 0);
    if (reached(interrupted) && last_delivered()) {
      add_behind(interrupted, event);
    }
  }

 private:
  static constexpr Arrival kTick{.kind = ArrivalKind::tick};

  /// Whether the last arrival came.
  bool reached(const Scenario& scenario) {
    count_ = scenario.arrival_count;
    probe_.run(scenario);
    return probe_.nested().reached == scenario.arrival_count;
  }
  bool last_delivered() const { return probe_.nested().arrivals[count_ - 1].delivered; }

  /// Of the events behind `prefix` that stay pending, each one that is the last before one that is delivered.
  void add_behind(const Scenario& prefix, const Arrival& event) {
    std::optional<Scenario> pending;
    Scenario raised = with_arrival(prefix, event, 0);
    for (; reached(raised); ++raised.arrivals[prefix.arrival_count].distance) {
      if (!last_delivered()) {
        pending = raised;
      } else if (pending) {
        add_if_new(*pending);
        pending.reset();
      }
    }
  }

  void add_if_new(const Scenario& prefix) {
    const std::size_t before = ticked_.size();
    Scenario ticks = with_arrival(prefix, kTick, 0);
    for (; reached(ticks); ++ticks.arrivals[prefix.arrival_count].distance) {
      if (last_delivered()) {
        ticked_.insert(probe_.nested().arrivals[prefix.arrival_count].boundary);
      }
    }
    if (ticked_.size() > before) {
      found_.push_back(prefix);
    }
  }

  FeatureProbe probe_;  // apart: what it has executed is new to who looks for new code
  std::vector<Scenario>& found_;
  std::set<GuestAddress> ticked_;
  std::uint8_t count_ = 0;
};

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
    const ArrivalKind kind = scenario.arrivals[i].counted_as();
    if (record.delivered && kind != ArrivalKind::tick) {
      delivered.insert({record.boundary, kind});
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
  const std::vector<Scenario> contexts = found.prefixes;
  PendingPrefixes pending(entry, found.prefixes);
  for (const Scenario& context : contexts) {
    for (const Arrival& arrival : arrivals) {
      if (arrival.kind == ArrivalKind::event) {
        pending.add(context, arrival);
      }
    }
  }
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
