#include "report/scenario_parts.hpp"

#include <algorithm>

#include "scenario/context_places.hpp"

namespace framefold {

namespace {

constexpr std::uint64_t kBytes = 256;
constexpr std::uint64_t kFewArrivals = 2;
constexpr std::size_t kOddParts = 2;  // where a scenario's size says how many are not plain

std::uint64_t nothing(const Scenario&) { return 0; }

/// A member of the context that is 0 when it is plain.
template <typename Value>
ScenarioPart context_part(const char* key, Value Context::*member, std::uint64_t choices) {
  return {"context",
          key,
          0,
          [member](const Scenario& s) { return static_cast<std::uint64_t>(s.context.*member); },
          [member](Scenario& s, std::uint64_t value) { s.context.*member = static_cast<Value>(value); },
          nothing,
          choices};
}

/// A member of an arrival.
template <typename Value>
ScenarioPart arrival_part(std::size_t i, const char* key, Value Arrival::*member, std::uint64_t choices) {
  return {"arrival",
          key,
          i,
          [i, member](const Scenario& s) { return static_cast<std::uint64_t>(s.arrivals[i].*member); },
          [i, member](Scenario& s, std::uint64_t value) { s.arrivals[i].*member = static_cast<Value>(value); },
          nothing,
          choices};
}

void add_context(std::vector<ScenarioPart>& parts, const Entry& entry) {
  parts.push_back(context_part("vector", &Context::vector, entry.vectors.size()));
  parts.push_back(context_part("error_code", &Context::error_code, 0));
  parts.push_back(context_part("mode", &Context::mode, 0));
  parts.push_back(context_part("stack", &Context::stack, 0));
  parts.push_back(context_part("stack_offset", &Context::stack_offset, kStackOffsets));
  parts.push_back(context_part("place", &Context::place, 0));
  parts.push_back(context_part("place_offset", &Context::place_offset, kContextPlaces));
  parts.push_back(context_part("mask", &Context::mask, 2));
  ScenarioPart pending = context_part("pending", &Context::pending, kBytes);
  pending.plain = [&entry](const Scenario& s) {
    return std::uint64_t{s.context.vector == 0 ? entry.description.pending_values.front() : std::uint8_t{0}};
  };
  parts.push_back(std::move(pending));
  parts.push_back(context_part("port", &Context::port, 0));
  parts.push_back(context_part("masked_port", &Context::has_masked_port, 0));
  ScenarioPart masked_port = context_part("masked_port", &Context::masked_port, kPortCount);
  masked_port.plain = [](const Scenario& s) {  // events have port 0, and it differs from theirs
    return std::uint64_t{s.context.has_masked_port ? 1U : 0U};
  };
  parts.push_back(std::move(masked_port));
  parts.push_back(context_part("nmi_masked", &Context::nmi_masked, 0));
  parts.push_back(context_part("null_data_segments", &Context::null_data_segments, 0));
}

void add_registers(std::vector<ScenarioPart>& parts, Width width) {
  for (const FlagName& flag : context_flag_names()) {
    const std::uint64_t bit = flag.bit;
    parts.push_back({"context", "rflags", 0,
                     [bit](const Scenario& s) { return std::uint64_t{(s.context.rflags & bit) != 0 ? 1U : 0U}; },
                     [bit](Scenario& s, std::uint64_t value) {
                       s.context.rflags = value != 0 ? s.context.rflags | bit : s.context.rflags & ~bit;
                     },
                     nothing, 0});
  }
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    if (gpr != Gpr::rsp) {
      parts.push_back({"context.registers", std::string(name_of(gpr, width)), 0,
                       [i](const Scenario& s) { return s.context.gpr[i]; },
                       [i](Scenario& s, std::uint64_t value) { s.context.gpr[i] = value; },
                       [gpr, width](const Scenario&) { return register_tag(gpr, width); }, 0});
    }
  }
}

ScenarioPart action_part(std::size_t call, const char* key, bool EventAction::*member) {
  return {"handler",
          key,
          0,
          [call, member](const Scenario& s) { return std::uint64_t{s.event_actions[call].*member ? 1U : 0U}; },
          [call, member](Scenario& s, std::uint64_t value) { s.event_actions[call].*member = value != 0; },
          nothing,
          0};
}

template <typename Value>
ScenarioPart write_part(const char* key, Value FrameWrite::*member) {
  return {"handler",
          key,
          0,
          [member](const Scenario& s) { return static_cast<std::uint64_t>(s.frame_write.*member); },
          [member](Scenario& s, std::uint64_t value) { s.frame_write.*member = static_cast<Value>(value); },
          nothing,
          0};
}

void add_handler(std::vector<ScenarioPart>& parts) {
  for (std::size_t call = 0; call < kActionCalls; ++call) {
    parts.push_back(action_part(call, "nested_event", &EventAction::nested_event));
    parts.push_back(action_part(call, "unmask_port", &EventAction::unmask_port));
    parts.push_back(action_part(call, "set_work_flag", &EventAction::set_work_flag));
  }
  parts.push_back(write_part("write_rax", &FrameWrite::rax));
  parts.push_back(write_part("write_rax", &FrameWrite::rax_value));
  parts.push_back(write_part("write_rip_offset", &FrameWrite::rip));
  parts.push_back(write_part("write_rip_offset", &FrameWrite::rip_offset));
}

void add_arrival(std::vector<ScenarioPart>& parts, std::size_t i, const Entry& entry) {
  parts.push_back(arrival_part(i, "kind", &Arrival::kind, kArrivalKindCount));
  parts.push_back(arrival_part(i, "port", &Arrival::port, 0));
  parts.push_back(arrival_part(i, "pending", &Arrival::spurious, 0));
  ScenarioPart pending = arrival_part(i, "pending", &Arrival::pending_value, kBytes);
  pending.plain = [i, &entry](const Scenario& s) {
    return std::uint64_t{s.arrivals[i].sets_pending() ? entry.description.pending_values.front()
                                                      : Arrival{}.pending_value};
  };
  parts.push_back(std::move(pending));
  ScenarioPart vector = arrival_part(i, "vector", &Arrival::vector, entry.vectors.size());
  vector.plain = [i](const Scenario& s) {  // the first exception; others have none
    return std::uint64_t{s.arrivals[i].kind == ArrivalKind::exception ? 1U : 0U};
  };
  parts.push_back(std::move(vector));
  parts.push_back(arrival_part(i, "error_code", &Arrival::error_code, 0));
}

}  // namespace

