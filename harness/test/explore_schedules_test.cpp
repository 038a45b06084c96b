// Exploration against every schedule of a few arrivals, each run by itself: nothing is left out, and nothing else
// shows.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "explore/contexts.hpp"
#include "test/explore_context.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

/// What may arrive on a schedule.
struct Arrivals {
  unsigned most = 0;
  bool others = false;    // than events: at most one NMI and one exception
  bool spurious = false;  // ticks
};

/// An arrival of each kind that may still come: pending bytes but the first on schedules without NMIs and exceptions.
std::vector<Arrival> next_arrivals(const Entry& entry, const Scenario& scenario, const Arrivals& arrivals) {
  const std::uint8_t first = entry.description.pending_values.front();
  const auto has = [&](auto such) {
    return std::any_of(scenario.arrivals.begin(), scenario.arrivals.begin() + scenario.arrival_count, such);
  };
  const auto has_kind = [&](ArrivalKind kind) { return has([&](const Arrival& a) { return a.kind == kind; }); };
  const bool interrupted = has_kind(ArrivalKind::nmi) || has_kind(ArrivalKind::exception);
  const bool alone = has([&](const Arrival& a) { return a.sets_pending() && a.pending_value != first; });
  std::vector<Arrival> next;
  for (std::uint8_t vector = 0; vector < entry.vectors.size(); ++vector) {
    const VectorDescription& description = entry.vectors[vector].description;
    Arrival arrival;
    if (description.kind == DeliveryKind::event) {
      arrival.port = static_cast<std::uint8_t>(scenario.arrival_count == 0 ? 1 : 65);
      for (const std::uint8_t value : entry.description.pending_values) {
        arrival.pending_value = value;
        if (value == first || !interrupted) {
          next.push_back(arrival);
        }
        if (arrivals.spurious && (value == first || !interrupted)) {
          next.push_back({ArrivalKind::tick, 0, 0, value, 0, true, 0});
        }
      }
      continue;
    }
    arrival.kind = description.kind == DeliveryKind::nmi ? ArrivalKind::nmi : ArrivalKind::exception;
    arrival.vector = vector;
    arrival.error_code = description.error_code ? scenario.context.error_code : 0;
    if (arrivals.others && !alone && !has_kind(arrival.kind)) {
      next.push_back(arrival);
    }
  }
  return next;
}

/// What this schedule shows, and all that start like it. False where its last arrival is not reached: it is none then.
bool run_every_schedule(Oracle& oracle, const Scenario& scenario, const Arrivals& arrivals,
                        std::set<std::string>& shown) {
  const Verdict verdict = oracle.judge(scenario);
  if (oracle.nested().reached < scenario.arrival_count) {
    return false;
  }
  for (const Finding& finding : verdict.view()) {
    // What only the reference run shows, in which the event interrupts the resumed context, is another context's.
    if (finding.source != ViolationSource::reference) {
      shown.insert(signature_of(oracle.entry(), finding));
    }
  }
  if (scenario.arrival_count == arrivals.most) {
    return true;
  }
  for (Arrival arrival : next_arrivals(oracle.entry(), scenario, arrivals)) {
    Scenario longer = scenario;
    const std::size_t moving = longer.arrival_count++;
    do {
      longer.arrivals[moving] = arrival;
      ++arrival.distance;
      canonicalise(longer, oracle.entry());
    } while (run_every_schedule(oracle, longer, arrivals, shown));
  }
  return true;
}

/// What exploration shows, known or not, as the schedules' signatures say it.
std::set<std::string> signatures(const Entry& entry, const ExploreResult& result) {
  std::set<std::string> explored;
  for (const auto& [row, cause] : result.known) {
    explored.insert(
        fmt::format("{}:{}:{}", entry.name(), entry.known[row].description.kind, format_location(entry, cause)));
  }
  for (const auto& [signature, violation] : result.violations) {
    explored.insert(signature);
  }
  return explored;
}

