#include "fuzz/window_aim.hpp"

#include <algorithm>

#include "scenario/codec.hpp"

namespace framefold {

namespace {

/// Boundaries of a nested run at which a window was open, counted from the last arrival that was taken.
class WindowSink : public TraceSink {
 public:
  void record(const TraceEvent& event) override {
    switch (event.kind) {
      case TraceEvent::Kind::arrival:
        start_ = event.step;
        steps_.clear();
        break;
      case TraceEvent::Kind::window_open:
        open_ = true;
        break;
      case TraceEvent::Kind::window_closed:
      case TraceEvent::Kind::delivery:
      case TraceEvent::Kind::resumption:
        open_ = false;
        break;
      case TraceEvent::Kind::boundary:
        if (open_) {
          steps_.push_back(event.step - start_);
        }
        break;
      default:
        break;
    }
  }
  const std::vector<std::uint32_t>& steps() const { return steps_; }

 private:
  std::uint32_t start_ = 0;
  bool open_ = false;
  std::vector<std::uint32_t> steps_;
};

/// Scenarios that are left as they are, and in the others events: what misses the window finds other bugs.
constexpr std::uint64_t kScenarioLeftOneIn = 4;
constexpr std::uint64_t kEventLeftOneIn = 8;
/// Contexts that have no window, as those with events masked, that become an event's.
constexpr std::uint64_t kContextTurnedOneIn = 2;
/// More arrivals than this cost more than they show: a fold of a fold of a fold needs three.
constexpr std::uint64_t kFewArrivals = 4;
/// Of the other arrivals, in the same scenarios, those that become events: ticks and exceptions only move the window.
constexpr std::uint64_t kOtherTurnedOneIn = 2;

Scenario scenario_of(std::size_t vector, const Entry& entry) {
  Scenario scenario = decode({}, entry);
  scenario.context.vector = static_cast<std::uint8_t>(vector);
  canonicalise(scenario, entry);
  return scenario;
}

Scenario with_arrival(Scenario scenario, Arrival arrival, std::int32_t distance, const Entry& entry) {
  arrival.distance = static_cast<std::uint16_t>(distance);
  scenario.arrivals[scenario.arrival_count++] = arrival;
  canonicalise(scenario, entry);
  return scenario;
}

}  // namespace

WindowAim::WindowAim(Oracle& oracle) : entry_(oracle.entry()), detour_(entry_.vectors.size()) {
  for (std::size_t vector = 0; vector < entry_.vectors.size(); ++vector) {
    after_vector_.push_back(measure(oracle, scenario_of(vector, entry_)));
  }
  const Window& window = after_vector_.front();
  if (!window.known) {
    return;
  }
  const Scenario upcall = scenario_of(0, entry_);
  for (std::int32_t boundary = window.first; boundary <= window.last; ++boundary) {
    after_event_.push_back(measure(oracle, with_arrival(upcall, Arrival{}, boundary, entry_)));
  }
  for (std::size_t vector = 1; vector < entry_.vectors.size(); ++vector) {
    Arrival arrival;
    arrival.vector = static_cast<std::uint8_t>(vector);
    arrival.kind = ArrivalKind::exception;
    if (entry_.vectors[vector].description.kind == DeliveryKind::nmi) {
      nmi_ = vector;
      arrival.kind = ArrivalKind::nmi;
    }
    detour_[vector] = measure_detour(oracle, upcall, arrival);
  }
}

WindowAim::Window WindowAim::measure(Oracle& oracle, Scenario scenario) {
  WindowSink sink;
  Outcome outcome;
  oracle.execution().set_trace(&sink);
  oracle.execution().run_nested(scenario, kMaxArrivals, outcome);
  oracle.execution().set_trace(nullptr);
  if (sink.steps().empty() || sink.steps().back() > UINT16_MAX) {
    return {};
  }
  return {static_cast<std::int32_t>(sink.steps().front()), static_cast<std::int32_t>(sink.steps().back()), true};
}

std::int32_t WindowAim::measure_detour(Oracle& oracle, Scenario scenario, const Arrival& arrival) const {
  const std::int32_t before = after_vector_.front().first / 2;
  const Window window = measure(oracle, with_arrival(scenario, arrival, before, entry_));
  return window.known ? window.first - (after_vector_.front().first - before) : 0;
}

std::int32_t WindowAim::detour(const Arrival& arrival) const {
  switch (arrival.kind) {
    case ArrivalKind::nmi:
      return detour_[nmi_];
    case ArrivalKind::exception:
      return detour_[arrival.vector];
    default:
      return 0;  // an event outside the window stays pending
  }
}

WindowAim::Window WindowAim::after_event(std::int32_t index) const {
  return after_event_.empty() ? Window{}
                              : after_event_[std::min(static_cast<std::size_t>(index), after_event_.size() - 1)];
}

void WindowAim::aim(Scenario& scenario, Random& random) const {
  if (random.one_in(kScenarioLeftOneIn)) {
    return;
  }
  if (scenario.arrival_count > kFewArrivals && !random.one_in(kScenarioLeftOneIn)) {
    scenario.arrival_count = static_cast<std::uint8_t>(kFewArrivals - random.below(2));
  }
  const auto opens = [&] { return after_vector_[scenario.context.vector].known && scenario.context.mask == 0; };
  if (!opens() && random.one_in(kContextTurnedOneIn)) {
    scenario.context.vector = 0;
    canonicalise(scenario, entry_);
  }
  Window window = opens() ? after_vector_[scenario.context.vector] : Window{};
  std::int32_t position = 0;  // in the terms of `window`
  for (std::size_t i = 0; i < scenario.arrival_count && window.known; ++i) {
    Arrival& arrival = scenario.arrivals[i];
    if (random.one_in(kOtherTurnedOneIn)) {
      arrival.kind = ArrivalKind::event;
      arrival.port = static_cast<std::uint8_t>(random.below(kPortCount));
    }
    const bool event = arrival.kind == ArrivalKind::event;
    if (event && !window.contains(position + arrival.distance) && position <= window.last &&
        !random.one_in(kEventLeftOneIn)) {
      const std::int32_t first = std::max(window.first, position);
      const std::uint64_t width = static_cast<std::uint64_t>(window.last - first) + 1;
      arrival.distance = static_cast<std::uint16_t>(first + static_cast<std::int32_t>(random.below(width)) - position);
    }
    position += arrival.distance;
    if (event && window.contains(position)) {
      window = after_event(position - window.first);
      position = 0;
    } else {
      position -= detour(arrival);
    }
  }
  canonicalise(scenario, entry_);
}

}  // namespace framefold
