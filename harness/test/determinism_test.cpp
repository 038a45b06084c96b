// Same input, same everything: whatever ran before, in whatever order and process, watched or not. The other Unicorn
// version is ci/compare-unicorn.sh's.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>

#include "machine/cpu.hpp"
#include "scenario/codec.hpp"
#include "scenario/toml.hpp"
#include "test/digest.hpp"
#include "test/entries.hpp"
#include "test/shell.hpp"

namespace framefold {
namespace {

#if defined(__has_feature)
#define FRAMEFOLD_TEST_ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define FRAMEFOLD_TEST_ASAN 1
#else
#define FRAMEFOLD_TEST_ASAN 0
#endif

constexpr std::size_t kInputs = FRAMEFOLD_TEST_ASAN ? 4'000 : 100'000;
constexpr std::uint64_t kSeed = 20130323;

struct CountingSink : TraceSink {
  std::uint64_t events = 0;
  void record(const TraceEvent&) override { ++events; }
};

/// Inputs, and what each does in an oracle that runs them one after the other.
struct Expected {
  explicit Expected(const Entry& entry) : inputs(test::digest_inputs(entry, kInputs, kSeed)) {
    Oracle oracle(entry);
    oracle.set_hash(true);
    digests.reserve(inputs.size());
    for (const Scenario& scenario : inputs) {
      digests.push_back(test::digest_of(oracle, scenario));
    }
  }
  std::vector<Scenario> inputs;
  std::vector<std::uint64_t> digests;
};

/// Made once for all tests of an entry.
const Expected& expected_of(const Entry& entry) {
  static std::map<const Entry*, Expected> all;
  return all.try_emplace(&entry, entry).first->second;
}

class Determinism : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Oracle> hashing_oracle() const {
    auto oracle = std::make_unique<Oracle>(entry_);
    oracle->set_hash(true);
    return oracle;
  }

  /// Fails at the first input that does something else than it did first.
  void expect_same(Oracle& oracle, std::span<const std::size_t> order) {
    for (const std::size_t index : order) {
      ASSERT_EQ(test::digest_of(oracle, inputs_[index]), expected_[index]) << "input " << index << ":\n"
                                                                           << to_toml(inputs_[index], entry_, {});
    }
  }

