#include "explore/path.hpp"

#include <algorithm>

namespace framefold {

std::optional<ArrivalKind> arrival_kind(Choice::Kind kind) {
  switch (kind) {
    case Choice::Kind::event:
      return ArrivalKind::event;
    case Choice::Kind::tick:
      return ArrivalKind::tick;
    case Choice::Kind::nmi:
      return ArrivalKind::nmi;
    case Choice::Kind::exception:
      return ArrivalKind::exception;
    case Choice::Kind::none:
    case Choice::Kind::action:
      return std::nullopt;
  }
  return std::nullopt;
}

Arrival arrival_of(const Choice& choice, std::uint8_t port, std::uint32_t error_code) {
  Arrival arrival;
  arrival.kind = *arrival_kind(choice.kind);
  arrival.port = port;
  arrival.pending_value = choice.pending_value;
  arrival.vector = choice.vector;
  arrival.spurious = choice.spurious;
  arrival.error_code = error_code;
  return arrival;
}

Way PathTree::way_from(std::uint32_t root, std::uint32_t segment) const {
  std::vector<std::uint32_t> legs;
  for (; segment != root; segment = segments_[segment].parent) {
    legs.push_back(segment);
  }
  Way way;
  for (auto leg = legs.rbegin(); leg != legs.rend(); ++leg) {
    const Leg& s = segments_[*leg];
    const std::uint32_t calls = s.handler_calls - segments_[root].handler_calls;
    way.push_back({s.step, s.choice, s.port, calls, s.record});
    if (s.way != nullptr) {
      for (WayStep step : *s.way) {
        step.handler_calls += calls;
        way.push_back(step);
      }
    }
  }
  return way;
}

std::optional<WayStep> PathTree::last_arrival(std::uint32_t segment, std::uint32_t root) const {
  const auto arrives = [](const WayStep& step) { return arrival_kind(step.choice.kind).has_value(); };
  for (; segment != root; segment = segments_[segment].parent) {
    const Leg& s = segments_[segment];
    if (s.way != nullptr) {
      const auto last = std::find_if(s.way->rbegin(), s.way->rend(), arrives);
      if (last != s.way->rend()) {
        return *last;
      }
    }
    const WayStep own{s.step, s.choice, s.port, s.handler_calls, s.record};
    if (arrives(own)) {
      return own;
    }
  }
  return std::nullopt;
}

std::optional<Scenario> PathTree::scenario_of(const Scenario& context, std::uint32_t segment,
                                              const Entry& entry) const {
  Scenario scenario = context;
  std::uint32_t distance = 0;
  for (const WayStep& s : way_from(0, segment)) {
    distance += s.step;
    if (s.choice.kind == Choice::Kind::action) {
      if (s.handler_calls >= kActionCalls) {
        return std::nullopt;
      }
      scenario.event_actions[s.handler_calls].nested_event = s.choice.nested_event;
      scenario.event_actions[s.handler_calls].set_work_flag = s.choice.set_work_flag;
      continue;
    }
    if (scenario.arrival_count == kMaxArrivals || distance > 0xffff) {
      return std::nullopt;
    }
    Arrival& arrival = scenario.arrivals[scenario.arrival_count++];
    arrival = arrival_of(s.choice, s.port, context.context.error_code);
    arrival.distance = static_cast<std::uint16_t>(distance);
    distance = 0;
  }
  canonicalise(scenario, entry);
  return scenario;
}

std::uint64_t PathTree::sequence_key(std::uint32_t root, std::uint32_t segment) const {
  constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15;
  std::uint64_t key = 1;
  const auto add = [&key](std::uint64_t value) {
    key = (key ^ value) * kMultiplier;
    key ^= key >> 32;
  };
  for (const WayStep& s : way_from(root, segment)) {
    add(static_cast<std::uint64_t>(s.choice.kind) | std::uint64_t{s.choice.vector} << 8 |
        std::uint64_t{s.choice.pending_value} << 16 | std::uint64_t{s.choice.nested_event} << 24 |
        std::uint64_t{s.choice.set_work_flag} << 25 | std::uint64_t{s.record.delivered} << 26 |
        std::uint64_t{s.choice.spurious} << 27 | std::uint64_t{s.record.conditions} << 32);
    add(s.record.boundary.value);
    add(s.record.cause.value);
  }
  return key;
}

}  // namespace framefold
