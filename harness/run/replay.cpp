#include "run/replay.hpp"

#include <algorithm>

namespace framefold {

namespace {

constexpr std::uint8_t kContextPort = 0;
/// Of the merged arrival at `place`: none is the context's, none the handler's own.
constexpr std::uint8_t merged_port(std::size_t place) { return static_cast<std::uint8_t>(kContextPort + 1 + place); }
static_assert(merged_port(kMaxArrivals) < kNestedPort.number);

bool can_merge(const Scenario& scenario) {
  return scenario.context.mask == 0 && !scenario.context.has_masked_port &&
         std::all_of(scenario.event_actions.begin(), scenario.event_actions.end(),
                     [](const EventAction& action) { return action == EventAction{}; });
}

/// Index of the arrival that does the same, but for the port, which is added where there is none.
std::uint8_t merge(Scenario& replayed, const Arrival& arrival) {
  const auto end = replayed.arrivals.begin() + replayed.arrival_count;
  const auto equal = std::find_if(replayed.arrivals.begin(), end, [&](const Arrival& other) {
    return other.kind == arrival.kind && other.pending_value == arrival.pending_value &&
           other.spurious == arrival.spurious;
  });
  const auto place = static_cast<std::uint8_t>(equal - replayed.arrivals.begin());
  if (equal == end) {
    *equal = arrival;
    equal->distance = 0;
    equal->port = arrival.kind == ArrivalKind::event ? merged_port(place) : std::uint8_t{0};
    ++replayed.arrival_count;
  }
  return place;
}

}  // namespace

bool has_upcalls_alike(const Entry& entry) {
  const auto reads_only = [&](const Instruction& instruction, GuestRange counter) {
    const std::span<const MemoryOperand> accesses = instruction.accesses();
    return std::any_of(accesses.begin(), accesses.end(), [&](const MemoryOperand& operand) {
      const GuestAddress address = effective_address(operand, Registers{}, instruction.next());
      return operand.read && !operand.write && address < counter.end && counter.begin < address + operand.size;
    });
  };
  return std::none_of(entry.counters.begin(), entry.counters.end(), [&](const GuestRange& counter) {
    return std::any_of(entry.instructions.begin(), entry.instructions.end(),
                       [&](const Instruction& instruction) { return reads_only(instruction, counter); });
  });
}

Replay replay_of(const Scenario& scenario, const Outcome& nested, bool may_merge) {
  Replay replay;
  replay.merged = may_merge && can_merge(scenario);
  replay.scenario.context = scenario.context;
  replay.scenario.event_actions = scenario.event_actions;
  replay.scenario.frame_write = scenario.frame_write;
  if (replay.merged) {
    replay.scenario.context.port = kContextPort;
  }
  for (std::size_t i = 0; i < nested.reached; ++i) {
    if (scenario.arrivals[i].kind == ArrivalKind::exception) {
      continue;
    }
    if (replay.merged) {
      replay.place[i] = merge(replay.scenario, scenario.arrivals[i]);
    } else {
      Arrival& arrival = replay.scenario.arrivals[replay.scenario.arrival_count++];
      arrival = scenario.arrivals[i];
      arrival.distance = 0;
    }
  }
  return replay;
}

std::bitset<kPortCount> handled_ports(const Replay& replay, const Scenario& scenario, const Outcome& nested,
                                      const std::bitset<kPortCount>& replayed) {
  if (!replay.merged) {
    return replayed;
  }
  std::bitset<kPortCount> handled;
  if (replayed.test(kContextPort)) {
    handled.set(scenario.context.port);
  }
  for (std::size_t i = 0; i < nested.reached; ++i) {
    if (scenario.arrivals[i].kind == ArrivalKind::event && replayed.test(merged_port(replay.place[i]))) {
      handled.set(scenario.arrivals[i].port);
    }
  }
  handled.reset(kNestedPort.number);
  return handled;
}

}  // namespace framefold
