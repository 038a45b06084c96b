// What a fuzzer starts from that has seen nothing yet.
#include "cli/seeds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cli/corpus_merge.hpp"
#include "cli/deliverable.hpp"
#include "cli/entry_store.hpp"
#include "cli/reachable.hpp"
#include "scenario/codec.hpp"

namespace framefold {
namespace {

namespace fs = std::filesystem;

/// Of an entry that nobody has a corpus of.
class Seeds : public testing::TestWithParam<std::string> {};

TEST_P(Seeds, ReachEveryBoundaryAndShowNothing) {
  const std::string path = (fs::path(FRAMEFOLD_OWN_ENTRIES) / GetParam() / "entry.toml").string();
  EntryStore store;
  const Entry& entry = store.find(path, "--entry");
  const std::vector<Scenario> seeds = make_seeds(entry);
  EXPECT_THAT(seeds, testing::SizeIs(testing::AllOf(testing::Gt(10U), testing::Le(kMaxCorpusInputs))));
  FeatureProbe probe(entry);
  std::set<DeliveredAt> delivered;
  for (const Scenario& seed : seeds) {
    EXPECT_EQ(decode(encode(seed, entry).view(), entry), seed);
    EXPECT_EQ(probe.run(seed).violation(), nullptr);
    add_delivered(probe, seed, delivered);
  }
  for (const DeliveredAt& what : deliverable(entry).all) {
    EXPECT_TRUE(delivered.contains(what)) << name_of(what.kind) << " at " << format_location(entry, what.boundary);
  }
  const std::vector<ReachableBoundary> reached = reachable(entry);
  for (std::size_t i = 0; i < entry.instructions.size(); ++i) {
    SCOPED_TRACE(format_location(entry, entry.instructions[i].address));
    EXPECT_EQ(probe.all_executed()[i], reached[i].executed);
    for (std::size_t kind = 0; kind < kArrivalKindCount; ++kind) {
      EXPECT_TRUE(probe.all_counts()[i].delivered[kind] > 0 || !reached[i].delivered[kind])
          << name_of(static_cast<ArrivalKind>(kind));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OwnEntries, Seeds, testing::Values("padded64", "trapframe32"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace framefold
