// What fuzzers tell apart of a run: the counters of edges, of arrivals and of what is folded (run/coverage.hpp).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <set>
#include <vector>

#include "entries.hpp"
#include "fuzz/guest_counters.hpp"
#include "run/coverage.hpp"

namespace framefold::test {
namespace {

const Entry& table_entry() { return bundled_entry("minios-x86_64-table"); }

/// Counters and what counts into them.
struct Counted {
  explicit Counted(const Entry& entry) : counters(Coverage::counters_wanted(entry)), coverage(entry, counters) {}
  void clear() { std::fill(counters.begin(), counters.end(), std::uint8_t{0}); }

  std::vector<std::uint8_t> counters;
  Coverage coverage;
};

std::uint16_t boundary_of(const Entry& entry, const Instruction& instruction) {
  return static_cast<std::uint16_t>(&instruction - entry.instructions.data());
}

/// The classes of a counter's value: TracePC::CollectFeatures of libFuzzer, count_class_lookup8 of AFL++.
unsigned class_of(std::uint8_t count) {
  constexpr std::array<std::uint8_t, 8> kFirst{1, 2, 3, 4, 8, 16, 32, 128};
  return static_cast<unsigned>(std::upper_bound(kFirst.begin(), kFirst.end(), count) - kFirst.begin());
}

TEST(GuestFeatures, SufficeForEveryBundledEntry) {
  for (const std::string& name : bundled_names()) {
    EXPECT_LE(Coverage::counters_wanted(bundled_entry(name)), kGuestCounters) << name;
  }
}

TEST(GuestFeatures, AreSharedWhereAnEntryWantsMore) {
  std::array<std::uint8_t, 8> few{};
  Coverage coverage(table_entry(), few);
  for (std::uint16_t boundary = 0; boundary < few.size(); ++boundary) {
    coverage.arrival(boundary, ArrivalKind::event, true);
  }
  EXPECT_TRUE(std::any_of(few.begin(), few.end(), [](std::uint8_t count) { return count != 0; }));
}

TEST(GuestFeatures, TellKindsOfArrivalsApartAtEachBoundary) {
  const Entry& entry = table_entry();
  std::set<std::size_t> places;
  for (std::uint16_t boundary = 0; boundary < 3; ++boundary) {
    std::set<unsigned> classes;
    std::set<int> highest_bits;  // what Centipede tells apart
    for (std::size_t kind = 0; kind < kArrivalKindCount; ++kind) {
      for (const bool delivered : {true, false}) {
        if (!delivered && static_cast<ArrivalKind>(kind) == ArrivalKind::exception) {
          continue;  // always delivered
        }
        Counted counted(entry);
        counted.coverage.arrival(boundary, static_cast<ArrivalKind>(kind), delivered);
        const auto found =
            std::find_if(counted.counters.begin(), counted.counters.end(), [](auto n) { return n != 0; });
        ASSERT_NE(found, counted.counters.end());
        places.insert(static_cast<std::size_t>(found - counted.counters.begin()));
        EXPECT_TRUE(classes.insert(class_of(*found)).second) << kind << delivered;
        EXPECT_TRUE(highest_bits.insert(std::bit_width(*found)).second) << kind << delivered;
        EXPECT_EQ(std::accumulate(counted.counters.begin(), counted.counters.end(), 0U), *found);
      }
    }
  }
  EXPECT_EQ(places.size(), 3U);  // one counter a boundary
}

TEST(GuestFeatures, TellKindsOfFoldsApartAtEachBoundaryOfTheRegion) {
  const Entry& entry = table_entry();
  std::set<std::pair<std::size_t, unsigned>> features;
  std::size_t folds = 0;
  for (const Instruction& instruction : entry.instructions) {
    if (!entry.region.contains(instruction.address)) {
      continue;
    }
    for (std::size_t kind = 0; kind < kDeliveryKindCount; ++kind, ++folds) {
      Counted counted(entry);
      counted.coverage.fold(boundary_of(entry, instruction), static_cast<DeliveryKind>(kind));
      const auto found = std::find_if(counted.counters.begin(), counted.counters.end(), [](auto n) { return n != 0; });
      ASSERT_NE(found, counted.counters.end());
      features.emplace(found - counted.counters.begin(), class_of(*found));
    }
  }
  EXPECT_GT(folds, 30U);
  EXPECT_EQ(features.size(), folds);
}

/// What counts where control comes from the block of one instruction to another.
unsigned counted(const Entry& entry, const Instruction& from, GuestAddress to, bool left) {
  Counted counted(entry);
  counted.coverage.begin_run();
  counted.coverage.edge(boundary_of(entry, from), 1);
  counted.clear();
  if (left) {
    counted.coverage.leave();
  }
  counted.coverage.edge(boundary_of(entry, *find_instruction(entry, to)), 1);
  return std::accumulate(counted.counters.begin(), counted.counters.end(), 0U);
}

TEST(GuestFeatures, CountAnEdgeWhereThereIsAnotherWay) {
  const Entry& entry = table_entry();
  unsigned jumps = 0;
  unsigned branches = 0;
  for (const Instruction& from : entry.instructions) {
    if (!has(from.flags, InstructionFlag::branches) || !from.target || !entry.text.contains(*from.target)) {
      continue;
    }
    if (falls_through(from)) {
      ++branches;
      EXPECT_EQ(counted(entry, from, *from.target, false), 1U) << from.text;
      EXPECT_EQ(counted(entry, from, from.next(), false), 1U) << from.text;
    } else {
      ++jumps;
      EXPECT_EQ(counted(entry, from, *from.target, false), 0U) << from.text;
      EXPECT_EQ(counted(entry, from, entry.event().address, false), 1U) << from.text;
    }
    EXPECT_EQ(counted(entry, from, entry.event().address, true), 1U) << from.text;  // by a delivery
  }
  EXPECT_GT(jumps, 3U);
  EXPECT_GT(branches, 3U);
}

TEST(GuestFeatures, DoNotTellFromWhichBlockXenTookControl) {
  const Entry& entry = table_entry();
  const std::uint16_t callback = boundary_of(entry, *find_instruction(entry, entry.event().address));
  const auto delivered_from = [&](const Instruction& from, std::size_t depth) {
    Counted counted(entry);
    counted.coverage.begin_run();
    counted.coverage.edge(boundary_of(entry, from), depth);
    counted.clear();
    counted.coverage.leave();
    counted.coverage.edge(callback, depth + 1);
    return counted.counters;
  };
  const std::vector<std::uint8_t> first = delivered_from(entry.instructions.front(), 1);
  EXPECT_EQ(std::accumulate(first.begin(), first.end(), 0U), 1U);
  for (const Instruction& from : entry.instructions) {
    EXPECT_EQ(delivered_from(from, 1), first) << from.text;
    EXPECT_NE(delivered_from(from, 2), first) << from.text;  // how deep is told
  }
}

}  // namespace
}  // namespace framefold::test
