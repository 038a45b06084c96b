// The regression corpora: small, sound, and complete in what they deliver where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

#include "cli/deliverable.hpp"
#include "cli/reachable.hpp"
#include "cli/sha1.hpp"
#include "image/input_file.hpp"
#include "scenario/codec.hpp"
#include "test/entries.hpp"

namespace framefold {
namespace {

namespace fs = std::filesystem;

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kMaxFile = 1 << 16;

std::map<std::string, Bytes> read_corpus(const std::string& entry) {
  std::map<std::string, Bytes> files;
  for (const fs::directory_entry& file : fs::directory_iterator(fs::path(FRAMEFOLD_CORPUS) / entry)) {
    files.emplace(file.path().filename().string(), read_input_file(file.path().string(), kMaxFile));
  }
  return files;
}

class Corpus : public testing::TestWithParam<std::string> {
 protected:
  const Entry& entry_ = test::bundled_entry(GetParam());
  std::map<std::string, Bytes> files_ = read_corpus(GetParam());
};

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Entries, Corpus, testing::ValuesIn(test::bundled_names()), test_name);

TEST_P(Corpus, IsSmall) {
  EXPECT_FALSE(files_.empty());
  EXPECT_LT(files_.size(), 160U);
  for (const auto& [name, bytes] : files_) {
    EXPECT_LT(bytes.size(), 100U) << name;
  }
}

TEST_P(Corpus, NamesAreContentsAndContentsAreCanonical) {
  for (const auto& [name, bytes] : files_) {
    EXPECT_EQ(name, sha1_name(bytes));
    const Encoded again = encode(decode(bytes, entry_), entry_);
    EXPECT_THAT(bytes, testing::ElementsAreArray(again.view())) << name;
  }
}

TEST_P(Corpus, ShowsNothingThatIsNotKnown) {
  Oracle oracle(entry_);
  for (const auto& [name, bytes] : files_) {
    const Finding* violation = oracle.judge(decode(bytes, entry_)).violation();
    EXPECT_EQ(violation, nullptr) << name << ": " << signature_of(entry_, *violation);
  }
}

TEST_P(Corpus, EachInputReachesWhatNoOtherDoes) {
  FeatureProbe probe(entry_);
  std::map<std::string, std::vector<std::uint32_t>> features;
  std::map<std::uint32_t, unsigned> inputs;
  for (const auto& [name, bytes] : files_) {
    probe.run(decode(bytes, entry_));
    features.emplace(name, std::vector(probe.features().begin(), probe.features().end()));
    for (const std::uint32_t feature : probe.features()) {
      ++inputs[feature];
    }
  }
  for (const auto& [name, reached] : features) {
    EXPECT_TRUE(std::any_of(reached.begin(), reached.end(), [&](std::uint32_t f) { return inputs[f] == 1; })) << name;
  }
}

TEST_P(Corpus, DeliversEverythingEverywhere) {
  FeatureProbe probe(entry_);
  std::set<DeliveredAt> delivered;
  for (const auto& [name, bytes] : files_) {
    const Scenario scenario = decode(bytes, entry_);
    probe.run(scenario);
    add_delivered(probe, scenario, delivered);
  }
  const std::set<DeliveredAt> possible = deliverable(entry_).all;
  EXPECT_GT(possible.size(), entry_.instructions.size());
  for (const DeliveredAt& what : possible) {
    EXPECT_TRUE(delivered.contains(what)) << name_of(what.kind) << " at " << format_location(entry_, what.boundary);
  }
}

/// What exploration reaches, inputs of the corpus do: each instruction, and each kind of arrival that is delivered
/// there.
TEST_P(Corpus, ReachesWhatExplorationReaches) {
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
TEST_P(Corpus, HitsEachBoundaryOfTheRegionWithEachKindAndFoldsFromIt) {
  Oracle oracle(entry_);
  Coverage coverage(entry_, {});
  oracle.set_coverage(&coverage);
  for (const auto& [name, bytes] : files_) {
    oracle.judge(decode(bytes, entry_));
  }
  const Deliverable possible = deliverable(entry_);
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

}  // namespace
}  // namespace framefold
