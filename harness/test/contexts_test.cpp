// The contexts that exploration starts from: that they have every value that a fuzz input's context can have, and each
// two of them together.
#include "explore/contexts.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "scenario/codec.hpp"
#include "scenario/mutator.hpp"
#include "test/variants.hpp"
#include "xen/abi.hpp"

namespace framefold::test {
namespace {

/// In one pass or the other: code that decides by a bit is seen both ways, whatever else there is.
TEST(Contexts, HaveEachFlagAndErrorCodeBitBothWays) {
  constexpr std::uint32_t kErrorCode = 0xffff;
  for (const BundledEntry& bundled : bundled_entries()) {
    SCOPED_TRACE(bundled.name);
    const auto entry = load_variant(bundled.name);
    const std::vector<Scenario> first = enumerate_contexts(*entry, DataValues::first, Crossing::pairs);
    const std::vector<Scenario> second = enumerate_contexts(*entry, DataValues::second, Crossing::pairs);
    ASSERT_EQ(first.size(), second.size());
    for (std::size_t i = 0; i < first.size(); ++i) {
      const Context& a = first[i].context;
      const Context& b = second[i].context;
      EXPECT_EQ((a.rflags ^ b.rflags) & kContextFlags, kContextFlags & ~rflags::kDf);
      const bool pushed = entry->vectors[a.vector].description.error_code;
      EXPECT_EQ((a.error_code ^ b.error_code) & kErrorCode, pushed ? kErrorCode : 0U);
    }
  }
}

/// Everything of a decoded context that two values can be told apart by, as numbers: the dimensions of ContextClass,
/// each bit of the flags and of an error code, and what there is of ports and of a handler's writes. Not here: general
/// registers and what is written, which are tagged; addresses; and arrivals and actions, which exploration chooses.
constexpr std::size_t kMostValues = 640;
using Values = std::bitset<kMostValues>;

struct ValueRange {
  std::string_view name;
  std::size_t first;
};
constexpr std::array<ValueRange, 15> kRanges = {{{"vector", 0},
                                                 {"mode", 16},
                                                 {"stack", 18},
                                                 {"mask", 20},
                                                 {"alignment", 24},
                                                 {"NMI masked", 28},
                                                 {"null DS", 30},
                                                 {"writes RAX", 32},
                                                 {"writes RIP", 34},
                                                 {"masked port", 36},
                                                 {"flags", 39},
                                                 {"error code", 61},
                                                 {"pending", 93},
                                                 {"place", 349},
                                                 {"", kMostValues}}};

constexpr std::size_t number_of(std::string_view range, std::size_t value) {
  for (std::size_t i = 0; i + 1 < kRanges.size(); ++i) {
    if (kRanges[i].name == range) {
      return kRanges[i].first + value < kRanges[i + 1].first ? kRanges[i].first + value : kMostValues;
    }
  }
  return kMostValues;
}

/// "flags 13": the seventh one set.
std::string value_name(std::size_t number) {
  const auto range =
      std::find_if(kRanges.begin(), kRanges.end(), [=](const ValueRange& r) { return r.first > number; }) - 1;
  return fmt::format("{} {}", range->name, number - range->first);
}

Values values_of(const Scenario& scenario, const Entry& entry) {
  const Context& context = scenario.context;
  const ContextClass c = class_of(scenario);
  const Vector& vector = entry.vectors[c.vector];
  Values values;
  values.set(number_of("vector", c.vector));
  values.set(number_of("mode", static_cast<std::size_t>(c.mode)));
  values.set(number_of("stack", static_cast<std::size_t>(c.stack)));
  values.set(number_of("place", static_cast<std::size_t>(c.region_offset + 1)));
  values.set(number_of("mask", static_cast<std::size_t>(c.mask)));
  values.set(number_of("pending", c.pending));
  values.set(number_of("NMI masked", context.nmi_masked ? 1 : 0));
  values.set(number_of("null DS", context.null_data_segments ? 1 : 0));
  if (c.mode == GuestMode::kernel) {
    values.set(number_of("alignment", static_cast<std::size_t>(c.alignment)));
  }
  if (vector.description.kind == DeliveryKind::exception) {
    values.set(number_of("writes RAX", scenario.frame_write.rax ? 1 : 0));
    values.set(number_of("writes RIP", scenario.frame_write.rip ? 1 : 0));
  }
  const bool unmasked = scenario.event_actions[0].unmask_port && context.mask == 0;
  values.set(number_of("masked port", !context.has_masked_port ? 0 : unmasked ? 2 : 1));
  std::size_t flags = 0;
  for (const FlagName& flag : context_flag_names()) {
    values.set(number_of("flags", flags + ((context.rflags & flag.bit) != 0 ? 1 : 0)));
    flags += 2;
  }
  for (std::size_t bit = 0; vector.description.error_code && bit < 16; ++bit) {
    values.set(number_of("error code", 2 * bit + (context.error_code >> bit & 1)));
  }
  return values;
}

/// With which others each value is, in some context of the two passes. (RIP in the region has the first alone.)
std::vector<Values> met_values(const Entry& entry, Crossing crossing) {
  std::vector<Values> met(kMostValues);
  for (const DataValues values : {DataValues::first, DataValues::second}) {
    for (const Scenario& scenario : enumerate_contexts(entry, values, crossing)) {
      if (values == DataValues::second && scenario.context.place == ContextPlace::region) {
        continue;
      }
      const Values set = values_of(scenario, entry);
      for (std::size_t i = set._Find_first(); i < set.size(); i = set._Find_next(i)) {
        met[i] |= set;
      }
    }
  }
  return met;
}

/// The first two values of an input that are in no context together; empty where there are none.
std::string values_apart(const Values& set, const std::vector<Values>& met) {
  for (std::size_t i = set._Find_first(); i < set.size(); i = set._Find_next(i)) {
    const Values apart = set & ~met[i];
    if (apart.any()) {
      return fmt::format("{} with {}", value_name(i), value_name(apart._Find_first()));
    }
  }
  return "";
}

class CoveredInputs : public testing::TestWithParam<std::string> {};

/// A million inputs: the class of each without variations, each two of its values together (and so each by itself), and
/// with all crossed, its very class.
TEST_P(CoveredInputs, HaveTheirValuesAmongTheContexts) {
  constexpr std::uint64_t kSeed = 1;
#ifdef NDEBUG
  constexpr int kInputs = 1000000;
#else
  constexpr int kInputs = 10000;
#endif
  const auto entry = load_variant(GetParam());
  const std::vector<Values> met = met_values(*entry, Crossing::pairs);
  std::set<ContextClass> pairs;
  std::set<ContextClass> all;
  for (const Scenario& s : enumerate_contexts(*entry, DataValues::first, Crossing::pairs)) {
    pairs.insert(class_of(s));
  }
  for (const Scenario& s : enumerate_contexts(*entry, DataValues::second, Crossing::all)) {
    all.insert(class_of(s));
  }
  Random random(kSeed);
  std::array<std::uint8_t, kHeaderSize> bytes{};
  for (int i = 0; i < kInputs; ++i) {
    std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::uint8_t>(random.next()); });
    const Scenario input = decode(bytes, *entry);
    const ContextClass found = class_of(input);
    ASSERT_TRUE(pairs.count(base_of(found)) != 0) << describe_context(found, *entry);
    ASSERT_EQ(values_apart(values_of(input, *entry), met), "") << describe_context(found, *entry);
    if (found.region_offset < 0 && found.mask <= MaskClass::one) {
      ASSERT_TRUE(all.count(found) != 0) << describe_context(found, *entry);
    }
  }
}

/// It can fail: one variation at a time leaves two of them apart.
TEST(Contexts, OfOneVariationAtATimeLeaveValuesApart) {
  const auto entry = load_variant("minios-x86_64-fixed");
  const std::vector<Values> met = met_values(*entry, Crossing::each);
  Scenario input = decode({}, *entry);
  input.context.rflags = rflags::kDf;
  EXPECT_EQ(values_apart(values_of(input, *entry), met), "");
  input.context.stack_offset = 8;
  EXPECT_EQ(values_apart(values_of(input, *entry), met), "alignment 1 with flags 13");
}

std::vector<std::string> all_entries() {
  std::vector<std::string> names;
  for (const BundledEntry& bundled : bundled_entries()) {
    names.emplace_back(bundled.name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Entries, CoveredInputs, testing::ValuesIn(all_entries()),
                         [](const testing::TestParamInfo<std::string>& test) { return test_name(test.param); });

}  // namespace
}  // namespace framefold::test
