// Verdicts as text and as JSON, of reports made by hand.
#include "report/verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "report/text.hpp"

namespace framefold {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

FindingReport finding(const std::string& bucket, const std::string& offset, bool known) {
  FindingReport report;
  report.kind = ViolationKind::critical_frame;
  report.bucket = bucket;
  report.signature = bucket + offset;
  report.cause = "scrit" + offset;
  report.instruction = "jmp 0x1";
  if (known) {
    report.known = KnownReport{"because", "it.toml"};
  }
  return report;
}

FileReport violation_report() {
  FileReport report;
  report.file = "crash";
  report.entry = "mine";
  report.entry_option = "mine";
  report.status = FileStatus::violation;
  report.findings = {finding("mine:critical-frame:other", "", true),
                     finding("mine:critical-frame:scrit", "+0x3", false)};
  report.violation = 1;
  report.arrivals = 2;
  return report;
}

TEST(VerdictText, OneLineWhereNothingIsNew) {
  FileReport report;
  report.file = "a\nb";
  EXPECT_EQ(to_text(report), "a?b: clean\n");
  report.status = FileStatus::known;
  report.findings = {finding("mine:critical-frame:scrit", "+0x3", true)};
  EXPECT_EQ(to_text(report), "a?b: known: mine:critical-frame:scrit+0x3\n");
}

TEST(VerdictText, ViolationSaysKindCauseDifferenceAndReplay) {
  FileReport report = violation_report();
  FindingReport& found = report.findings[1];
  found.arrivals = 2;
  found.arrival = "event";
  found.cause_is_arrival = true;
  found.what = "rip";
  found.has_values = true;
  found.expected = 0x10;
  found.found = 0x20;
  found.found_place = "scrit";
  const std::string text = to_text(report);
  EXPECT_THAT(text, AllOf(StartsWith("crash: violation\n"), HasSubstr("critical-frame: an event that hit the window"),
                          HasSubstr("mine:critical-frame:scrit+0x3\n"),
                          HasSubstr("scrit+0x3: jmp 0x1; where arrival 1 (event) is taken\n"),
                          HasSubstr("rip: expected 0x10, found 0x20 (scrit)\n"),
                          HasSubstr("mine:critical-frame:other (known)\n"),
                          HasSubstr("framefold run --trace --entry mine crash\n")));
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    EXPECT_LE(line.size(), 120U) << line;
  }
}

TEST(VerdictText, WhereNoArrivalIsNeededAndWhatTheReferenceRunShows) {
  FileReport report = violation_report();
  report.findings[1].source = ViolationSource::reference;
  EXPECT_THAT(to_text(report), AllOf(HasSubstr("no arrival needed"), HasSubstr("the reference run")));
}

TEST(VerdictText, ReplayIsSafeForAShell) {
  FileReport report = violation_report();
  report.entry_option.clear();
  const auto replay = [&report](const std::string& file) {
    report.file = file;
    return to_text(report);
  };
  EXPECT_THAT(replay("a b"), HasSubstr("framefold run --trace 'a b'\n"));
  EXPECT_THAT(replay("it's"), HasSubstr("run --trace 'it'\\''s'\n"));
  EXPECT_THAT(replay("$(x)"), HasSubstr("run --trace '$(x)'\n"));
  EXPECT_THAT(replay("a\x1b'b"), HasSubstr("run --trace $'a\\x1b\\x27b'\n"));
  EXPECT_THAT(replay("a\x1b'b"), Not(HasSubstr("\x1b")));
}

TEST(VerdictText, KnownViolationReplaysAsKnown) {
  FileReport report = violation_report();
  report.violation = 0;
  EXPECT_THAT(to_text(report), AllOf(HasSubstr("run --trace --known=report --entry mine crash"),
                                     HasSubstr("because (reproducers/mine/it.toml)")));
}

TEST(VerdictText, ColourOnlyWhereAsked) {
  EXPECT_THAT(to_text(violation_report()), Not(HasSubstr("\x1b")));
  EXPECT_THAT(to_text(violation_report(), Style{true}), HasSubstr("\x1b[1;31mviolation\x1b[0m"));
  EXPECT_EQ(Style{true}.paint(Ink::plain, "x"), "x");
}

TEST(Expectation, YesMovedNo) {
  const auto outcome = [](const std::string& signature) {
    FileReport report = violation_report();
    expect_signature(report, signature);
    return report.reproduced;
  };
  EXPECT_EQ(outcome("mine:critical-frame:scrit+0x3"), Reproduction::yes);
  EXPECT_EQ(outcome("mine:critical-frame:scrit+0x4"), Reproduction::moved);
  EXPECT_EQ(outcome("mine:critical-frame:scrit"), Reproduction::moved);
  EXPECT_EQ(outcome("mine:handler-frame:scrit+0x3"), Reproduction::no);
  EXPECT_EQ(outcome("mine:critical-frame:scritch+0x3"), Reproduction::no);
}

