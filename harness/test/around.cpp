#include "test/around.hpp"

#include <algorithm>

namespace framefold::test {

namespace {

constexpr std::uint64_t kMutations = 4;  // fewer than that
constexpr std::size_t kShifted = 3;      // arrivals that are moved together
constexpr int kMostShift = 4;            // boundaries: what the cures make a path longer by

bool sweep_each(Oracle& oracle, const Scenario& scenario, const Visit& visit) {
  for (std::size_t moving = 0; moving < scenario.arrival_count; ++moving) {
    Scenario moved = scenario;
    bool reached = true;
    for (std::uint16_t distance = 0; reached; ++distance) {
      moved.arrivals[moving].distance = distance;
      const Verdict& verdict = oracle.judge(moved);
      reached = oracle.nested().reached > moving;
      if (!visit(moved, verdict)) {
        return false;
      }
    }
  }
  return true;
}

bool shift_all(Oracle& oracle, const Scenario& scenario, std::size_t from, const Visit& visit) {
  if (from == std::min<std::size_t>(scenario.arrival_count, kShifted)) {
    return visit(scenario, oracle.judge(scenario));
  }
  for (int by = -kMostShift; by <= kMostShift; ++by) {
    const int distance = scenario.arrivals[from].distance + by;
    if (distance < 0) {
      continue;
    }
    Scenario moved = scenario;
    moved.arrivals[from].distance = static_cast<std::uint16_t>(distance);
    if (!shift_all(oracle, moved, from + 1, visit)) {
      return false;
    }
  }
  return true;
}

}  // namespace

Scenario vary(Scenario scenario, const Entry& entry, Random& random) {
  Context& context = scenario.context;
  for (std::uint64_t& value : context.gpr) {
    if (random.one_in(2)) {
      value = random.next();
    }
  }
  if (random.one_in(2)) {
    context.rflags = random.next();
  }
  if (random.one_in(2)) {
    context.stack_offset = static_cast<std::uint8_t>(random.below(kStackOffsets));
  }
  if (random.one_in(2)) {
    context.place_offset = static_cast<std::uint16_t>(random.next());
  }
  for (std::size_t i = 0; i < scenario.arrival_count; ++i) {
    if (random.one_in(2)) {
      scenario.arrivals[i].port = static_cast<std::uint8_t>(random.below(kPortCount));
    }
  }
  canonicalise(scenario, entry);
  for (std::uint64_t left = random.below(kMutations); left != 0; --left) {
    mutate(scenario, entry, random);
  }
  return scenario;
}

Scenario without_arrival(const Scenario& scenario, std::size_t index, const Entry& entry) {
  Scenario shorter = scenario;
  const auto at = shorter.arrivals.begin() + static_cast<std::ptrdiff_t>(index);
  std::copy(at + 1, shorter.arrivals.end(), at);
  if (index + 1 < scenario.arrival_count) {
    at->distance = static_cast<std::uint16_t>(at->distance + scenario.arrivals[index].distance);
  }
  --shorter.arrival_count;
  canonicalise(shorter, entry);
  return shorter;
}

bool for_each_around(Oracle& oracle, const Scenario& scenario, std::uint64_t seed, std::uint64_t count,
                     const Visit& visit) {
  if (!visit(scenario, oracle.judge(scenario)) || !sweep_each(oracle, scenario, visit) ||
      !shift_all(oracle, scenario, 0, visit)) {
    return false;
  }
  Random random(seed);
  for (; count != 0; --count) {
    const Scenario varied = vary(scenario, oracle.entry(), random);
    if (!visit(varied, oracle.judge(varied))) {
      return false;
    }
  }
  return true;
}

Scenario reduce(Oracle& oracle, Scenario scenario, const std::function<bool(const Verdict&)>& shows) {
  const auto take = [&](const Scenario& candidate) {
    const bool good = shows(oracle.judge(candidate));
    if (good) {
      scenario = candidate;
    }
    return good;
  };
  for (std::size_t index = scenario.arrival_count; index-- > 0;) {
    if (take(without_arrival(scenario, index, oracle.entry()))) {
      index = scenario.arrival_count;  // one that was needed before may not be any more
    }
  }
  Scenario candidate = scenario;
  candidate.event_actions = {};
  take(candidate);
  candidate = scenario;
  candidate.frame_write = {};
  take(candidate);
  return scenario;
}

}  // namespace framefold::test
