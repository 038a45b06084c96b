// What the environment asks a fuzz binary for: which findings it reports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/session.hpp"

namespace framefold {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Bytes = std::vector<std::uint8_t>;

/// The empty input: an event, no arrivals. This entry calls its handler with a misaligned stack, which is known.
constexpr std::string_view kSignature = "minios-x86_64-table:handler-abi:call_event_handler";

FuzzSession make(const char* known = nullptr, const char* only = nullptr) {
  const std::span<const BundledEntry> all = bundled_entries();
  const auto table = std::find_if(all.begin(), all.end(),
                                  [](const BundledEntry& entry) { return entry.name == "minios-x86_64-table"; });
  return {*table, known, only};
}

TEST(FuzzSettings, SkipsKnownViolationsUnlessTold) {
  FuzzSession skipping = make();
  EXPECT_EQ(skipping.run({}), nullptr);
  EXPECT_EQ(skipping.statistics().executions(), 1U);
  EXPECT_EQ(
      std::accumulate(skipping.statistics().known().begin(), skipping.statistics().known().end(), std::uint64_t{0}),
      1U);
  EXPECT_EQ(make("skip").run({}), nullptr);
  EXPECT_EQ(make("").run({}), nullptr);
  FuzzSession reporting = make("report");
  const Finding* finding = reporting.run({});
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(signature_of(reporting.entry(), *finding), kSignature);
}

TEST(FuzzSettings, ReportsOnlyTheSignatureAskedFor) {
  EXPECT_NE(make(nullptr, kSignature.data()).run({}), nullptr);
  EXPECT_EQ(make("report", "minios-x86_64-table:handler-abi:call_handler").run({}), nullptr);
  EXPECT_EQ(make("report", "minios-x86_64-table:nmi-masked:call_event_handler").run({}), nullptr);
  EXPECT_EQ(make("report", "minios-x86_64-table:critical-frame:0x123").run({}), nullptr);
}

TEST(FuzzSettings, KeepsToTheBucketThatIsMinimised) {
  const Bytes other = {1, 1};  // an exception, which this entry calls another handler for
  FuzzSession session = make("report");
  ASSERT_NE(session.run(other), nullptr);
  session.keep_to_bucket_of({});
  EXPECT_EQ(session.run(other), nullptr);
  const Finding* finding = session.run({});
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(signature_of(session.entry(), *finding), kSignature);
}

/// What is asked for is not widened to the bucket of what is minimised, nor replaced by it.
TEST(FuzzSettings, OneThatWasAskedForIsKeptWhenMinimising) {
  FuzzSession session = make("report", kSignature.data());
  session.keep_to_bucket_of({});
  EXPECT_NE(session.run({}), nullptr);
  FuzzSession narrow = make("report", "minios-x86_64-table:handler-abi:call_event_handler+0x3");
  narrow.keep_to_bucket_of({});
  EXPECT_EQ(narrow.run({}), nullptr) << "another of the bucket";
}

TEST(FuzzSettings, ABucketIsItsSymbolAndNoOther) {
  const FuzzSession session = make();
  const Entry& entry = session.entry();
  Finding finding;
  finding.kind = ViolationKind::nmi_masked;
  for (const Symbol& symbol : entry.named) {
    if (!entry.text.contains(symbol.address)) {
      continue;  // causes are code
    }
    finding.cause = symbol.address;
    const SignaturePattern pattern = bucket_pattern(entry, finding);
    EXPECT_EQ(pattern.causes.begin, symbol.address) << symbol.name;
    Finding moved = finding;
    moved.cause = pattern.causes.end - 1;
    EXPECT_TRUE(pattern.matches(moved)) << symbol.name;
    EXPECT_EQ(bucket_of(entry, moved), bucket_of(entry, finding));
    moved.cause = pattern.causes.end;
    EXPECT_FALSE(pattern.matches(moved)) << symbol.name;
    moved = finding;
    moved.kind = ViolationKind::handler_abi;
    EXPECT_FALSE(pattern.matches(moved)) << symbol.name;
  }
}

TEST(FuzzSettings, TakesABucketForAllItsSignatures) {
  const FuzzSession session = make();
  const Entry& entry = session.entry();
  const auto matches = [&](const char* only, std::string_view place) {
    Verdict verdict;
    verdict.count = 1;
    verdict.findings[0].kind = ViolationKind::nmi_masked;
    verdict.findings[0].cause = parse_location(entry, place).value();
    return finding_to_report(verdict, parse_settings(nullptr, only, entry)) != nullptr;
  };
  EXPECT_TRUE(matches("minios-x86_64-table:nmi-masked:scrit", "scrit"));
  EXPECT_TRUE(matches("minios-x86_64-table:nmi-masked:scrit", "scrit+0x84"));
  EXPECT_FALSE(matches("minios-x86_64-table:nmi-masked:scrit", "ecrit"));
  EXPECT_FALSE(matches("minios-x86_64-table:nmi-masked:scrit", "error_exit"));
  EXPECT_TRUE(matches("minios-x86_64-table:nmi-masked:scrit+0x0", "scrit"));
  EXPECT_FALSE(matches("minios-x86_64-table:nmi-masked:scrit+0x0", "scrit+0x84"));
  EXPECT_TRUE(matches("minios-x86_64-table:nmi-masked:hypercall_page", "hypercall_page+0x2e9"));
}

TEST(FuzzSettings, RefusesABadEnvironment) {
  const auto message = [](const char* known, const char* only) -> std::string {
    try {
      make(known, only);
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message("yes", nullptr), AllOf(HasSubstr("FRAMEFOLD_KNOWN"), HasSubstr("skip or report")));
  for (const char* only : {"x", "minios-x86_64-table:handler-abi", "other:handler-abi:scrit",
                           "minios-x86_64-table:bad-kind:scrit", "minios-x86_64-table:handler-abi:nowhere",
                           "minios-x86_64-table:handler-abi:0x", "minios-x86_64-table:handler-abi:0xfg", "",
                           "minios-x86_64-table:handler-abi:", "::", "minios-x86_64-table:handler-abi:scrit+",
                           "minios-x86_64-table:handler-abi:scrit+0x"}) {
    EXPECT_THAT(message(nullptr, only), AllOf(HasSubstr("FRAMEFOLD_ONLY"), HasSubstr(only)));
  }
  // A place that is one, written otherwise than in any signature: nothing would ever be found there.
  for (const auto& [place, written] :
       {std::pair("scrit+84", "scrit+0x54"), std::pair("scrit+0X54", "nothing"), std::pair("scrit+0x054", "scrit+0x54"),
        std::pair("0x0123", "0x123"), std::pair("0x123+0x0", "nothing")}) {
    const std::string only = std::string("minios-x86_64-table:handler-abi:") + place;
    EXPECT_THAT(message(nullptr, only.c_str()),
                AllOf(HasSubstr("FRAMEFOLD_ONLY: " + only + ": expected "), HasSubstr(std::string("'") + place + "'")));
    if (written != std::string("nothing")) {
      EXPECT_THAT(message(nullptr, only.c_str()), HasSubstr(std::string("signatures have it, '") + written + "'"));
    }
  }
  EXPECT_THAT(message(nullptr, "minios-x86_64-table:handler-abi:scrit+0x89"), testing::Eq("accepted"));
  EXPECT_THAT(message(nullptr, "minios-x86_64-table:handler-abi:scrit+0x1000"),
              HasSubstr("instead of 'scrit+0x1000'"));  // of another symbol, or of none
}

}  // namespace
}  // namespace framefold
