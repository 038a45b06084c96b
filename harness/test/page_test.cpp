// The HTML page without a browser (ci/report-browser-test.sh drives one), the data for its script, the map of
// boundaries.
#include "report/page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "report/alignment.hpp"
#include "report/run_data.hpp"
#include "report/text.hpp"
#include "scenario/codec.hpp"
#include "test/entries.hpp"

namespace framefold {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Page : public testing::Test {
 protected:
  /// Events at these distances, in the context of a vector.
  Scenario scenario(std::size_t vector, std::initializer_list<std::uint16_t> events) const {
    Scenario s = decode({}, entry_);
    s.context.vector = static_cast<std::uint8_t>(vector);
    for (const std::uint16_t distance : events) {
      s.arrivals[s.arrival_count++].distance = distance;
    }
    canonicalise(s, entry_);
    return s;
  }

  PageItem item(const Scenario& s, const std::string& file) {
    const Verdict verdict = oracle_.judge(s);
    FileReport report = describe(oracle_, s, verdict, true);
    report.file = file;
    // The last one: what comes before shows in every scenario of this entry.
    const Finding* finding = verdict.clean() ? nullptr : &verdict.findings[verdict.count - 1];
    report.violation = verdict.clean() ? std::nullopt : std::optional(verdict.count - 1);
    return page_item(oracle_, s, std::move(report), finding, "text <of> the scenario", nullptr);
  }

  const Entry& entry_ = test::bundled_entry("minios-x86_64-table");
  const std::size_t nmi_ = entry_.vectors.size() - 1;
  Oracle oracle_{entry_};
};

TEST_F(Page, NeedsNothingElseAndEscapesWhatItShows) {
  const std::string html = html_page({item(scenario(nmi_, {61}), "<b>&\".toml")}, {page_map(oracle_, nullptr)});
  EXPECT_THAT(html, StartsWith("<!doctype html>\n"));
  EXPECT_THAT(html, AllOf(HasSubstr("default-src 'none'"), HasSubstr("&lt;b&gt;&amp;&quot;.toml"),
                          HasSubstr("text &lt;of&gt; the scenario"), HasSubstr("nmi-masked:scrit+0x84"),
                          HasSubstr("folded: event, taken at scrit+0x84; 15 words copied"), HasSubstr("<svg ")));
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<b>")), Not(HasSubstr("http://")), Not(HasSubstr("https://")),
                          Not(HasSubstr(" src="))));
}

/// The page says that it is UTF-8; a file's name need not be.
TEST_F(Page, NamesFilesInUtf8) {
  PageItem clean = item(scenario(nmi_, {}), "n\xff\n.toml");
  clean.report.findings.clear();
  clean.report.violation.reset();
  for (const PageItem& one : {clean, item(scenario(nmi_, {61}), "n\xff\n.toml")}) {
    const std::string html = html_page({one}, {});
    EXPECT_NE(html.find("n\xef\xbf\xbd?.toml"), std::string::npos);
    EXPECT_EQ(html.find('\xff'), std::string::npos);
  }
}

/// As `framefold run` says it.
TEST_F(Page, SaysWhatAFindingRestsOn) {
  const PageItem one = item(scenario(nmi_, {61}), "file");
  ASSERT_THAT(one.report.findings.back().rests_on, HasSubstr("nmi.marks = true ("));
  EXPECT_THAT(html_page({one}, {}), HasSubstr("<dt>rests on</dt><dd>" + one.report.findings.back().rests_on + "</dd>"));
  PageItem other = item(scenario(nmi_, {62}), "file");
  other.report.findings.back().rests_on.clear();
  EXPECT_THAT(html_page({other}, {}), Not(HasSubstr("rests on")));
}

/// The map's letters, and what breaks where they say so.
TEST_F(Page, MapExplainsItsMarks) {
  const std::string html = html_page({}, {page_map(oracle_, nullptr)});
  EXPECT_THAT(html,
              AllOf(HasSubstr(">k known</span>"), HasSubstr(">! violation</span>"), HasSubstr(">f folded</span>")));
  EXPECT_THAT(html,
              HasSubstr("<li>k known: <code>minios-x86_64-table:nmi-masked:scrit+0x84</code>; in nmi, kernel</li>"));
}

