#include "scenario/mutator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "counting_new.hpp"
#include "scenario/context_places.hpp"
#include "scenario_fixture.hpp"

namespace framefold {
namespace {

using test::all_entries;
using test::any_canonical;
using test::plain_scenario;

bool is_canonical(const Scenario& scenario, const Entry& entry) {
  Scenario canonical = scenario;
  canonicalise(canonical, entry);
  return canonical == scenario;
}

TEST(Random, IsSplitMix64) {
  // The first outputs for seed 1234567 of the reference implementation (Vigna, splitmix64.c).
  Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317U);
  EXPECT_EQ(random.next(), 3203168211198807973U);
  EXPECT_EQ(random.next(), 9817491932198370423U);
}

TEST(Mutate, YieldsOnlyCanonicalScenariosAndChangesNearlyAlways) {
  Random random(1);
  for (const Entry& entry : all_entries()) {
    Scenario s = plain_scenario(entry);
    int unchanged = 0;
    for (int i = 0; i < 100'000; ++i) {
      const Scenario before = s;
      mutate(s, entry, random);
      ASSERT_TRUE(is_canonical(s, entry)) << entry.name();
      unchanged += s == before ? 1 : 0;
      if (random.one_in(1000)) s = any_canonical(random, entry);
    }
    EXPECT_LT(unchanged, 100) << entry.name();
  }
}

TEST(Mutate, IsDeterministicInItsSeed) {
  const Entry entry = test::kernel_entry();
  Scenario a = plain_scenario(entry);
  Scenario b = a;
  Random first(7);
  Random second(7);
  for (int i = 0; i < 1000; ++i) {
    mutate(a, entry, first);
    mutate(b, entry, second);
    ASSERT_EQ(a, b);
  }
}

TEST(Mutate, DoesNotAllocateNorDoesCrossOver) {
  Random random(2);
  for (const Entry& entry : all_entries()) {
    Scenario s = plain_scenario(entry);
    const Scenario other = any_canonical(random, entry);
    const std::size_t before = test::allocations;
    for (int i = 0; i < 20'000; ++i) {
      mutate(s, entry, random);
      if (i % 16 == 0) s = cross_over(s, other, entry, random);
    }
    EXPECT_EQ(test::allocations, before);
  }
  EXPECT_TRUE(test::counts_allocations());
}

TEST(Mutate, KeepsMostScenariosAtTwoToFourArrivals) {
  Random random(3);
  const Entry entry = test::kernel_entry();
  Scenario s = plain_scenario(entry);
  std::array<int, kMaxArrivals + 1> count{};
  constexpr int kSteps = 100'000;
  for (int i = 0; i < kSteps; ++i) {
    mutate(s, entry, random);
    ++count[s.arrival_count];
  }
  EXPECT_GT(count[2] + count[3] + count[4], kSteps * 6 / 10);
  EXPECT_GT(count[0] + count[1], 0);
}

/// A value, and the field or the class of values that it is of. In this order a set needs few comparisons of text.
using Value = std::pair<std::uint64_t, std::string_view>;

void collect_registers(const Context& c, const Entry& entry, std::set<Value>& seen) {
  const std::uint64_t ones = entry.width() == Width::k64 ? ~std::uint64_t{0} : 0xffff'ffff;
  for (std::size_t i = 0; i < kGprCount; ++i) {
    const std::uint64_t value = c.gpr[i];
    if (value == 0) seen.insert({i, "zero in register"});
    if (value == ones) seen.insert({i, "ones in register"});
    if (entry.region.contains({value})) seen.insert({i, "region's address in register"});
    for (std::size_t j = 0; j < gpr_count(entry.width()); ++j) {
      if (value != register_tag(static_cast<Gpr>(j), entry.width())) continue;
      seen.insert({i, i == j ? "own tag in register" : "other tag in register"});
    }
  }
}

/// The values that a scenario's fields have.
void collect(const Scenario& s, const Entry& entry, std::set<Value>& seen) {
  const Context& c = s.context;
  const bool event = c.vector == 0;
  const auto name = [&seen](std::string_view field, std::uint64_t value) { seen.insert({value, field}); };
  name("vector", c.vector);
  name("mode", static_cast<std::uint64_t>(c.mode));
  name("stack", static_cast<std::uint64_t>(c.stack));
  name("place", static_cast<std::uint64_t>(c.place));
  name(c.place == ContextPlace::region ? "region +" : "page +", c.place_offset);
  name("stack +", c.stack_offset);
  name("mask", c.mask < 2 ? c.mask : 2 + c.mask % 2U);
  if (!event) name("pending while masked", c.pending);
  if (event) name("pending", c.pending);
  name("port", c.port);
  if (c.has_masked_port) name("masked port", c.masked_port);
  name("NMI masked", c.nmi_masked ? 1 : 0);
  name("null DS", c.null_data_segments ? 1 : 0);
  name("error code", c.error_code == 0 ? 0 : 1);
  for (const FlagName& flag : context_flag_names()) name(flag.name, (c.rflags & flag.bit) == 0 ? 0 : 1);
  collect_registers(c, entry, seen);
  for (std::size_t i = 0; i < kActionCalls; ++i) {
    const EventAction& a = s.event_actions[i];
    name("nested", a.nested_event ? i : 99);
    name("unmask", a.unmask_port ? i : 99);
    name("work", a.set_work_flag ? i : 99);
  }
  name("write rax", s.frame_write.rax ? 1 : 0);
  name("write rip", s.frame_write.rip ? 1 : 0);
  name("arrivals", s.arrival_count);
  for (std::size_t i = 0; i < s.arrival_count; ++i) {
    const Arrival& a = s.arrivals[i];
    name("kind", static_cast<std::uint64_t>(a.kind));
    name("distance", a.distance > 160 ? 161 : a.distance);
    if (a.kind == ArrivalKind::event) name("arrival port", a.port);
    if (a.kind == ArrivalKind::event) name("arrival pending", a.pending_value);
    if (a.kind == ArrivalKind::exception) name("exception", a.vector);
    if (a.kind == ArrivalKind::exception) name("arrival error code", a.error_code == 0 ? 0 : 1);
  }
}

TEST(Mutate, ReachesEveryValueThatAScenarioCanHave) {
  Random random(4);
  for (const Entry& entry : all_entries()) {
    std::set<Value> possible;
    for (int i = 0; i < 30'000; ++i) {
      // Some values are too rare among random ones: help them.
      Scenario s = test::any_scenario(random);
      s.context.place_offset = static_cast<std::uint16_t>(random.below(kContextPlaces));
      for (Arrival& a : s.arrivals) a.error_code = random.one_in(2) ? 0 : a.error_code;
      s.context.error_code = random.one_in(2) ? 0 : s.context.error_code;
      const std::size_t gpr = random.below(kGprCount);
      s.context.gpr[gpr] =
          std::array<std::uint64_t, 4>{0, ~std::uint64_t{0}, register_tag(static_cast<Gpr>(gpr), entry.width()),
                                       entry.region.begin.value}[random.below(4)];
      s.context.gpr[(gpr + 1) % kGprCount] =
          register_tag(static_cast<Gpr>(random.below(gpr_count(entry.width()))), entry.width());
      canonicalise(s, entry);
      collect(s, entry, possible);
    }
    std::set<Value> reached;
    Scenario s = plain_scenario(entry);
    for (int i = 0; i < 200'000; ++i) {
      mutate(s, entry, random);
      collect(s, entry, reached);
      if (random.one_in(64)) s = plain_scenario(entry);
      if (random.one_in(512)) s.arrival_count = static_cast<std::uint8_t>(random.below(kMaxArrivals + 1));
      canonicalise(s, entry);
    }
    std::vector<Value> missing;
    std::set_difference(possible.begin(), possible.end(), reached.begin(), reached.end(), std::back_inserter(missing));
    EXPECT_THAT(missing, testing::IsEmpty()) << entry.name();
    EXPECT_GT(possible.size(), 100U) << entry.name();
  }
}

TEST(CrossOver, MakesCanonicalChildrenOfBothParents) {
  Random random(5);
  for (const Entry& entry : all_entries()) {
    int mixed = 0;
    for (int i = 0; i < 50'000; ++i) {
      const Scenario a = any_canonical(random, entry);
      const Scenario b = any_canonical(random, entry);
      const Scenario child = cross_over(a, b, entry, random);
      ASSERT_TRUE(is_canonical(child, entry));
      for (std::size_t j = 0; j < child.arrival_count; ++j) {
        const auto equal = [&](const Arrival& arrival) { return arrival == child.arrivals[j]; };
        ASSERT_TRUE(std::any_of(a.arrivals.begin(), a.arrivals.end(), equal) ||
                    std::any_of(b.arrivals.begin(), b.arrivals.end(), equal));
      }
      ASSERT_TRUE(child.context.gpr == a.context.gpr || child.context.gpr == b.context.gpr);
      mixed += child != a && child != b ? 1 : 0;
    }
    EXPECT_GT(mixed, 25'000);
  }
}

}  // namespace
}  // namespace framefold
