// The guest's coverage as Centipede sees it, for which this file stands in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <span>

#include "fuzz/guest_counters.hpp"
#include "fuzz/guest_coverage.hpp"

// NOLINTBEGIN: Centipede's names, and the linker's for the ends of a section
extern "C" {
void CentipedeIsPresent();
void CentipedeIsPresent() {}
extern std::uint64_t __start___centipede_extra_features;
extern std::uint64_t __stop___centipede_extra_features;
}
// NOLINTEND

namespace framefold {
namespace {

/// As Centipede's runner reads them: what is not 0.
std::set<std::uint64_t> features() {
  std::set<std::uint64_t> found;
  for (const std::uint64_t feature :
       std::span(&__start___centipede_extra_features, &__stop___centipede_extra_features)) {
    if (feature != 0) {
      EXPECT_EQ(feature >> 32, 0U) << "the domain";
      EXPECT_TRUE(found.insert(feature).second);
    }
  }
  return found;
}

std::set<std::uint64_t> features_of(std::size_t counter, std::uint8_t count) {
  framefold_guest_counters = {};
  framefold_guest_counters[counter] = count;
  publish_guest_coverage();
  return features();
}

TEST(CentipedeFeatures, AreOneACounterThatCounted) {
  framefold_guest_counters = {};
  framefold_guest_counters[0] = 1;
  framefold_guest_counters[9] = 1;
  framefold_guest_counters[kGuestCounters - 1] = 200;
  publish_guest_coverage();
  EXPECT_EQ(features().size(), 3U);
}

TEST(CentipedeFeatures, DifferByCounterAndByDoubling) {
  EXPECT_NE(features_of(3, 1), features_of(4, 1));
  EXPECT_NE(features_of(3, 1), features_of(3, 2));
  EXPECT_EQ(features_of(3, 2), features_of(3, 3));
  EXPECT_NE(features_of(3, 0xff), features_of(4, 1));
}

TEST(CentipedeFeatures, OfTheLastRunAreGone) {
  features_of(3, 1);
  publish_guest_coverage();
  EXPECT_THAT(features(), testing::IsEmpty());
}

TEST(CentipedeFeatures, HaveRoomForEveryCounter) {
  framefold_guest_counters.fill(0xff);
  publish_guest_coverage();
  EXPECT_EQ(features().size(), kGuestCounters);
}

}  // namespace
}  // namespace framefold
