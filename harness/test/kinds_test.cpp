// Every kind of violation fires on assembled bad code of a few lines: in the oracle, under `framefold run`, in the fuzz
// target. And the same scenarios show nothing on the entry that the bad code was made from.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <vector>

#include "scenario/codec.hpp"
#include "test/clusterfuzz.hpp"
#include "test/directed.hpp"
#include "test/own_folder.hpp"
#include "test/shell.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

using testing::HasSubstr;

struct KindCase {
  ViolationKind kind;
  std::string entry;  // in which nothing is wrong
  friend std::ostream& operator<<(std::ostream& out, const KindCase& test) { return out << name_of(test.kind); }
};

std::string with_underscores(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

/// The bad one is the entry's variant that is named after the kind.
std::string variant_of(const KindCase& test) { return test.entry + "." + with_underscores(name_of(test.kind)); }

std::vector<KindCase> kind_cases() {
  std::vector<KindCase> all;
  for (const ViolationKindInfo& info : violation_kinds()) {
    const bool has_work = info.kind == ViolationKind::work_missed;
    all.push_back({info.kind, has_work ? "linux-x86_64-hypercall" : "minios-x86_64-fixed"});
  }
  return all;
}

struct FirstViolation {
  Scenario scenario;
  ViolationKind kind;
  std::string bucket;
  std::vector<Scenario> before;  // it included
};

std::optional<FirstViolation> first_violation(const Entry& entry) {
  Oracle oracle(entry);
  std::optional<FirstViolation> first;
  std::vector<Scenario> before;
  for_each_directed(oracle, [&](const Scenario& scenario, const Verdict& verdict) {
    before.push_back(scenario);
    if (const Finding* finding = verdict.violation()) {
      first = FirstViolation{scenario, finding->kind, bucket_of(entry, *finding), before};
    }
    return !first;
  });
  return first;
}

class Kinds : public testing::TestWithParam<KindCase> {
 protected:
  void SetUp() override {
    bad_ = load_variant(variant_of(GetParam()));
    first_ = first_violation(*bad_);
    ASSERT_TRUE(first_) << "silent";
  }
  void TearDown() override { std::filesystem::remove(file_); }

  /// The first scenario that shows the violation, as a fuzzer's input.
  const std::string& input_file() {
    const Encoded encoded = encode(first_->scenario, *bad_);
    std::ofstream file(file_, std::ios::binary);
    file.write(reinterpret_cast<const char*>(encoded.bytes.data()), static_cast<std::streamsize>(encoded.size));
    return file_;
  }

  std::unique_ptr<const Entry> bad_;
  std::optional<FirstViolation> first_;
  const std::string file_ = own_file("kinds_test");
};

TEST_P(Kinds, FiresOnBadCode) { EXPECT_EQ(name_of(first_->kind), name_of(GetParam().kind)); }

TEST_P(Kinds, IsSilentOnGoodCode) {
  const auto good = load_variant(GetParam().entry);
  Oracle oracle(*good);
  for (const Scenario& scenario : first_->before) {
    const Verdict& verdict = oracle.judge(scenario);
    ASSERT_TRUE(verdict.clean()) << signature_of(*good, verdict.findings[0]);
  }
}

TEST_P(Kinds, IsReportedByRun) {
  const auto folder = std::filesystem::path(FRAMEFOLD_VARIANTS_FOLDER) / variant_of(GetParam());
  const Printed run = run_in_shell(fmt::format("'{}' run --unchecked --entry '{}' '{}'", FRAMEFOLD_BINARY,
                                               (folder / "entry.toml").string(), input_file()));
  EXPECT_EQ(run.status, 1) << run.text;
  EXPECT_THAT(run.text, HasSubstr(first_->bucket));
}

TEST_P(Kinds, AbortsTheFuzzTargetInAFrameOfItsOwn) {
  const Printed run = run_in_shell(fmt::format("FRAMEFOLD_VARIANT='{}' '{}' -runs=1 '{}'", variant_of(GetParam()),
                                               FRAMEFOLD_VARIANT_REPLAY, input_file()));
  EXPECT_NE(run.status, 0) << run.text;
  EXPECT_THAT(run.text, HasSubstr(fmt::format("FuzzerHash={}\n", first_->bucket)));
  EXPECT_THAT(run.text, HasSubstr("framefold_violation_" + with_underscores(name_of(GetParam().kind))));
}

/// An upcall from user mode, and an event at each of its boundaries whose handler asks for work: how many of these runs
/// fold the event, and how many of those miss the work.
struct WorkAtEachBoundary {
  unsigned folds = 0;
  unsigned missed = 0;
};

WorkAtEachBoundary ask_for_work(const std::string& name) {
  constexpr std::uint16_t kBoundaries = 100;
  const auto entry = load_variant(name);
  Oracle oracle(*entry);
  WorkAtEachBoundary result;
  for (std::uint16_t distance = 0; distance < kBoundaries; ++distance) {
    Scenario scenario;
    scenario.context.mode = GuestMode::user;
    scenario.event_actions[1].set_work_flag = true;
    scenario.arrival_count = 1;
    scenario.arrivals[0].port = 3;
    scenario.arrivals[0].distance = distance;
    canonicalise(scenario, *entry);
    const std::span<const Finding> findings = oracle.judge(scenario).view();
    if (oracle.nested().folds == 0) {
      EXPECT_TRUE(findings.empty()) << name << " at " << distance;
      continue;
    }
    ++result.folds;
    result.missed += std::any_of(findings.begin(), findings.end(),
                                 [](const Finding& finding) { return finding.kind == ViolationKind::work_missed; });
  }
  return result;
}

TEST(WorkMissed, IsSilentWhereAFoldGoesBackThroughTheTest) {
  const WorkAtEachBoundary back = ask_for_work("xenlinux-x86_32-fixed");
  EXPECT_GT(back.folds, 10U);
  EXPECT_EQ(back.missed, 0U);
}

TEST(WorkMissed, FiresWhereTheSameFoldGoesOnBehindTheTest) {
  const WorkAtEachBoundary past = ask_for_work("xenlinux-x86_32-fixed.fold_skips_work");
  EXPECT_EQ(past.folds, ask_for_work("xenlinux-x86_32-fixed").folds);
  EXPECT_EQ(past.missed, past.folds);
}

/// What the fuzz target prints of the first violation of each kind's bad code.
std::vector<std::string> real_reports() {
  std::vector<std::string> reports;
  const std::string file = own_file("kinds_test.input");
  for (const KindCase& test : kind_cases()) {
    const auto bad = load_variant(variant_of(test));
    const Encoded encoded = encode(first_violation(*bad).value().scenario, *bad);
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(encoded.bytes.data()), static_cast<std::streamsize>(encoded.size));
    reports.push_back(
        run_in_shell(fmt::format("FRAMEFOLD_VARIANT='{}' '{}' '{}'", variant_of(test), FRAMEFOLD_VARIANT_REPLAY, file))
            .text);
  }
  std::filesystem::remove(file);
  return reports;
}

