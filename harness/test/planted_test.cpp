// Planted faults: a search from nothing finds each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "test/planted_faults.hpp"
#include "test/reproducers.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::uint64_t kLimit = 100000;  // executions

std::vector<std::string_view> names_of(const std::vector<ViolationKind>& kinds) {
  std::vector<std::string_view> names;
  names.reserve(kinds.size());
  for (const ViolationKind kind : kinds) {
    names.push_back(name_of(kind));
  }
  return names;
}

class Planted : public testing::TestWithParam<PlantedFault> {};

TEST_P(Planted, IsFound) {
  const PlantedFault& fault = GetParam();
  const auto entry = load_variant(fault.variant);
  Oracle oracle(*entry);
  const std::optional<FoundFault> found = search(oracle, fault, kSeed, kLimit);
  ASSERT_TRUE(found) << fault.variant;
  const std::string signature = signature_of(*entry, found->finding);
  std::printf("%s, %s executions\n", signature.c_str(), std::to_string(found->executions).c_str());
  EXPECT_THAT(names_of(fault.kinds), testing::Contains(name_of(found->finding.kind))) << signature;
}

INSTANTIATE_TEST_SUITE_P(Faults, Planted, testing::ValuesIn(planted_faults()),
                         [](const testing::TestParamInfo<PlantedFault>& test) {
                           std::string name = test.param.variant;
                           for (char& c : name) {
                             c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                           }
                           return name;
                         });

/// What is known of a bucket does not hide a second bug in it: rows match boundaries and conditions.
TEST(Planted, IsFoundInTheBucketOfAKnownBug) {
  const std::map<std::string, std::string> buckets = {
      {"minios-x86_64-single.restore_end_ja", "minios-x86_64-single:handler-frame:restore_end"},
      {"minios-x86_64-single.marker_cleared", "minios-x86_64-single:nmi-masked:restore_end"},
  };
  for (const auto& [variant, bucket] : buckets) {
    const auto entry = load_variant(variant);
    Oracle oracle(*entry);
    const std::optional<FoundFault> found = search(oracle, {variant, {}, ""}, kSeed, kLimit);
    ASSERT_TRUE(found) << variant;
    EXPECT_EQ(bucket_of(*entry, found->finding), bucket);
    const auto reproducers = read_reproducers(entry->name(), *entry);
    EXPECT_TRUE(std::any_of(reproducers.begin(), reproducers.end(),
                            [&, &bucket = bucket](const auto& reproducer) {
                              return reproducer.second.notes.signature.starts_with(bucket + '+');
                            }))
        << "nothing known is in " << bucket;
  }
}

}  // namespace
}  // namespace framefold::test
