// Entries of one's own, by the command alone: other frames, other names, images from outside the tree, and descriptions
// that are wrong.
#include <cstring>
#include <nlohmann/json.hpp>

#include "test/byo_fixture.hpp"

namespace framefold::test {
namespace {

TEST_F(Byo, AnotherFrameIsProvedByDescriptionAlone) {
  for (const char* name : {"padded64", "trapframe32"}) {
    const Result result = framefold(fmt::format("explore --entry '{}'", copy(name).string()));
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_THAT(result.text, HasSubstr(fmt::format("{}: proved", name)));
    EXPECT_THAT(result.text, HasSubstr("  rests on    modes = [\"kernel\""));
    EXPECT_THAT(result.text, HasSubstr("  rests on    vectors = upcall, "));
  }
}

/// Where 32-bit kernels do, and where framefold's low page would be.
TEST_F(Byo, ImagesMayLieElsewhere) {
  const std::string entry = copy("trapframe32").string();
  const std::string text = read(entry);
  using Place = std::pair<const char*, std::uint32_t>;
  for (const auto& [image, begin] : {Place{"high.elf", 0xc0100000}, Place{"low.elf", 0x000dc000}}) {
    constexpr std::size_t kFirstAddress = 0x34 + 8;  // p_vaddr of the first program header
    std::uint32_t address = 0;
    std::memcpy(&address, read(fs::path(entry).parent_path() / image).data() + kFirstAddress, sizeof(address));
    EXPECT_EQ(address, begin) << image;
    std::ofstream(entry, std::ios::binary) << std::regex_replace(text, std::regex("trapframe32\\.elf"), image);
    const Result result = framefold(fmt::format("explore --entry '{}'", entry));
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_THAT(result.text, HasSubstr("trapframe32: proved"));
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
              HasSubstr("events are unmasked from leave+0x7c to leave+0x8a, at 6 instructions, taken for the "
                        "region, since none is described, and on the hypercall page from xen_calls+0x2e0"));
  const Result explore = framefold(fmt::format("explore '{}'", entry));
  EXPECT_THAT(explore.text, HasSubstr("region      not described; events are unmasked from leave+0x7c to "));
  EXPECT_THAT(explore.text, HasSubstr("on the hypercall page from xen_calls+0x2e0 to xen_calls+0x2e9"));
  const Result described = framefold(fmt::format("explore --json '{}'", copy("padded64").string()));
  const nlohmann::json json = nlohmann::json::parse(described.text);
  const nlohmann::json& seen = json["entries"][0];
  EXPECT_EQ(seen["region"]["unmasked"].front(), "win_lo");
  EXPECT_EQ(seen["region"]["places"], nullptr);  // no user's context
  EXPECT_EQ(seen["modes"], nlohmann::json::parse(R"(["kernel"])"));
  EXPECT_EQ(seen["vectors"], nlohmann::json::parse(R"(["upcall", "divide", "fault"])"));
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

TEST_F(Byo, ACiIsShownWhatWasNotExploredBesideAWrongDescription) {
  const std::string wrong = copy("bypage64").string();
  const std::string good = copy("padded64").string();
  std::string text = read(wrong);
  std::ofstream(wrong, std::ios::binary) << text.replace(text.find("argument = \"rdi\""), 16, "argument = \"rbx\"");
  const std::string junit = (home_ / "j.xml").string();
  EXPECT_EQ(framefold(fmt::format("explore -e '{}' -e '{}' --junit '{}'", wrong, good, junit)).status, 2);
  const std::string xml = read(junit);
  EXPECT_THAT(xml, HasSubstr("<error type=\"wrong-description\""));
  EXPECT_THAT(xml,
              HasSubstr(fmt::format("<testcase classname=\"{}\" name=\"every interleaving\">\n      <skipped", good)));
  EXPECT_THAT(xml, testing::Not(HasSubstr(fmt::format("classname=\"{}\"", wrong))));
}

TEST_F(Byo, TheRowsThatAreSavedMakeAllThatWasFoundKnown) {
  const std::string entry = copy("bypage64").string();
  const fs::path found = home_ / "found";
  EXPECT_EQ(framefold(fmt::format("explore --save '{}' '{}'", found.string(), entry)).status, 1);
  std::string rows;
  for (const fs::directory_entry& file : fs::directory_iterator(found / "bypage64")) {
    const std::string text = read(file.path());
    const std::size_t begin = text.find("# [[known]]");
    ASSERT_NE(begin, std::string::npos) << text;
    rows += std::regex_replace(text.substr(begin), std::regex("(^|\n)# "), "$1");
  }
  rows = std::regex_replace(rows, std::regex("why = \"\""), "why = \"for now\"");
  std::ofstream(entry, std::ios::app) << rows;
  const Result known = framefold(fmt::format("explore '{}'", entry));
  EXPECT_EQ(known.status, 0) << known.text;
  EXPECT_THAT(known.text, HasSubstr("bypage64: proved except known"));
}

TEST_F(Byo, WhatACiShowsIsWellFormedWhateverTheNames) {
  const fs::path entry = copy("padded64");
  const fs::path odd = entry.parent_path() / "d\xff\xc3(.toml";  // no UTF-8
  fs::rename(entry, odd);
  const std::string junit = (home_ / "j.xml").string();
  const std::string text = std::regex_replace(read(odd), std::regex("argument = \"rdi\""), "argument = \"rsi\"");
  std::ofstream(odd, std::ios::binary) << text;
  EXPECT_EQ(framefold(fmt::format("explore --junit '{}' '{}'", junit, odd.string())).status, 2);
  const std::string xml = read(junit);
  EXPECT_THAT(xml, HasSubstr("d\xef\xbf\xbd\xef\xbf\xbd(.toml:"));  // U+FFFD
  EXPECT_EQ(xml.find('\xff'), std::string::npos);
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
              HasSubstr("taken for the region, since none is described"));
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

TEST_F(ByoObject, OneIsLinkedAndProved) {
  for (const char* name : {"padded64", "trapframe32"}) {
    const Result result = framefold(fmt::format("explore '{}'", describe(name, fmt::format("{}.o", name))));
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_THAT(result.text, HasSubstr(fmt::format("{}: proved", name)));
  }
}

TEST_F(ByoObject, CodeThatIsNeverEnteredMayCallAnything) {
  const Result result = framefold(fmt::format("check '{}'", describe("padded64", "padded64.o startup64.o")));
  EXPECT_EQ(result.status, 0) << result.text;
}

TEST_F(ByoObject, AnUndefinedFunctionThatIsReachedIsNamed) {
  const std::string entry = describe("padded64", "calls_out.o startup64.o");
  const Result check = framefold(fmt::format("check '{}'", entry));
  expect_message(check, entry);
  EXPECT_THAT(check.text, HasSubstr("image: expected objects that define audit_hook as well"));
  for (const char* command : {"explore", "mutants", "table"}) {
    const Result refused = framefold(fmt::format("{} --entry '{}'", command, entry));
    expect_message(refused, command);
    EXPECT_THAT(refused.text, HasSubstr("image: expected objects that define audit_hook as well"));
  }
  const Result explore = framefold(fmt::format("explore --unchecked '{}'", entry));
  EXPECT_EQ(explore.status, 1);
  EXPECT_THAT(explore.text, HasSubstr("padded64:guest-fault:audit_hook"));
}

TEST_F(ByoObject, EveryCommandThatSaysSomethingOfTheCodeChecksFirst) {
  const std::string entry = describe("padded64", "calls_out.o");
  const std::string toml = (home_ / "plain.toml").string();
  const std::string out = (home_ / "out").string();
  const fs::path corpus = home_ / "corpus";
  fs::create_directory(corpus);
  std::ofstream(toml) << "[context]\nvector = \"upcall\"\n";
  std::ofstream(corpus / "empty") << "";
  struct Judging {
    std::string arguments;
    int unchecked;  // its status with --unchecked
  };
  const std::vector<Judging> commands = {{fmt::format("run '{}'", toml), 1},
                                         {fmt::format("triage '{}'", toml), 1},
                                         {fmt::format("show '{}'", toml), 0},
                                         {fmt::format("minimize '{}'", toml), 0},
                                         {fmt::format("report '{}' -o '{}'", toml, out), 0},
                                         {fmt::format("coverage '{}'", corpus.string()), 0},
                                         {fmt::format("corpus stats '{}'", corpus.string()), 0},
                                         {fmt::format("corpus dictionary -o '{}.dict'", out), 0},
                                         {fmt::format("corpus seeds '{}'", out + ".seeds"), 0},
                                         {fmt::format("corpus prune '{}'", corpus.string()), 1},
                                         {"entries --compare", 0},
                                         {"table", 0},
                                         {"explore --no-second-values", 1}};
  for (const Judging& command : commands) {
    const Result refused = framefold(fmt::format("{} --entry '{}'", command.arguments, entry));
    expect_message(refused, command.arguments);
    EXPECT_THAT(refused.text, HasSubstr("image: expected objects that define audit_hook as well"));
    EXPECT_THAT(refused.text, HasSubstr("(where that line is right, the code is not: --unchecked judges it)\n"));
    const Result judged = framefold(fmt::format("{} --unchecked --entry '{}'", command.arguments, entry));
    EXPECT_EQ(judged.status, command.unchecked) << command.arguments << "\n" << judged.text;
  }
  expect_message(framefold(fmt::format("debug '{}' --gdb 0 --entry '{}'", toml, entry)), "debug");
  expect_message(framefold(fmt::format("mutants --entry '{}'", entry)), "mutants");
  const Result run = framefold(fmt::format("run --unchecked --entry '{}' '{}'", entry, toml));
  EXPECT_THAT(run.text, HasSubstr("framefold run --trace --unchecked --entry "));
}

/// Entry code that saves a register elsewhere, or a slot that is described elsewhere: `check` cannot tell, and says who
/// judges it. Of what no code can be right with, it says nothing of the sort.
TEST_F(Byo, ACheckSaysThatTheCodeMayBeWhatIsWrong) {
  const std::string doubt = " (where that line is right, the code is not: `framefold explore --unchecked` judges it)\n";
  const fs::path entry = copy("padded64");
  const std::vector<std::string> lines = lines_of(read(entry));
  const auto with = [&](const std::string& line, const std::string& instead) {
    const auto at = static_cast<std::size_t>(std::find(lines.begin(), lines.end(), line) - lines.begin());
    return check_with(entry, lines, at, instead);
  };
  for (const auto& [line, instead] :
       {std::pair{"r15 = 8", "other = 8"}, std::pair{"end = \"win_hi\"", "end = \"leave_as_is\""}}) {
    const Result result = with(line, instead);
    expect_message(result, instead);
    EXPECT_THAT(result.text, testing::EndsWith(doubt)) << instead;
  }
  for (const auto& [line, instead] :
       {std::pair{"handler = \"fault_dispatch\"", "handler = \"irq_dispatch\""},
        std::pair{"start = \"win_lo\"", "start = \"win_lo+1\""}, std::pair{"start = \"win_lo\"", "start = \"none\""},
        std::pair{"r15 = 8", "r15 = 9"}, std::pair{"argument = \"rdi\"", "argument = 7"}}) {
    const Result result = with(line, instead);
    expect_message(result, instead);
    EXPECT_THAT(result.text, testing::Not(HasSubstr("--unchecked"))) << instead;
  }
}

TEST_F(ByoObject, AnImageThatIsNoneIsSaidAtItsLine) {
  std::ofstream(home_ / "text.elf") << "no ELF";
  for (const char* image : {"nosuch.o", ".", "../text.elf"}) {
    fs::remove_all(home_ / "padded64.object");
    const Result result = framefold(fmt::format("check '{}'", describe("padded64", image)));
    expect_message_on(result, image, 2);
    EXPECT_THAT(result.text, HasSubstr(": image: "));
  }
}

TEST_F(ByoObject, AnInstructionThatTrapsIsAResult) {
  for (const char* object : {"privileged64.o", "port_io64.o"}) {
    fs::remove_all(home_ / "padded64.object");
    const std::string entry = describe("padded64", object);
    const Result check = framefold(fmt::format("check '{}'", entry));
    expect_message(check, entry);
    EXPECT_THAT(check.text,
                HasSubstr("expected code that runs in the guest's ring: upcall, kernel on thread stops at "));
    const Result explore = framefold(fmt::format("explore '{}'", entry));
    EXPECT_EQ(explore.status, 1) << explore.text;
    EXPECT_THAT(explore.text, HasSubstr("padded64:guest-fault:leave"));
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
      {"padded64", "width = 64", "width = 32", ": width: expected 64, or a 32-bit ELF file: "},
      {"trapframe32", "width = 32", "width = 64", ": width: expected 32, or a 64-bit ELF file: "},
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
