// The regression corpora are complete in what they deliver where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "cli/deliverable.hpp"
#include "cli/reachable.hpp"
#include "scenario/codec.hpp"
#include "test/corpus_files.hpp"

namespace framefold {
namespace {

class CorpusReach : public test::CorpusTest {
 protected:
  void expect_delivered(const std::set<DeliveredAt>& possible) const;
  void expect_region(const Deliverable& possible) const;
};

INSTANTIATE_TEST_SUITE_P(Entries, CorpusReach, testing::ValuesIn(test::bundled_names()), test::entry_test_name);

/// What exploration reaches, inputs of the corpus do: each instruction, and each kind of arrival that is delivered
/// there.
TEST_P(CorpusReach, ReachesWhatExplorationReaches) {
  Oracle oracle(entry_);
  Coverage coverage(entry_, {});
  oracle.set_coverage(&coverage);
  for (const auto& [name, bytes] : files_) {
    oracle.judge(decode(bytes, entry_));
  }
  const std::vector<ReachableBoundary> reached = reachable(entry_);
  std::array<std::size_t, kArrivalKindCount> boundaries{};  // at which something of that kind is delivered
  for (std::size_t i = 0; i < entry_.instructions.size(); ++i) {
    SCOPED_TRACE(format_location(entry_, entry_.instructions[i].address));
    EXPECT_EQ(coverage.executed_boundaries()[i] != 0, reached[i].executed);
    for (std::size_t kind = 0; kind < kArrivalKindCount; ++kind) {
      const bool can = reached[i].delivered[kind];
      EXPECT_TRUE(coverage.counts()[i].delivered[kind] > 0 || !can) << name_of(static_cast<ArrivalKind>(kind));
      boundaries[kind] += can ? 1 : 0;
    }
  }
  EXPECT_GT(boundaries[static_cast<std::size_t>(ArrivalKind::event)], 0U);
  EXPECT_GT(boundaries[static_cast<std::size_t>(ArrivalKind::exception)], entry_.instructions.size() / 2);
}

void CorpusReach::expect_delivered(const std::set<DeliveredAt>& possible) const {
  FeatureProbe probe(entry_);
  std::set<DeliveredAt> delivered;
  for (const auto& [name, bytes] : files_) {
    const Scenario scenario = decode(bytes, entry_);
    probe.run(scenario);
    add_delivered(probe, scenario, delivered);
  }
  EXPECT_GT(possible.size(), entry_.instructions.size());
  for (const DeliveredAt& what : possible) {
    EXPECT_TRUE(delivered.contains(what)) << name_of(what.kind) << " at " << format_location(entry_, what.boundary);
  }
}

/// The kinds that `can` counts and `does` does not, by number.
template <std::size_t kCount>
std::vector<std::size_t> missing(const std::array<std::uint64_t, kCount>& can,
                                 const std::array<std::uint64_t, kCount>& does) {
  std::vector<std::size_t> kinds;
  for (std::size_t kind = 0; kind < kCount; ++kind) {
    if (can[kind] > 0 && does[kind] == 0) {
      kinds.push_back(kind);
    }
  }
  return kinds;
}

/// Every boundary of the region is reachable; and whatever can come there, be delivered there and be folded from there
/// is and does.
void CorpusReach::expect_region(const Deliverable& possible) const {
  Oracle oracle(entry_);
  Coverage coverage(entry_, {});
  oracle.set_coverage(&coverage);
  for (const auto& [name, bytes] : files_) {
    oracle.judge(decode(bytes, entry_));
  }
  std::size_t folding = 0;
  for (std::size_t i = 0; i < entry_.instructions.size(); ++i) {
    const GuestAddress address = entry_.instructions[i].address;
    if (!entry_.region.contains(address)) {
      continue;
    }
    SCOPED_TRACE(format_location(entry_, address));
    EXPECT_TRUE(possible.executed[i]);
    const BoundaryCounts& can = possible.counts[i];
    const BoundaryCounts& does = coverage.counts()[i];
    EXPECT_THAT(missing(can.arrived, does.arrived), testing::IsEmpty()) << "of event, tick, nmi, exception";
    EXPECT_THAT(missing(can.delivered, does.delivered), testing::IsEmpty()) << "of event, tick, nmi, exception";
    EXPECT_THAT(missing(can.folded, does.folded), testing::IsEmpty()) << "of event, exception, nmi";
    EXPECT_GT(can.arrived[static_cast<std::size_t>(ArrivalKind::event)], 0U);
    EXPECT_GT(can.arrived[static_cast<std::size_t>(ArrivalKind::tick)], 0U);
    EXPECT_GT(can.delivered[static_cast<std::size_t>(ArrivalKind::exception)], 0U);
    folding += can.folded[static_cast<std::size_t>(DeliveryKind::event)] > 0 ? 1 : 0;
  }
  EXPECT_EQ(folding > 0, entry_.region.size() != 0 && !entry_.description.nests);
}

TEST_P(CorpusReach, DeliversAndFoldsWhatCanBeWhereverItCan) {
  const Deliverable possible = deliverable(entry_);
  expect_delivered(possible.all);
  expect_region(possible);
}

}  // namespace
}  // namespace framefold