TEST(ClusterFuzz, TakesNoTwoKindsForTheSameBug) {
  const std::vector<std::string> reports = real_reports();
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const std::vector<std::string> state = crash_state(reports[i]);
    const std::string kind(name_of(kind_cases()[i].kind));
    ASSERT_EQ(state.size(), 3U) << reports[i];
    EXPECT_THAT(state[0], HasSubstr("FuzzerHash=")) << kind;
    EXPECT_THAT(state[0], HasSubstr(":" + kind + ":"));
    EXPECT_EQ(state[1], "framefold_violation_" + with_underscores(kind));
    EXPECT_EQ(state[2], "framefold_found_" + with_underscores(kind));
    EXPECT_TRUE(same_bug(state, crash_state(reports[i])));
    for (std::size_t j = 0; j < reports.size(); ++j) {
      EXPECT_TRUE(i == j || !same_bug(state, crash_state(reports[j]))) << kind << ", " << name_of(kind_cases()[j].kind);
    }
  }
}

TEST(ClusterFuzz, ComparesAsItsOwnCodeDoes) {
  EXPECT_TRUE(same_bug({"cause", "f", "g"}, {"other", "f", "g"}));  // two frames in common
  EXPECT_TRUE(same_bug({"function_a", "x"}, {"function_b", "x"}));  // alike
  EXPECT_FALSE(same_bug({"cause", "f", "g"}, {"nothing", "xyz", "w"}));
  EXPECT_FALSE(same_bug({"FuzzerHash=a", "f", "g"}, {"FuzzerHash=b", "f", "g"}));
  EXPECT_TRUE(same_bug({"FuzzerHash=a", "f", "g"}, {"FuzzerHash=a", "f", "g"}));
  EXPECT_FALSE(same_bug({}, {}));
  EXPECT_DOUBLE_EQ(similarity("kitten", "sitting"), 10.0 / 13);
}

#ifdef FRAMEFOLD_VARIANT_FUZZER
TEST_P(Kinds, StopsTheFuzzBinary) {
  const Printed run = run_in_shell(fmt::format("FRAMEFOLD_VARIANT='{}' '{}' -runs=1 '{}'", variant_of(GetParam()),
                                               FRAMEFOLD_VARIANT_FUZZER, input_file()));
  EXPECT_NE(run.status, 0) << run.text;
  EXPECT_THAT(run.text, HasSubstr(fmt::format("FuzzerHash={}\n", first_->bucket)));
  EXPECT_THAT(run.text, HasSubstr("libFuzzer: deadly signal"));
}
#endif

INSTANTIATE_TEST_SUITE_P(All, Kinds, testing::ValuesIn(kind_cases()), [](const testing::TestParamInfo<KindCase>& test) {
  return with_underscores(name_of(test.param.kind));
});

}  // namespace
}  // namespace framefold::test