  std::vector<std::size_t> forward() const {
    std::vector<std::size_t> order(inputs_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    return order;
  }

  const Entry& entry_ = test::bundled_entry(GetParam());
  const std::vector<Scenario>& inputs_ = expected_of(entry_).inputs;
  const std::vector<std::uint64_t>& expected_ = expected_of(entry_).digests;
};

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Entries, Determinism,
                         testing::Values("minios-x86_64-nesting", "minios-x86_64-table", "linux-x86_32-2007",
                                         "linux-x86_64-hypercall"),
                         test_name);

/// Inputs that do nothing would be equal everywhere.
TEST(DeterminismInputs, DeliverFoldAndShow) {
  constexpr std::size_t kCount = 2'000;
  const Entry& entry = test::bundled_entry("minios-x86_64-table");
  Oracle oracle(entry);
  oracle.set_hash(true);
  std::set<std::uint64_t> distinct;
  std::uint64_t deliveries = 0;
  std::uint64_t folds = 0;
  std::uint64_t findings = 0;
  for (const Scenario& scenario : test::digest_inputs(entry, kCount, kSeed)) {
    distinct.insert(test::digest_of(oracle, scenario));
    findings += oracle.judge(scenario).count;
    deliveries += oracle.nested().deliveries;
    folds += oracle.nested().folds;
  }
  EXPECT_GT(distinct.size(), kCount * 2 / 3);
  EXPECT_GT(deliveries, kCount * 3 / 2);
  EXPECT_GT(folds, kCount / 8);
  EXPECT_GT(findings, kCount / 4);
}

/// The last first.
TEST_P(Determinism, OrderAndHistoryDoNotCount) {
  std::vector<std::size_t> order = forward();
  std::reverse(order.begin(), order.end());
  expect_same(*hashing_oracle(), order);
}

TEST_P(Determinism, WhoWatchesDoesNotCount) {
  CountingSink sink;
  std::vector<std::uint8_t> counters(Coverage::counters_wanted(entry_));
  Coverage coverage(entry_, counters);
  const std::unique_ptr<Oracle> oracle = hashing_oracle();
  const std::vector<std::size_t> order = forward();
  const std::span all(order);
  // Each alone, and both; from one input to the next something changes.
  for (std::size_t i = 0; i < all.size(); ++i) {
    oracle->execution().set_trace(i % 3 != 0 ? &sink : nullptr);
    oracle->set_coverage(i % 3 != 1 ? &coverage : nullptr);
    ASSERT_NO_FATAL_FAILURE(expect_same(*oracle, all.subspan(i, 1)));
  }
  EXPECT_GT(sink.events, inputs_.size());
  EXPECT_NE(std::count(counters.begin(), counters.end(), 0), static_cast<std::ptrdiff_t>(counters.size()));
}

/// The reference run of all arrivals, equal ones too, comes to the same end, and the verdict is the same.
TEST_P(Determinism, WhatIsCachedDoesNotCount) {
  const std::unique_ptr<Oracle> cached = hashing_oracle();
  const std::unique_ptr<Oracle> uncached = hashing_oracle();
  uncached->set_caches(false);
  for (const Scenario& scenario : inputs_) {
    const Verdict& verdict = cached->judge(scenario);
    const Verdict& other = uncached->judge(scenario);
    ASSERT_EQ(verdict.count, other.count) << to_toml(scenario, entry_, {});
    for (std::size_t i = 0; i < verdict.count; ++i) {
      ASSERT_EQ(signature_of(entry_, verdict.findings[i]), signature_of(entry_, other.findings[i]))
          << to_toml(scenario, entry_, {});
    }
    ASSERT_EQ(cached->nested().hash, uncached->nested().hash) << to_toml(scenario, entry_, {});
    ASSERT_EQ(cached->reference().registers, uncached->reference().registers) << to_toml(scenario, entry_, {});
    ASSERT_EQ(cached->reference().handled, uncached->reference().handled) << to_toml(scenario, entry_, {});
    ASSERT_EQ(cached->reference().pending, uncached->reference().pending) << to_toml(scenario, entry_, {});
  }
}

TEST_P(Determinism, WhatIsCachedIsCoveredAlike) {
  constexpr std::size_t kCompared = kInputs / 10;
  std::vector<std::uint8_t> counters(Coverage::counters_wanted(entry_));
  std::vector<std::uint8_t> uncached_counters(counters.size());
  Coverage coverage(entry_, counters);
  Coverage uncached_coverage(entry_, uncached_counters);
  Oracle cached(entry_);
  Oracle uncached(entry_);
  cached.set_coverage(&coverage);
  uncached.set_coverage(&uncached_coverage);
  uncached.set_caches(false);
  for (std::size_t i = 0; i < kCompared; ++i) {
    // In pairs that differ in arrivals alone: the second begins as the first.
    for (const std::uint16_t later : {0, 1}) {
      Scenario scenario = inputs_[i];
      scenario.arrivals[0].distance = static_cast<std::uint16_t>(scenario.arrivals[0].distance + later);
      canonicalise(scenario, entry_);
      std::fill(counters.begin(), counters.end(), std::uint8_t{0});
      std::fill(uncached_counters.begin(), uncached_counters.end(), std::uint8_t{0});
      cached.judge(scenario);
      uncached.judge(scenario);
      ASSERT_EQ(counters, uncached_counters) << to_toml(scenario, entry_, {});
    }
  }
  EXPECT_TRUE(std::ranges::equal(coverage.executed_boundaries(), uncached_coverage.executed_boundaries()));
}

/// One coverage after another at the same address: what the first has seen is none of the second's.
TEST_P(Determinism, EachCoverageSeesForItself) {
  Oracle oracle(entry_);
  std::optional<Coverage> coverage;
  const auto seen = [&] {
    coverage.emplace(entry_, std::span<std::uint8_t>());
    oracle.set_coverage(&*coverage);
    oracle.judge(decode({}, entry_));  // no arrival: begins as the one before did
    const std::span<const std::uint8_t> executed = coverage->executed_boundaries();
    return std::vector<std::uint8_t>(executed.begin(), executed.end());
  };
  const std::vector<std::uint8_t> first = seen();
  EXPECT_NE(std::count(first.begin(), first.end(), 1), 0);
  EXPECT_EQ(seen(), first);
}

TEST_P(Determinism, TheProcessDoesNotCount) {
  const test::Printed printed =
      test::run_in_shell(fmt::format("'{}' {} {} {}", FRAMEFOLD_DIGEST, GetParam(), kInputs, kSeed));
  EXPECT_EQ(printed.status, 0);
  EXPECT_EQ(printed.text, fmt::format("unicorn {} {} {} inputs, seed {}: {:016x}\n", unicorn_version(), GetParam(),
                                      kInputs, kSeed, test::digest_of(expected_)));
}

TEST(Repetition, AHundredRunsOfAFileGiveOneVerdict) {
  const std::string file =
      std::string(FRAMEFOLD_REPRODUCERS) + "/minios-x86_64-table/critical-frame-hypercall_page.toml";
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  const Entry& entry = test::bundled_entry("minios-x86_64-table");
  const Scenario scenario = from_toml(text.str(), file, entry).scenario;
  Oracle oracle(entry);
  oracle.set_hash(true);
  std::set<std::string> verdicts;
  for (int i = 0; i < 100; ++i) {
    std::string verdict;
    for (const Finding& finding : oracle.judge(scenario).view()) {
      verdict += signature_of(entry, finding) + '\n';
    }
    verdicts.insert(verdict + fmt::format("{:x} {:x}", oracle.nested().hash, oracle.reference().hash));
  }
  EXPECT_EQ(verdicts.size(), 1U);
}

}  // namespace
}  // namespace framefold
