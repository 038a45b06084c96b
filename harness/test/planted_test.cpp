// Planted faults: a search from nothing finds each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "scenario/codec.hpp"
#include "test/directed.hpp"
#include "test/entries.hpp"
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
                           return test_name(test.param.variant);
                         });

/// However entry code does it, and however it looks.
TEST(Planted, WhatIsRightAllTheSameIsClean) {
  constexpr std::uint64_t kRuns = 20000;
  for (const std::string variant : {"unmasks_by_index", "reads_time", "enters", "notes_rsp", "spurious_cleared"}) {
    const auto entry = load_variant("minios-x86_64-fixed." + variant);
    Oracle oracle(*entry);
    const std::optional<FoundFault> found = search(oracle, {variant, {}, ""}, kSeed, kRuns);
    EXPECT_FALSE(found) << signature_of(*entry, found->finding);
  }
}

/// A base that nothing of the entry's needs.
TEST(Planted, AnFsBaseIsMissed) {
  Entry entry = *load_variant("minios-x86_64-fixed.fs_lost");
  const std::optional<FoundFault> without = [&] {
    Oracle oracle(entry);
    return search(oracle, {"", {}, ""}, kSeed, 1000);
  }();
  EXPECT_FALSE(without);  // 0 is what it is
  entry.fs_base = entry.thread_stack.range.begin;
  Oracle oracle(entry);
  const std::optional<FoundFault> found = search(oracle, {"", {}, ""}, kSeed, 1000);
  ASSERT_TRUE(found);
  EXPECT_EQ(name_of(found->finding.kind), name_of(ViolationKind::register_mismatch));
  EXPECT_EQ(found->finding.detail.what, "FS base");
  EXPECT_EQ(found->finding.detail.expected, entry.fs_base.value);
}

/// A kernel without user mode has its own selectors there, and no two alike.
TEST(Planted, SegmentsThatAreExchangedAreMissedWithoutUserMode) {
  for (const auto& [variant, first, second] : {std::tuple{"minios-x86_32-fixed.ds_es_exchanged", "ds", "es"},
                                               std::tuple{"linux-x86_32-single.fs_gs_exchanged", "fs", "gs"}}) {
    Entry entry = *load_variant(variant);
    entry.description.user_mode = false;
    Oracle oracle(entry);
    const std::optional<FoundFault> found = search(oracle, {"", {}, ""}, kSeed, 1000);
    ASSERT_TRUE(found) << variant;
    EXPECT_THAT(found->finding.detail.what, testing::AnyOf(first, second)) << variant;
  }
}

/// It goes wrong at the second return of a run, wherever that is: in as many buckets as there are places.
TEST(Planted, IsFoundWhereAByteOfTheSharedPageIsKept) {
  const auto entry = load_variant("minios-x86_64-fixed.notes_on_shared_page");
  Oracle oracle(*entry);
  EXPECT_TRUE(search(oracle, {"", {}, ""}, kSeed, 1000));
}

/// Whatever entry code writes to, the next run starts as the first one.
TEST(Planted, LeavesNothingForTheNextRun) {
  constexpr std::uint64_t kRuns = 50;
  for (const std::string variant : {"counts_by_bit", "counts_by_index", "gs_lost", "notes_in_xmm",
                                    "notes_on_shared_page", "reads_dead_by_index", "reads_time"}) {
    const auto entry = load_variant("minios-x86_64-fixed." + variant);
    Oracle used(*entry);
    used.set_hash(true);
    for_each_random(used, kSeed, kRuns, [&](const Scenario& scenario, const Verdict& verdict) {
      Oracle fresh(*entry);
      fresh.set_hash(true);
      EXPECT_EQ(fresh.judge(scenario).count, verdict.count) << variant;
      EXPECT_EQ(fresh.nested().hash, used.nested().hash) << variant;
      EXPECT_EQ(fresh.reference().hash, used.reference().hash) << variant;
      return true;
    });
  }
}

std::uint8_t vector_index(const Entry& entry, std::string_view name) {
  const auto found = std::find_if(entry.vectors.begin(), entry.vectors.end(),
                                  [name](const Vector& vector) { return vector.description.name == name; });
  return static_cast<std::uint8_t>(found - entry.vectors.begin());
}

