// Entries of one's own, by the command alone: other frames, other names, images from outside the tree, and descriptions
// that are wrong.
#include <nlohmann/json.hpp>

#include "byo_fixture.hpp"

namespace framefold::test {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t at = 0;
  for (std::size_t end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    lines.push_back(text.substr(at, end - at));
  }
  return lines;
}

void expect_message_on(const Result& result, const std::string& what, std::size_t line) {
  expect_message(result, what);
  EXPECT_THAT(result.text, HasSubstr(fmt::format("entry.toml:{}:", line + 1))) << what;
}

TEST_F(Byo, AnotherFrameIsProvedByDescriptionAlone) {
  for (const char* name : {"padded64", "trapframe32"}) {
    const Result result = framefold(fmt::format("explore --entry '{}'", copy(name).string()));
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_THAT(result.text, HasSubstr(fmt::format("{}: proved", name)));
  }
}

TEST_F(Byo, FramesThatLeaveByThePageUnmaskedNestWithoutBoundAndNoLabelsAreNeeded) {
  const Result result = framefold(fmt::format("explore --entry '{}'", copy("bypage64").string()));
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("bypage64:unbounded-nesting:xen_calls+0x2e0"));
}

TEST_F(Byo, TheRegionThatIsSeenIsReportedWhereNoneIsDescribed) {
  const std::string entry = copy("bypage64").string();
  const Result check = framefold(fmt::format("check '{}'", entry));
  EXPECT_THAT(check.text,
              HasSubstr("events are unmasked from leave+0x7c to leave+0x8a, at 6 instructions; no region is "
                        "described, and on the hypercall page from xen_calls+0x2e0"));
  const Result explore = framefold(fmt::format("explore '{}'", entry));
  EXPECT_THAT(explore.text, HasSubstr("region      not described; events are unmasked from leave+0x7c to "));
  EXPECT_THAT(explore.text, HasSubstr("on the hypercall page from xen_calls+0x2e0 to xen_calls+0x2e9"));
  const Result described = framefold(fmt::format("explore --json '{}'", copy("padded64").string()));
  const nlohmann::json seen = nlohmann::json::parse(described.text)["entries"][0]["region"]["unmasked"];
  EXPECT_EQ(seen.front(), "win_lo");
}

TEST_F(Byo, ExploreWritesWhatACiShows) {
  const std::string entry = copy("bypage64").string();
  const std::string good = copy("padded64").string();
  const std::string junit = (home_ / "j.xml").string();
  const std::string sarif = (home_ / "s.sarif").string();
  const Result result =
      framefold(fmt::format("explore -e '{}' -e '{}' --junit '{}' --sarif '{}'", entry, good, junit, sarif));
  EXPECT_EQ(result.status, 1);
  const std::string xml = read(junit);
  EXPECT_THAT(xml, HasSubstr("<testsuite name=\"bypage64\" tests=\"3\" failures=\"3\" errors=\"0\">"));
  EXPECT_THAT(xml, HasSubstr("<testcase classname=\"bypage64\" name=\"bypage64:unbounded-nesting:xen_calls\">"));
  EXPECT_THAT(xml, HasSubstr("<testcase classname=\"padded64\" name=\"every interleaving\"/>"));
  const nlohmann::json log = nlohmann::json::parse(read(sarif));
  EXPECT_EQ(log["version"], "2.1.0");
  const nlohmann::json& results = log["runs"][0]["results"];
  ASSERT_EQ(results.size(), 3U);
  const nlohmann::json& first = results[0];
  EXPECT_EQ(first["ruleId"], "critical-frame");
  EXPECT_EQ(first["partialFingerprints"]["bucket/v1"], "bypage64:critical-frame:xen_calls");
  EXPECT_THAT(first["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].get<std::string>(),
              testing::EndsWith("bypage64/entry.toml"));
}

TEST_F(Byo, ExploreShowsKnownRowsSuppressedAtTheirSourceLine) {
  const std::string sarif = (home_ / "s.sarif").string();
  EXPECT_EQ(framefold(fmt::format("explore minios-x86_64-table --sarif '{}'", sarif)).status, 0);
  const nlohmann::json log = nlohmann::json::parse(read(sarif));
  const nlohmann::json& results = log["runs"][0]["results"];
  ASSERT_GT(results.size(), 0U);
  for (const nlohmann::json& result : results) {
    EXPECT_EQ(result["level"], "note");
    EXPECT_EQ(result["suppressions"][0]["kind"], "external");
  }
  EXPECT_THAT(results[0].dump(), HasSubstr("minios-x86_64-table.S"));
}

TEST_F(Byo, CheckSaysWhereEventsAreUnmasked) {
  EXPECT_THAT(framefold(fmt::format("check '{}'", copy("padded64").string())).text,
              HasSubstr("events are unmasked from win_lo to win_back+0xc, at 7 instructions, all in the region"));
  EXPECT_THAT(framefold(fmt::format("check --entry '{}'", copy("bypage64").string())).text,
              HasSubstr("no region is described"));
}

TEST_F(Byo, EveryCommandTakesAnEntryByPath) {
  const std::string entry = copy("trapframe32").string();
  const std::string toml = (home_ / "event.toml").string();
  const std::string input = (home_ / "event.bin").string();
  std::ofstream(toml) << "[context]\nvector = \"upcall\"\n[[arrival]]\nkind = \"event\"\ndistance = 42\n";
  for (const std::string& arguments :
       {fmt::format("run --trace --entry '{}' '{}'", entry, toml),
        fmt::format("encode --entry '{}' '{}' -o '{}'", entry, toml, input),
        fmt::format("show --entry '{}' '{}'", entry, input), fmt::format("triage --entry '{}' '{}'", entry, input),
        fmt::format("report --entry '{}' '{}' -o '{}'", entry, toml, (home_ / "page.html").string()),
        fmt::format("entries --entry '{}'", entry),
        fmt::format("corpus seeds --entry '{}' '{}'", entry, (home_ / "seeds").string()),
        fmt::format("coverage --entry '{}' '{}'", entry, (home_ / "seeds").string()),
        fmt::format("corpus dictionary --entry '{}'", entry)}) {
    const Result result = framefold(arguments);
    EXPECT_EQ(result.status, 0) << arguments << "\n" << result.text;
  }
}

TEST_F(Byo, EverySymbolMissingIsNamedWithItsLine) {
  for (const char* name : {"padded64", "trapframe32"}) {
    const fs::path entry = copy(name);
    const std::vector<std::string> lines = lines_of(read(entry));
    const std::regex symbol("((^| )(symbol|handler|start|end|restore_end|pointer|hypercall_page) = )\"[a-z_0-9]+\"");
    std::size_t tried = 0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (!std::regex_search(lines[i], symbol)) continue;
      ++tried;
      const std::string wrong = std::regex_replace(lines[i], symbol, "$1\"nosuch\"");
      expect_message_on(check_with(entry, lines, i, wrong), wrong, i);
    }
    EXPECT_GT(tried, 8U);
  }
}