void compare(Explorer& explorer, Oracle& oracle, const Scenario& context, const Arrivals& arrivals) {
  SCOPED_TRACE(fmt::format("{} arrivals, {}", arrivals.most, describe_context(class_of(context), explorer.entry())));
  std::set<std::string> by_schedules;
  EXPECT_TRUE(run_every_schedule(oracle, context, arrivals, by_schedules));
  const ExploreResult result = explore_one(explorer, context);
  EXPECT_EQ(signatures(explorer.entry(), result), by_schedules);
  EXPECT_THAT(result.disagreements, testing::IsEmpty());
}

class Reduction : public testing::TestWithParam<std::string> {
 protected:
  static bool looks_at_ports() { return GetParam().find(".spurious") != std::string::npos; }
  /// From each context that `chosen` takes. Of entries that do not look at ports, exploration takes no spurious ticks.
  template <typename Chosen>
  static void compare_from(unsigned events, Chosen chosen) {
    const auto entry = load_variant(GetParam());
    Oracle oracle(*entry);
    ExploreBounds bounds;
    bounds.actions = false;
    bounds.choices = events;
    Explorer explorer(*entry, bounds);
    std::size_t contexts = 0;
    for (const Scenario& context : enumerate_contexts(*entry, DataValues::first, Crossing::each)) {
      if (chosen(class_of(context))) {
        ++contexts;
        compare(explorer, oracle, context, {events, false, events == 1 || looks_at_ports()});
      }
    }
    EXPECT_GT(contexts, 1U);
  }
};

TEST_P(Reduction, ShowsWhatEveryScheduleOfOneEventShows) {
  compare_from(1, [](const ContextClass&) { return true; });
}

TEST_P(Reduction, ShowsWhatEveryScheduleOfTwoEventsShows) {
  compare_from(2, [](const ContextClass& c) {
    return c == base_of(c) && c.region_offset < 1 && c.stack == ContextStack::thread && c.vector % 4 == 0;
  });
}

std::vector<std::string> all_entries() {
  std::vector<std::string> names;
  for (const BundledEntry& bundled : bundled_entries()) {
    names.emplace_back(bundled.name);
  }
  return names;
}

std::vector<std::string> entries_and_bad_ones() {
  std::vector<std::string> names = all_entries();
  // (Not spurious_left: what it leaves pending, a run goes on to deliver at its end, without an end.)
  names.insert(names.end(), {"minios-x86_64-fixed.fixed_distance", "minios-x86_64-fixed.region_late",
                             "minios-x86_64-fixed.spurious_raced", "linux-x86_64-hypercall.spurious_cleared"});
  return names;
}

INSTANTIATE_TEST_SUITE_P(Entries, Reduction, testing::ValuesIn(entries_and_bad_ones()),
                         [](const testing::TestParamInfo<std::string>& test) { return test_name(test.param); });

class EverySchedule : public testing::TestWithParam<std::string> {};

/// An NMI and an exception among them.
TEST_P(EverySchedule, OfTwoArrivalsShowsNothingElse) {
  constexpr std::size_t kContexts = 2;  // a second each
  const auto entry = load_variant(GetParam());
  Oracle oracle(*entry);
  ExploreBounds bounds;
  bounds.nmis = bounds.exceptions = 1;
  bounds.choices = 2;
  bounds.actions = false;
  Explorer explorer(*entry, bounds);
  std::size_t contexts = 0;
  for (const Scenario& context : enumerate_contexts(*entry, DataValues::first, Crossing::none)) {
    const ContextClass c = class_of(context);
    if (c.stack == ContextStack::thread && c.mask <= MaskClass::one && c.pending <= 1 && c.vector % 4 == 0 &&
        contexts < kContexts) {
      ++contexts;
      compare(explorer, oracle, context, {2, true});
    }
  }
  EXPECT_EQ(contexts, kContexts);
}

INSTANTIATE_TEST_SUITE_P(Entries, EverySchedule, testing::ValuesIn(all_entries()),
                         [](const testing::TestParamInfo<std::string>& test) { return test_name(test.param); });

}  // namespace
}  // namespace framefold::test
