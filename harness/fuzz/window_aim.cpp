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
constexpr std::uint64_t kScenarioLeftOneIn = 5;
constexpr std::uint64_t kEventLeftOneIn = 6;
/// Contexts that have no window, as those with events masked, that become an event's.
constexpr std::uint64_t kContextTurnedOneIn = 2;
/// More arrivals than a few cost more than they show: two make a fold of a fold, and a third one more. What has more is
/// kept whole now and then.
constexpr std::size_t kFewArrivals = 3;
constexpr std::uint64_t kManyLeftOneIn = 24;
/// Of the other arrivals, in the same scenarios, those that become events: ticks and exceptions only move the window.
constexpr std::uint64_t kOtherTurnedOneIn = 2;
/// Of those that stay, those that are moved into the window; and events behind them that come while they are served, so
/// that the entry finds them pending.
constexpr std::uint64_t kOtherAimedOneIn = 2;
constexpr std::uint64_t kEventWhileServedOneIn = 4;
/// Of what is moved into the window, that which comes to its first boundaries.
constexpr std::uint64_t kAtFirstOneIn = 4;
constexpr std::uint64_t kBeforeTheTest = 3;

/// Leaves out what comes behind the first `count`. What was canonical still is.
void keep_arrivals(Scenario& scenario, std::size_t count) {
  while (scenario.arrival_count > count) {
    scenario.arrivals[--scenario.arrival_count] = Arrival{};
  }
}

Scenario scenario_of(std::size_t vector, GuestMode mode, const Entry& entry) {
  Scenario scenario = decode({}, entry);
  scenario.context.vector = static_cast<std::uint8_t>(vector);
  scenario.context.mode = mode;
  canonicalise(scenario, entry);
  return scenario;
}

Scenario with_arrival(Scenario scenario, Arrival arrival, std::int32_t distance, const Entry& entry) {
  arrival.distance = static_cast<std::uint16_t>(distance);
  scenario.arrivals[scenario.arrival_count++] = arrival;
  canonicalise(scenario, entry);
  return scenario;
}

Arrival arrival_of(std::size_t vector, const Entry& entry) {
  const bool nmi = entry.vectors[vector].description.kind == DeliveryKind::nmi;
  Arrival arrival;
  arrival.kind = nmi ? ArrivalKind::nmi : ArrivalKind::exception;
  arrival.vector = static_cast<std::uint8_t>(vector);
  return arrival;
}

}  // namespace

WindowAim::WindowAim(Oracle& oracle) : entry_(oracle.entry()) {
  for (const GuestMode mode : {GuestMode::kernel, GuestMode::user}) {
    measure_mode(oracle, mode);
  }
}

void WindowAim::measure_mode(Oracle& oracle, GuestMode mode) {
  Measured& measured = measured_[static_cast<std::size_t>(mode)];
  for (std::size_t vector = 0; vector < entry_.vectors.size(); ++vector) {
    measured.after_vector.push_back(measure(oracle, scenario_of(vector, mode, entry_)));
  }
  measured.detour.resize(entry_.vectors.size());
  const Window& window = measured.after_vector.front();
  if (!window.known) {
    return;
  }
  Scenario upcall = scenario_of(0, mode, entry_);
  for (std::int32_t boundary = window.first; boundary <= window.last; ++boundary) {
    measured.after_event.push_back(measure(oracle, with_arrival(upcall, Arrival{}, boundary, entry_)));
  }
  for (std::size_t vector = 1; vector < entry_.vectors.size(); ++vector) {
    const Arrival arrival = arrival_of(vector, entry_);
    const std::int32_t before = window.first / 2;
    const Window behind = measure(oracle, with_arrival(upcall, arrival, before, entry_));
    measured.detour[vector] = behind.known ? behind.first - (window.first - before) : 0;
    nmi_ = arrival.kind == ArrivalKind::nmi ? vector : nmi_;
  }
  upcall.event_actions[0].nested_event = true;
  const Window behind = measure(oracle, upcall);
  measured.nested = behind.known ? behind.last - window.last : 0;
}

