#include "test/directed.hpp"

#include <algorithm>
#include <vector>

#include "scenario/codec.hpp"
#include "scenario/enumerate.hpp"
#include "scenario/mutator.hpp"

namespace framefold::test {

namespace {

/// Of the first of two arrivals: less than a window has boundaries, so that one of them hits each window.
constexpr std::uint16_t kStride = 20;

void add_special(std::vector<Scenario>& contexts, const Scenario& scenario, const Entry& entry) {
  Scenario special = scenario;
  special.context.null_data_segments = true;
  add_once(contexts, special, entry);
  special = scenario;
  special.frame_write.rax = true;
  special.frame_write.rax_value = 0x5157'4f52'4445'4431;  // nobody's tag
  add_once(contexts, special, entry);
  special = scenario;
  special.context.place = ContextPlace::region;
  for (std::uint64_t offset = 0; offset < entry.region.size(); ++offset) {
    special.context.place_offset = static_cast<std::uint16_t>(offset);
    add_once(contexts, special, entry);
  }
}

/// Plain ones, with work asked for where that can be.
std::vector<Scenario> working_contexts(const Entry& entry) {
  std::vector<Scenario> contexts;
  for (Scenario scenario : plain_contexts(entry)) {
    for (EventAction& action : scenario.event_actions) {
      action.set_work_flag = true;
    }
    add_once(contexts, scenario, entry);
  }
  return contexts;
}

Arrival an_event() {
  Arrival event;
  event.port = 9;
  return event;
}

/// An arrival of `scenario` at each distance, until it is not reached any more. Flags and the stack's alignment change
/// with the distance.
bool sweep(Oracle& oracle, Scenario scenario, std::size_t moving, std::uint16_t stride, const Visit& visit) {
  std::uint16_t& distance = scenario.arrivals[moving].distance;
  bool reached = true;
  while (reached) {
    scenario.context.rflags = distance % 2 == 0 ? 0 : kContextFlags;
    scenario.context.stack_offset = static_cast<std::uint8_t>(distance);
    canonicalise(scenario, oracle.entry());
    const Verdict& verdict = oracle.judge(scenario);
    reached = oracle.nested().reached > moving;
    if (!visit(scenario, verdict)) {
      return false;
    }
    distance = static_cast<std::uint16_t>(distance + stride);
  }
  return true;
}

void append(Scenario& scenario, const Arrival& arrival) { scenario.arrivals[scenario.arrival_count++] = arrival; }

/// Of the first and of the second of two arrivals.
struct Strides {
  std::uint16_t first;
  std::uint16_t second;
};

bool sweep_two(Oracle& oracle, Scenario scenario, const Arrival& first, const Arrival& second, Strides strides,
               const Visit& visit) {
  append(scenario, first);
  const std::size_t at = scenario.arrival_count - 1U;
  return sweep(oracle, scenario, at, strides.first, [&](const Scenario& with_first, const Verdict& /*verdict*/) {
    if (oracle.nested().reached <= at) {
      return true;
    }
    Scenario with_both = with_first;
    append(with_both, second);
    return sweep(oracle, with_both, at + 1, strides.second, visit);
  });
}

/// `first` at some distances and an event at each behind it; where events are masked behind it, also the other way
/// round.
bool sweep_event_behind(Oracle& oracle, const Scenario& scenario, const Arrival& first, const Visit& visit) {
  const bool masks = first.kind == ArrivalKind::nmi || (first.kind == ArrivalKind::exception &&
                                                        oracle.entry().vectors[first.vector].description.masks_events);
  return sweep_two(oracle, scenario, first, an_event(), {kStride, 1}, visit) &&
         (!masks || sweep_two(oracle, scenario, first, an_event(), {1, kStride}, visit));
}

/// Two events at some distances, and one at each behind them.
bool sweep_three_events(Oracle& oracle, Scenario scenario, const Visit& visit) {
  append(scenario, an_event());
  return sweep(oracle, scenario, 0, kStride, [&](const Scenario& with_first, const Verdict& /*verdict*/) {
    return oracle.nested().reached == 0 || sweep_two(oracle, with_first, an_event(), an_event(), {kStride, 1}, visit);
  });
}

}  // namespace

bool for_each_directed(Oracle& oracle, const Visit& visit) {
  const Entry& entry = oracle.entry();
  const std::vector<Scenario> plain = working_contexts(entry);
  std::vector<Scenario> all = plain;
  for (const Scenario& context : plain) {
    add_special(all, context, entry);
  }
  for (Scenario context : all) {
    for (const std::uint64_t flags : {std::uint64_t{0}, kContextFlags}) {
      context.context.rflags = flags;
      if (!visit(context, oracle.judge(context))) {
        return false;
      }
    }
  }
  const std::vector<Arrival> kinds = all_arrivals(entry);
  for (const Arrival& arrival : kinds) {
    for (Scenario scenario : plain) {
      append(scenario, arrival);
      if (!sweep(oracle, scenario, 0, 1, visit)) {
        return false;
      }
      append(scenario, an_event());
      if (!sweep(oracle, scenario, 0, 1, visit)) {
        return false;
      }
    }
  }
  for (const Scenario& context : plain) {
    for (const Arrival& first : kinds) {
      if (!sweep_event_behind(oracle, context, first, visit)) {
        return false;
      }
    }
    const bool interrupted_by_event = context.context.vector == 0;
    if (interrupted_by_event && !sweep_three_events(oracle, context, visit)) {
      return false;
    }
  }
  return true;
}

bool for_each_random(Oracle& oracle, std::uint64_t seed, std::uint64_t count, const Visit& visit) {
  constexpr std::uint64_t kFewestMutations = 3;
  constexpr std::uint64_t kMutations = 12;
  Random random(seed);
  for (; count != 0; --count) {
    Scenario scenario = decode({}, oracle.entry());
    for (std::uint64_t left = kFewestMutations + random.below(kMutations); left != 0; --left) {
      mutate(scenario, oracle.entry(), random);
    }
    if (!visit(scenario, oracle.judge(scenario))) {
      return false;
    }
  }
  return true;
}

}  // namespace framefold::test