std::vector<ScenarioPart> scenario_parts(const Entry& entry, std::size_t arrivals) {
  std::vector<ScenarioPart> parts;
  add_context(parts, entry);
  add_registers(parts, entry.width());
  add_handler(parts);
  for (std::size_t i = 0; i < arrivals; ++i) {
    add_arrival(parts, i, entry);
  }
  return parts;
}

std::uint64_t ScenarioOrder::brought_about(const Scenario& scenario) {
  std::uint64_t count = scenario.arrival_count;
  for (const EventAction& action : scenario.event_actions) {
    count += (action.nested_event ? 1U : 0U) + (action.unmask_port ? 1U : 0U);
  }
  return count;
}

std::vector<std::uint64_t> ScenarioOrder::size_of(const Scenario& s) const {
  std::vector<std::uint64_t> size = {std::max<std::uint64_t>(s.arrival_count, kFewArrivals), brought_about(s), 0,
                                     s.context.vector};
  std::uint64_t distance = 0;
  for (std::size_t i = 0; i < s.arrival_count; ++i) {
    size.push_back(static_cast<std::uint64_t>(s.arrivals[i].kind));
    size.push_back(s.arrivals[i].vector);
    distance += s.arrivals[i].distance;
  }
  size.push_back(distance);
  for (std::size_t i = s.arrival_count; i-- > 0;) {  // of two that end alike, the one that comes close together
    size.push_back(s.arrivals[i].distance);
  }
  for (const ScenarioPart& part : parts_) {
    if (part.arrival < std::max<std::size_t>(s.arrival_count, 1)) {
      const std::uint64_t value = part.get(s);
      size[kOddParts] += value == part.plain(s) ? 0 : 1;
      size.push_back(value);
    }
  }
  return size;
}

}  // namespace framefold