WindowAim::Window WindowAim::measure(Oracle& oracle, const Scenario& scenario) {
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

std::int32_t WindowAim::Measured::detour_of(const Arrival& arrival, std::size_t nmi) const {
  switch (arrival.kind) {
    case ArrivalKind::nmi:
      return detour[nmi];
    case ArrivalKind::exception:
      return detour[arrival.vector];
    default:
      return 0;  // an event outside the window stays pending
  }
}

WindowAim::Window WindowAim::Measured::window_after_event(std::int32_t index) const {
  return after_event.empty() ? Window{}
                             : after_event[std::min(static_cast<std::size_t>(index), after_event.size() - 1)];
}

/// The window of the context's own vector. Where that has none, but events are not masked, the first event is served at
/// once, and has one: then nothing is known until it has come.
WindowAim::Window WindowAim::first_window(const Scenario& scenario, const Measured& measured) const {
  Window window = measured.after_vector[scenario.context.vector];
  const bool handler_nests = scenario.context.vector == 0 && scenario.event_actions[0].nested_event;
  window.first += handler_nests ? measured.nested : 0;
  window.last += handler_nests ? measured.nested : 0;
  return window;
}

/// Where an arrival is to come, in the terms of its window: anywhere, or before the entry has looked for events.
std::int32_t WindowAim::place_in(const Window& window, std::int32_t position, Random& random) {
  const std::int32_t first = std::max(window.first, position);
  const auto boundaries = static_cast<std::uint64_t>(window.last - first) + 1;
  const std::uint64_t chosen = random.one_in(kAtFirstOneIn) ? std::min(boundaries, kBeforeTheTest) : boundaries;
  return first + static_cast<std::int32_t>(random.below(chosen));
}

void WindowAim::aim(Scenario& scenario, Random& random) const {
  if (!random.one_in(kManyLeftOneIn)) {
    keep_arrivals(scenario, kFewArrivals);
  }
  if (random.one_in(kScenarioLeftOneIn)) {
    return;
  }
  const auto masked = [&] {
    return scenario.context.mask != 0 || entry_.vectors[scenario.context.vector].description.masks_events;
  };
  const auto opens = [&] {
    const Measured& measured = measured_[static_cast<std::size_t>(scenario.context.mode)];
    return scenario.context.mask == 0 && measured.after_vector[scenario.context.vector].known;
  };
  if (!opens() && random.one_in(kContextTurnedOneIn)) {
    scenario.context.vector = 0;
    canonicalise(scenario, entry_);
  }
  aim_arrivals(scenario, opens(), !masked(), random);
  canonicalise_arrivals(scenario, entry_);
}

void WindowAim::aim_arrivals(Scenario& scenario, bool opens, bool served_at_once, Random& random) const {
  const Measured& measured = measured_[static_cast<std::size_t>(scenario.context.mode)];
  const Measured& in_kernel = measured_[static_cast<std::size_t>(GuestMode::kernel)];
  Window window = opens ? first_window(scenario, measured) : Window{};
  std::int32_t position = 0;  // in the terms of `window`
  std::int32_t serving = 0;   // boundaries for which the last arrival is being served
  for (std::size_t i = 0; i < scenario.arrival_count; ++i) {
    Arrival& arrival = scenario.arrivals[i];
    if (random.one_in(kOtherTurnedOneIn)) {
      arrival.kind = ArrivalKind::event;
      arrival.port = static_cast<std::uint8_t>(random.below(kPortCount));
    }
    const bool event = arrival.sets_pending();
    if (!window.known) {
      if (event && served_at_once) {
        window = in_kernel.after_vector.front();
        position = 0;
        served_at_once = false;
      }
      continue;
    }
    if (event && serving > 0 && random.one_in(kEventWhileServedOneIn)) {
      arrival.distance = static_cast<std::uint16_t>(random.below(static_cast<std::uint64_t>(serving)));
    } else if (!window.contains(position + arrival.distance) && position <= window.last &&
               (event ? !random.one_in(kEventLeftOneIn) : random.one_in(kOtherAimedOneIn))) {
      arrival.distance = static_cast<std::uint16_t>(place_in(window, position, random) - position);
    }
    position += arrival.distance;
    serving = 0;
    if (event && window.contains(position)) {
      window = measured.window_after_event(position - window.first);
      position = 0;
    } else {
      serving = measured.detour_of(arrival, nmi_);
      position -= serving;
    }
  }
}

}  // namespace framefold
