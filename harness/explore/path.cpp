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

std::vector<std::uint32_t> PathTree::way_to(std::uint32_t segment) const {
  std::vector<std::uint32_t> way{segment};
  while (segments_[segment].parent != segment) {
    segment = segments_[segment].parent;
    way.push_back(segment);
  }
  std::reverse(way.begin(), way.end());
  return way;
}

std::optional<Scenario> PathTree::scenario_of(const Scenario& context, std::uint32_t segment,
                                              const Entry& entry) const {
  Scenario scenario = context;
  std::uint32_t distance = 0;
  for (const std::uint32_t index : way_to(segment)) {
    const Leg& s = segments_[index];
    if (s.parent == index) {
      continue;
    }
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
    arrival.kind = *arrival_kind(s.choice.kind);
    arrival.distance = static_cast<std::uint16_t>(distance);
    arrival.port = s.port;
    arrival.pending_value = s.choice.pending_value;
    arrival.vector = s.choice.vector;
    arrival.error_code = context.context.error_code;
    distance = 0;
  }
  canonicalise(scenario, entry);
  return scenario;
}

std::uint64_t PathTree::sequence_key(std::uint32_t segment) const {
  constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15;
  std::uint64_t key = 1;
  const auto add = [&key](std::uint64_t value) {
    key = (key ^ value) * kMultiplier;
    key ^= key >> 32;
  };
  for (const std::uint32_t index : way_to(segment)) {
    const Leg& s = segments_[index];
    add(static_cast<std::uint64_t>(s.choice.kind) | std::uint64_t{s.choice.vector} << 8 |
        std::uint64_t{s.choice.pending_value} << 16 | std::uint64_t{s.choice.nested_event} << 24 |
        std::uint64_t{s.choice.set_work_flag} << 25 | std::uint64_t{s.record.delivered} << 26 |
        std::uint64_t{s.record.conditions} << 32);
    add(s.record.boundary.value);
    add(s.record.cause.value);
  }
  return key;
}

}  // namespace framefold
