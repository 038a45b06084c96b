// One bug, one bucket: many different inputs that show a bug fall in its bucket, and inputs that show another one do
// not.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "scenario/codec.hpp"
#include "test/around.hpp"
#include "test/cures.hpp"
#include "test/entries.hpp"
#include "test/planted_faults.hpp"
#include "test/reproducers.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

constexpr std::uint64_t kBucketSeed = 2;
constexpr std::size_t kInputs = 200;  // different ones, for each bug
constexpr std::uint64_t kBucketVariations =
    4000;                                       // at most: a bug that needs more to show 200 times is not one for this
constexpr std::uint64_t kSearchLimit = 100000;  // executions, for a planted fault's first input

using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(const Scenario& scenario, const Entry& entry) {
  const Encoded encoded = encode(scenario, entry);
  return {encoded.view().begin(), encoded.view().end()};
}

// ---- known violations: a bug is what no cure removes a part of ------------------------------------------------------

/// Bugs that break two promises. Each is a kind of its own, and so a bucket.
const std::map<std::string, std::set<std::string>> kBrokenTwice = {
    {"linux-x86_32-2007",
     {"linux-x86_32-2007:early-delivery:xen_iret_start_crit", "linux-x86_32-2007:mask-mismatch:xen_iret_start_crit"}},
};

class KnownBuckets : public testing::TestWithParam<std::string> {
 protected:
  const Entry& entry_ = bundled_entry(GetParam());
  Oracle oracle_{entry_};
};

INSTANTIATE_TEST_SUITE_P(Entries, KnownBuckets, testing::ValuesIn(bundled_names()),
                         [](const testing::TestParamInfo<std::string>& info) { return test_name(info.param); });

TEST_P(KnownBuckets, AreOneForEachBug) {
  using Bug = std::set<std::string>;             // its cures
  std::map<Bug, std::set<std::string>> buckets;  // of each bug
  std::map<std::string, std::set<Bug>> bugs;     // in each bucket
  for (const auto& [file, reproducer] : read_reproducers(GetParam(), entry_)) {
    SCOPED_TRACE(file);
    const std::string bucket = reproducer.notes.signature.substr(0, reproducer.notes.signature.rfind('+'));
    std::set<Bytes> shown;
    Random random(kBucketSeed);
    for (std::uint64_t left = kBucketVariations; left != 0 && shown.size() < kInputs; --left) {
      const Scenario scenario = vary(reproducer.scenario, entry_, random);
      for (const Finding& finding : oracle_.judge(scenario).view()) {
        ASSERT_GE(finding.known, 0) << signature_of(entry_, finding) << "\n" << to_toml(scenario, entry_, {});
        const KnownRow& row = entry_.known[static_cast<std::size_t>(finding.known)];
        const Bug bug = cures_of(entry_, row);
        ASSERT_FALSE(bug.empty()) << "no cure for " << label_of(row);
        buckets[bug].insert(bucket_of(entry_, finding));
        bugs[bucket_of(entry_, finding)].insert(bug);
        if (row.description.reproducer == file && bucket_of(entry_, finding) == bucket) {
          shown.insert(bytes_of(scenario, entry_));
        }
      }
    }
    EXPECT_GE(shown.size(), kInputs) << "different inputs in " << bucket;
  }
  for (const auto& [bucket, in_it] : bugs) {
    EXPECT_EQ(in_it.size(), 1U) << bucket << " is where two bugs fall";
  }
  const auto twice = kBrokenTwice.find(GetParam());
  for (const auto& [bug, of_it] : buckets) {
    if (of_it.size() > 1 && twice != kBrokenTwice.end()) {
      EXPECT_EQ(of_it, twice->second);
    } else {
      EXPECT_EQ(of_it.size(), 1U) << *bug.begin() << " removes " << *of_it.begin() << " and " << *of_it.rbegin();
    }
  }
  EXPECT_EQ(buckets.empty(), entry_.known.empty());
}

// ---- planted faults: each is the only bug of its entry that is not known

/// What the fault shows: nullptr where nothing.
const Finding* find(const Entry& entry, const PlantedFault& fault, const Verdict& verdict) {
  const std::span<const Finding> findings = verdict.view();
  const auto wanted = std::find_if(findings.begin(), findings.end(), [&](const Finding& finding) {
    return fault.only.empty() ? finding.known < 0 : fault.only.starts_with(bucket_of(entry, finding));
  });
  return wanted == findings.end() ? nullptr : &*wanted;
}

class PlantedBuckets : public testing::TestWithParam<PlantedFault> {};

INSTANTIATE_TEST_SUITE_P(Faults, PlantedBuckets, testing::ValuesIn(planted_faults()),
                         [](const testing::TestParamInfo<PlantedFault>& info) {
                           return test_name(info.param.variant);
                         });

/// Around the smallest input that shows it, from the first that a search finds. A fault that loses a frame or a stack
/// can show in as many ways as there is code that runs on with it: most of the inputs have to agree.
TEST_P(PlantedBuckets, MostInputsFallInOne) {
  const PlantedFault& fault = GetParam();
  const auto entry = load_variant(fault.variant);
  Oracle oracle(*entry);
  std::optional<Scenario> first;
  for_each_random(oracle, kBucketSeed, kSearchLimit, [&](const Scenario& scenario, const Verdict& verdict) {
    if (find(*entry, fault, verdict) != nullptr) {
      first = scenario;
    }
    return !first;
  });
  ASSERT_TRUE(first);
  first = reduce(oracle, *first, [&](const Verdict& verdict) { return find(*entry, fault, verdict) != nullptr; });
  const std::string bucket = bucket_of(*entry, *find(*entry, fault, oracle.judge(*first)));
  std::map<std::string, std::set<Bytes>> shown;
  std::size_t all = 0;
  Random random(kBucketSeed);
  for (std::uint64_t left = kBucketVariations; left != 0 && shown[bucket].size() < kInputs; --left) {
    const Scenario scenario = vary(*first, *entry, random);
    if (const Finding* finding = find(*entry, fault, oracle.judge(scenario))) {
      all += shown[bucket_of(*entry, *finding)].insert(bytes_of(scenario, *entry)).second ? 1 : 0;
    }
  }
  EXPECT_GE(shown[bucket].size(), kInputs) << "different inputs in " << bucket;
  std::string others;
  for (const auto& [name, inputs] : shown) {
    others += fmt::format("{} {}\n", name, inputs.size());
  }
  EXPECT_GE(shown[bucket].size() * 4, all * 3) << others;
}

}  // namespace
}  // namespace framefold::test