TEST_F(Page, DataIsWhatTheRunsWere) {
  const Scenario s = scenario(nmi_, {61});
  const nlohmann::json data = nlohmann::json::parse(item(s, "file").data);
  const Story story = tell_story(oracle_, s, kMaxArrivals, true);
  ASSERT_EQ(data["runs"]["nested"].size(), story.nested.moments.size());
  ASSERT_EQ(data["runs"]["reference"].size(), story.reference.moments.size());
  EXPECT_EQ(data["pairs"].size(), align(story).size());
  // The changes, put together, are the registers at the end.
  std::map<std::size_t, std::string> registers;
  for (const nlohmann::json& moment : data["runs"]["nested"]) {
    for (std::size_t i = 0; i < moment[8].size(); i += 2) {
      registers[moment[8][i].get<std::size_t>()] = moment[8][i + 1].get<std::string>();
    }
  }
  const Registers& last = story.nested.moments.back().registers;
  for (std::size_t i = 0; i < kGprCount; ++i) {
    EXPECT_EQ(std::stoull(registers[i], nullptr, 16), last.gpr[i]);
  }
}

TEST_F(Page, TextInsideAScriptCannotEndIt) {
  PageItem one = item(scenario(0, {}), "file");
  EXPECT_THAT(one.data, Not(HasSubstr("<")));
  EXPECT_EQ(html_text("a<b>&\"\x01\n"), "a&lt;b&gt;&amp;&quot;?\n");
  EXPECT_EQ(html_text("\u00e9\xff"), "\u00e9\ufffd");
}

/// A box a frame, and one for each slot that stands out: a page has thousands of slots.
TEST_F(Page, PicturesDrawABoxAFrame) {
  const auto boxes = [](const std::string& svg) {
    std::size_t count = 0;
    for (std::size_t at = svg.find("<rect "); at != std::string::npos; at = svg.find("<rect ", at + 1)) {
      ++count;
    }
    return count;
  };
  const PageItem one = item(scenario(nmi_, {61}), "file");
  ASSERT_EQ(one.pictures.size(), 3U);
  EXPECT_EQ(boxes(to_svg(one.pictures[0])), 1U);
  EXPECT_EQ(boxes(to_svg(one.pictures[1])), 2U);
  EXPECT_EQ(boxes(to_svg(one.pictures[2])), 1U + 15U);  // words copied
  EXPECT_THAT(to_svg(one.pictures[0]),
              HasSubstr("<tspan class=\"faint\">thread+0x3ef8</tspan>    ss           0xe02b"));
}

TEST_F(Page, TheLongestScenarioStaysSmall) {
  Scenario s = scenario(0, {58, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60});
  EXPECT_EQ(s.arrival_count, kMaxArrivals);
  oracle_.judge(s);
  EXPECT_EQ(oracle_.nested().reached, kMaxArrivals);
  EXPECT_LT(html_page({item(s, "file")}, {page_map(oracle_, nullptr)}).size(), 1000000U);
}

TEST_F(Page, MapSaysWhatComesOfAnEvent) {
  const auto result = [](const BoundaryColumn& column, GuestAddress address) {
    const auto found = column.results.find(address);
    return found == column.results.end() ? BoundaryResult{} : found->second;
  };
  const GuestAddress scrit = *parse_location(entry_, "scrit");
  const BoundaryColumn event = boundary_column(oracle_, scenario(0, {}), "event");
  EXPECT_EQ(result(event, scrit).outcome, BoundaryOutcome::folded);
  EXPECT_EQ(result(event, entry_.event().address).outcome, BoundaryOutcome::held);
  EXPECT_EQ(result(event, *parse_location(entry_, "call_event_handler")).outcome, BoundaryOutcome::held);
  EXPECT_EQ(result(event, {1}).outcome, BoundaryOutcome::not_reached);
  const BoundaryColumn nmi = boundary_column(oracle_, scenario(nmi_, {}), "nmi");
  EXPECT_EQ(result(nmi, scrit + 0x84).outcome, BoundaryOutcome::known);
  EXPECT_EQ(result(nmi, scrit + 0x84).signature, "minios-x86_64-table:nmi-masked:scrit+0x84");
  std::vector<std::string> contexts;
  for (const BoundaryColumn& column : boundary_map(oracle_)) {
    contexts.push_back(column.context);
  }
  EXPECT_THAT(contexts, testing::IsSupersetOf({"event, kernel", "divide_error, kernel", "divide_error, kernel, masked",
                                               "nmi, kernel", "nmi, kernel, masked"}));
  EXPECT_THAT(contexts, Not(testing::Contains("event, kernel, masked")));
}

TEST(PageMaps, KnowWhatNestsOnPurpose) {
  const Entry& entry = test::bundled_entry("minios-x86_64-nesting");
  Oracle oracle(entry);
  const BoundaryColumn column = boundary_column(oracle, decode({}, entry), "event");
  EXPECT_EQ(column.results.at(*parse_location(entry, "scrit")).outcome, BoundaryOutcome::nested);
}

}  // namespace
}  // namespace framefold
