// The guest's coverage as an engine sees it that counts guards: this file stands in for AFL++.
#include "fuzz/guest_coverage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <span>

#include "fuzz/guest_counters.hpp"

namespace {

std::span<std::uint32_t> known_guards;
std::map<std::uint32_t, unsigned> calls;  // by guard

}  // namespace

// NOLINTBEGIN: the engine's names
extern "C" {
int __afl_persistent_loop(unsigned count);
int __afl_persistent_loop(unsigned) { return 0; }
void __sanitizer_cov_trace_pc_guard_init(std::uint32_t* start, std::uint32_t* stop);
void __sanitizer_cov_trace_pc_guard_init(std::uint32_t* start, std::uint32_t* stop) {
  known_guards = {start, stop};
  std::iota(start, stop, 1);
}
void __sanitizer_cov_trace_pc_guard(std::uint32_t* guard);
void __sanitizer_cov_trace_pc_guard(std::uint32_t* guard) { ++calls[*guard]; }
}
// NOLINTEND

namespace framefold {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(GuestCoverage, RegistersAGuardACounterBeforeTheProgramStarts) {
  ASSERT_EQ(known_guards.size(), kGuestCounters);
  EXPECT_EQ(known_guards.back(), kGuestCounters);
}

TEST(GuestCoverage, CallsTheGuardOfEachCounterAsOftenAsItCounted) {
  calls.clear();
  framefold_guest_counters = {};
  framefold_guest_counters[0] = 1;
  framefold_guest_counters[8] = 3;
  framefold_guest_counters[kGuestCounters - 1] = 2;
  publish_guest_coverage();
  EXPECT_THAT(calls, ElementsAre(Pair(1, 1), Pair(9, 3), Pair(kGuestCounters, 2)));
}

TEST(GuestCoverage, CallsNoMoreThanAnEngineTellsApart) {
  calls.clear();
  framefold_guest_counters = {};
  framefold_guest_counters[5] = 0xff;
  publish_guest_coverage();
  EXPECT_THAT(calls, ElementsAre(Pair(6, 128)));
}

TEST(GuestCoverage, ClearsTheCounters) {
  framefold_guest_counters[7] = 9;
  publish_guest_coverage();
  calls.clear();
  publish_guest_coverage();
  EXPECT_THAT(calls, testing::IsEmpty());
  EXPECT_EQ(framefold_guest_counters[7], 0);
}

}  // namespace
}  // namespace framefold
