// The regression corpora: small and sound. What they reach is corpus_reach_test.cpp's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "cli/feature_probe.hpp"
#include "cli/sha1.hpp"
#include "scenario/codec.hpp"
#include "test/corpus_files.hpp"

namespace framefold {
namespace {

using Corpus = test::CorpusTest;

INSTANTIATE_TEST_SUITE_P(Entries, Corpus, testing::ValuesIn(test::bundled_names()), test::entry_test_name);

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

}  // namespace
}  // namespace framefold