/// One frame that was not folded is one violation, however often its handler is called and whatever arrives meanwhile.
TEST(Planted, IsNotFoundAgainInTheSameFrame) {
  const auto entry = load_variant("minios-x86_64-table");
  Scenario scenario = decode({}, *entry);
  scenario.context.vector = vector_index(*entry, "nmi");
  scenario.context.has_masked_port = true;
  scenario.context.masked_port = 118;
  scenario.event_actions[0].unmask_port = true;  // and so the handler is called once more
  scenario.arrival_count = 2;
  scenario.arrivals[0].distance = 65;  // on the hypercall page, where it is known
  scenario.arrivals[1].kind = ArrivalKind::exception;
  scenario.arrivals[1].vector = vector_index(*entry, "divide_error");
  scenario.arrivals[1].distance = 61;  // before the second call
  canonicalise(scenario, *entry);
  Oracle oracle(*entry);
  const auto findings = oracle.judge(scenario).view();
  EXPECT_EQ(oracle.nested().reached, 2U);
  EXPECT_EQ(std::count_if(findings.begin(), findings.end(),
                          [](const Finding& finding) { return finding.kind == ViolationKind::critical_frame; }),
            1);
  EXPECT_TRUE(std::all_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.known >= 0; }));
}

/// What is known of an arrival does not hide what another one in the same run breaks in the same way.
TEST(Planted, IsFoundBehindAKnownOneOfItsKind) {
  const auto entry = load_variant("minios-x86_64-table.region_late");
  Scenario scenario = decode({}, *entry);
  scenario.context.vector = vector_index(*entry, "nmi");
  scenario.arrival_count = 3;
  scenario.arrivals[0].distance = 62;  // where it is known
  scenario.arrivals[1].kind = ArrivalKind::exception;
  scenario.arrivals[1].vector = vector_index(*entry, "page_fault");
  scenario.arrivals[1].distance = 53;
  scenario.arrivals[2].distance = 38;  // at the boundary that is left out
  canonicalise(scenario, *entry);
  Oracle oracle(*entry);
  std::vector<Finding> alike;
  const auto findings = oracle.judge(scenario).view();
  std::copy_if(findings.begin(), findings.end(), std::back_inserter(alike),
               [](const Finding& finding) { return finding.kind == ViolationKind::critical_frame; });
  ASSERT_EQ(alike.size(), 2U);
  EXPECT_GE(alike[0].known, 0);
  EXPECT_LT(alike[1].known, 0);
  EXPECT_EQ(signature_of(*entry, alike[1]), "minios-x86_64-table:critical-frame:scrit");
  EXPECT_EQ(alike[1].arrivals, 3U);
}

/// What holding the runs against each other shows is not what the known return explains: a port that no handler finds.
TEST(Planted, IsFoundByComparisonBehindAKnownOneOfItsKind) {
  constexpr std::uint8_t kPort = 5;
  constexpr std::string_view kEntry = "linux-x86_32-single";
  const auto judge = [&](const Entry& entry) {
    const Entry& original = bundled_entry(std::string(kEntry));
    Scenario scenario = read_reproducers(std::string(kEntry), original).at("lost-event-iret_restore_end.toml").scenario;
    scenario.arrivals[0].port = kPort;
    Oracle oracle(entry);
    return oracle.judge(scenario);
  };
  const Verdict alone = judge(bundled_entry(std::string(kEntry)));
  ASSERT_EQ(alone.count, 1U);
  EXPECT_GE(alone.findings[0].known, 0);
  EXPECT_EQ(alone.findings[0].kind, ViolationKind::lost_event);

  const auto entry = load_variant("linux-x86_32-single.port_cleared");
  const Verdict both = judge(*entry);
  ASSERT_EQ(both.count, 2U);
  EXPECT_EQ(both.findings[0].known, alone.findings[0].known);
  ASSERT_NE(both.violation(), nullptr);
  EXPECT_EQ(both.violation()->kind, ViolationKind::lost_event);
  EXPECT_EQ(both.violation()->source, ViolationSource::comparison);
  EXPECT_EQ(both.violation()->detail.what, "ports handled");
  EXPECT_EQ(both.violation()->arrivals, 1U);
}

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