TEST(Expectation, WhatHasMovedSaysFromWhere) {
  FileReport report = violation_report();
  expect_signature(report, "mine:critical-frame:scrit+0x4");
  EXPECT_THAT(to_text(report), HasSubstr("moved: mine:critical-frame:scrit+0x3; the file says "
                                         "mine:critical-frame:scrit+0x4\n"));
  report.moved = report.expected_signature + ", with arrivals at distance 9";
  EXPECT_THAT(to_text(report), HasSubstr("moved: mine:critical-frame:scrit+0x4, with arrivals at distance 9; not with "
                                         "those that the file says\n"));
}

TEST(VerdictText, RegistersAreThoseOfTheWidth) {
  EXPECT_EQ(for_width("RFLAGS, RIP and RSP", Width::k64), "RFLAGS, RIP and RSP");
  EXPECT_EQ(for_width("RFLAGS, RIP and RSP", Width::k32), "EFLAGS, EIP and ESP");
}

TEST(Expectation, ANewViolationIsNotHiddenByAnExpectedOne) {
  FileReport report = violation_report();
  expect_signature(report, "mine:critical-frame:other");
  EXPECT_EQ(report.reproduced, Reproduction::yes);
  EXPECT_EQ(report.violation, std::size_t{1});
  report = violation_report();
  report.violation = 0;  // known ones are reported
  expect_signature(report, "mine:critical-frame:scrit+0x3");
  EXPECT_EQ(report.violation, std::size_t{1});
}

TEST(SummaryText, CountsAndGrammar) {
  Summary summary;
  FileReport clean;
  count(summary, clean);
  EXPECT_EQ(to_text(summary), "1 file: 1 clean, 0 known, 0 violations\n");
  FileReport report = violation_report();
  expect_signature(report, "mine:critical-frame:scrit+0x3");
  count(summary, report);
  expect_signature(report, "mine:critical-frame:scrit+0x4");
  count(summary, report);
  EXPECT_EQ(to_text(summary), "3 files: 1 clean, 0 known, 2 violations; 1 of 2 expected signatures reproduced\n");
}

std::vector<std::string> keys_of(const nlohmann::json& json) {
  std::vector<std::string> keys;
  for (const auto& item : json.items()) {
    keys.push_back(item.key());
  }
  return keys;
}

// Programs rely on these: a key may be added, with this test; none may go or change its meaning.
TEST(VerdictJson, KeysAreStable) {
  const FileReport report = violation_report();
  Summary summary;
  count(summary, report);
  const nlohmann::json json = to_json({&report, 1}, summary);
  EXPECT_THAT(keys_of(json), ElementsAre("format", "results", "summary"));
  EXPECT_THAT(keys_of(json["summary"]),
              ElementsAre("clean", "files", "known", "not_reproduced", "reproduced", "violations"));
  ASSERT_THAT(json["results"], SizeIs(1));
  EXPECT_THAT(keys_of(json["results"][0]),
              ElementsAre("arrivals", "arrivals_reached", "boundaries", "deliveries", "entry", "expected_signature",
                          "file", "findings", "folds", "handler_calls", "reproduced", "status", "violation"));
  EXPECT_THAT(keys_of(json["results"][0]["findings"][0]),
              ElementsAre("address", "arrivals", "bucket", "cause", "conditions", "expected", "found", "instruction",
                          "kind", "known", "rests_on", "seen_in", "signature", "text", "what"));
}

TEST(VerdictJson, ValuesAreStringsAndAbsentOnesNull) {
  FileReport report = violation_report();
  report.findings[1].has_values = true;
  report.findings[1].expected = ~std::uint64_t{0};
  const nlohmann::json json = to_json({&report, 1}, Summary{});
  const nlohmann::json& result = json["results"][0];
  EXPECT_EQ(result["violation"], "mine:critical-frame:scrit+0x3");
  EXPECT_TRUE(result["reproduced"].is_null());
  EXPECT_TRUE(result["findings"][0]["expected"].is_null());
  EXPECT_EQ(result["findings"][0]["known"]["why"], "because");
  EXPECT_EQ(result["findings"][1]["expected"], "0xffffffffffffffff");
  EXPECT_EQ(result["findings"][1]["seen_in"], "nested");
  EXPECT_TRUE(result["findings"][1]["known"].is_null());
  EXPECT_TRUE(result["findings"][1]["rests_on"].is_null());
  report.findings[1].rests_on = "nests = false (entry.toml does not say it)";
  EXPECT_EQ(to_json({&report, 1}, Summary{})["results"][0]["findings"][1]["rests_on"], report.findings[1].rests_on);
  EXPECT_THAT(to_text(report), HasSubstr("nests = false (entry.toml does not say it)"));
}

}  // namespace
}  // namespace framefold