TEST_F(Byo, EverySlotOffByEightIsNamed) {
  for (const char* name : {"padded64", "trapframe32"}) {
    const fs::path entry = copy(name);
    const std::vector<std::string> lines = lines_of(read(entry));
    const std::regex slot("^([a-z0-9]+) = ([0-9a-fx]+)$");
    std::size_t at = 0;
    while (lines[at] != "[frame]") ++at;
    std::size_t tried = 0;
    for (std::smatch match; at < lines.size(); ++at) {
      if (!std::regex_match(lines[at], match, slot)) continue;
      for (const long by : {-8L, 8L}) {
        ++tried;
        const std::string wrong = fmt::format("{} = {}", match[1].str(), std::stol(match[2].str(), nullptr, 0) + by);
        expect_message(check_with(entry, lines, at, wrong), wrong);
      }
    }
    EXPECT_GT(tried, 30U);
  }
}

TEST_F(Byo, TwoSlotsExchangedAreNamedWithTheirOffset) {
  const fs::path entry = copy("padded64");
  std::vector<std::string> lines = lines_of(read(entry));
  const auto r15 = static_cast<std::size_t>(std::find(lines.begin(), lines.end(), "r15 = 8") - lines.begin());
  lines[r15 + 1] = "r14 = 8";
  const Result result = check_with(entry, lines, r15, "r15 = 16");
  expect_message_on(result, "r14", r15 + 1);
  EXPECT_THAT(result.text, HasSubstr("it is at 16"));
}

TEST_F(Byo, OtherWrongLinesAreNamed) {
  struct Wrong {
    const char* entry;
    const char* line;
    const char* instead;
    const char* key;
  };
  const std::vector<Wrong> cases = {
      {"padded64", "width = 64", "width = 32", ""},
      {"trapframe32", "width = 32", "width = 64", ""},
      {"padded64", "argument = \"rdi\"", "argument = \"rsi\"", "handler.argument: "},
      {"padded64", "argument = \"rdi\"", "argument = \"rcx\"", "handler.argument: expected \"rdi\""},
      {"padded64", "argument = \"rdi\"", "argument = \"stack\"", "handler.argument: "},
      {"trapframe32", "argument = \"stack\"", "argument = \"ecx\"", "handler.argument: expected \"stack\""},
      {"padded64", "thread = { symbol = \"idle_stack\", size = 0x4000 }",
       "thread = { symbol = \"vcpu_ptr\", size = 0x4000 }", "stacks.thread"},
      {"trapframe32", "kernel = { symbol = \"trap_stack\", size = 0x4000 }",
       "kernel = { symbol = \"idle_stack\", size = 0x4000 }", "stacks.kernel"},
      {"padded64", "size = 176", "size = 184", "frame.size: expected 176"},
      {"trapframe32", "size = 0x48", "size = 0x50", "frame.size: expected 72"},
      {"padded64", "start = \"win_lo\"", "start = \"win_back\"", "region.start: "},
      {"padded64", "end = \"win_hi\"", "end = \"win_back\"", "region.end: "},
      {"padded64", "restore_end = \"win_back\"", "restore_end = \"win_lo\"", "region.restore_end: "},
      {"trapframe32", "symbol = \"vcpu_area\"", "symbol = \"calls\"", "vcpu_info.symbol: "},
      {"padded64", "handler = \"fault_dispatch\"", "handler = \"irq_dispatch\"", "vectors[1].handler: "},
      {"padded64", "symbol = \"irq_dispatch\"", "symbol = \"evt_fold\"", "handler.symbol: "},
  };
  for (const Wrong& wrong : cases) {
    fs::remove_all(home_ / wrong.entry);
    const fs::path entry = copy(wrong.entry);
    const std::vector<std::string> lines = lines_of(read(entry));
    const auto at = static_cast<std::size_t>(std::find(lines.begin(), lines.end(), wrong.line) - lines.begin());
    ASSERT_LT(at, lines.size()) << wrong.line;
    const Result result = check_with(entry, lines, at, wrong.instead);
    expect_message(result, wrong.instead);
    EXPECT_THAT(result.text, HasSubstr(wrong.key)) << wrong.instead;
  }
}

}  // namespace
}  // namespace framefold::test
