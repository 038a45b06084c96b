// Entries of one's own, by the command alone: other frames, other names, images from outside the tree, and descriptions
// that are wrong.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

namespace framefold {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Result {
  int status = -1;
  std::string text;  // both streams
};

Result framefold(const std::string& arguments) {
  FILE* const pipe = ::popen(fmt::format("'{}' {} 2>&1", FRAMEFOLD_BINARY, arguments).c_str(), "r");
  Result result;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) != 0;) {
    result.text.append(buffer.data(), n);
  }
  const int state = ::pclose(pipe);
  result.status = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
  return result;
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t at = 0;
  for (std::size_t end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    lines.push_back(text.substr(at, end - at));
  }
  return lines;
}

class Byo : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "framefold-byo-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_ = name;
  }
  void TearDown() override { fs::remove_all(home_); }

  /// A copy of an entry, its folder's files with it. Returns the path of its description.
  fs::path copy(const std::string& name) {
    const fs::path to = home_ / name;
    fs::copy(fs::path(FRAMEFOLD_OWN_ENTRIES) / name, to);
    return to / "entry.toml";
  }

  /// The copy's description with one line replaced, checked.
  static Result check_with(const fs::path& entry, std::vector<std::string> lines, std::size_t line, std::string text) {
    lines[line] = std::move(text);
    std::ofstream out(entry, std::ios::binary);
    for (const std::string& each : lines) {
      out << each << '\n';
    }
    out.close();
    return framefold(fmt::format("check '{}'", entry.string()));
  }

  fs::path home_;
};

/// A message about a line of the description, in one line, and no verdict.
void expect_message(const Result& result, const std::string& what) {
  SCOPED_TRACE(what);
  SCOPED_TRACE(result.text);
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(std::regex_search(result.text, std::regex("^framefold: .*entry.toml:[0-9]+:[0-9]+: [^ ]+: ")));
  EXPECT_EQ(std::count(result.text.begin(), result.text.end(), '\n'), 1);
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

/// The description of padded64 for objects alone.
class ByoObject : public Byo {
 protected:
  std::string describe(const std::string& name, const std::string& objects) {
    const fs::path folder = home_ / (name + ".object");
    fs::copy(fs::path(FRAMEFOLD_OWN_ENTRIES) / (name + ".object"), folder);
    const std::string text = read(fs::path(FRAMEFOLD_OWN_ENTRIES) / name / "entry.toml");
    std::ofstream(folder / "entry.toml", std::ios::binary)
        << std::regex_replace(text, std::regex("image = \"[^\"]*\""), fmt::format("image = \"{}\"", objects));
    return (folder / "entry.toml").string();
  }
  static std::string replace(const std::string& entry,
                             const std::vector<std::pair<std::string, std::string>>& changes) {
    std::string text = read(entry);
    for (const auto& [what, with] : changes) {
      const std::size_t at = text.find(what);
      EXPECT_NE(at, std::string::npos) << what;
      text.replace(at, what.size(), with);
    }
    std::ofstream(entry, std::ios::binary) << text;
    return entry;
  }
};

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

TEST_F(ByoObject, RunSaysThatAViolationMayBeTheDescriptions) {
  const std::string entry = describe("padded64", "calls_out.o");
  const std::string toml = (home_ / "plain.toml").string();
  std::ofstream(toml) << "[context]\nvector = \"upcall\"\n";
  const Result result = framefold(fmt::format("run --entry '{}' '{}'", entry, toml));
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("framefold: the description does not hold, and this may be what shows: "));
  EXPECT_THAT(result.text, HasSubstr("image: expected objects that define audit_hook as well"));
}

TEST_F(ByoObject, AnInstructionThatTrapsIsAResult) {
  const std::string entry = describe("padded64", "privileged64.o");
  const Result check = framefold(fmt::format("check '{}'", entry));
  expect_message(check, entry);
  EXPECT_THAT(check.text, HasSubstr("expected code that runs in the guest's ring: upcall, kernel on thread stops at "));
  const Result explore = framefold(fmt::format("explore '{}'", entry));
  EXPECT_EQ(explore.status, 1) << explore.text;
  EXPECT_THAT(explore.text, HasSubstr("padded64:guest-fault:leave"));
}

class ByoVariant : public ByoObject {
 protected:
  /// The description of padded64 for another object, with lines replaced.
  std::string variant(const std::string& object, const std::vector<std::pair<std::string, std::string>>& changes = {}) {
    fs::remove_all(home_ / "padded64.object");
    return replace(describe("padded64", object), changes);
  }
  static void expect_proof(const std::string& entry) {
    const Result result = framefold(fmt::format("explore '{}'", entry));
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_THAT(result.text, HasSubstr("padded64: proved"));
  }
};

TEST_F(ByoVariant, PositionIndependentCodeFindsItsDataThroughTheGot) { expect_proof(variant("got64.o")); }

TEST_F(ByoVariant, AHypercallPageInTheMiddleOfTheCodeIsTakenAsItIs) {
  expect_proof(variant("page_before64.o startup64.o", {{"xen_calls", "hyper_page"}}));
  expect_proof(variant("page_behind64.o startup64.o", {{"xen_calls", "hyper_page"}}));
  expect_proof(variant("startup64.o page_behind64.o", {{"xen_calls", "hyper_page"}}));
}

TEST_F(ByoVariant, AnInterruptStackByAPointerThatStartUpCodeSets) {
  const char* const thread = "thread = { symbol = \"idle_stack\", size = 0x4000 }";
  const auto with = [&](const char* pointer) {
    return variant("irq_stack64.o",
                   {{thread, fmt::format("{}\ninterrupt = {{ symbol = \"irq_stack\", size = 0x4000{} }}\nnesting = {{ "
                                         "symbol = \"irq_depth\", on_thread = -1, on_interrupt = 0 }}",
                                         thread, pointer)}});
  };
  expect_proof(with(", pointer = \"irq_stack_top\""));
  const Result without = framefold(fmt::format("check '{}'", with("")));
  expect_message(without, "no pointer");
  EXPECT_THAT(without.text, HasSubstr(": stacks.interrupt.symbol: expected the stack that the entry switches to"));
  const Result undescribed = framefold(fmt::format("explore '{}'", variant("irq_stack64.o")));
  expect_message(undescribed, "no interrupt stack");
  EXPECT_THAT(undescribed.text, HasSubstr(": stacks.interrupt: expected the stack that the entry switches to"));
}

TEST_F(ByoVariant, WhatAHandlerReturnsIsWhatTheDescriptionSays) {
  const char* const argument = "argument = \"rdi\"\n";
  expect_proof(variant("returns64.o", {{argument, fmt::format("{}returns = 0\n", argument)}}));
  for (const char* other : {"", "returns = 1\n"}) {
    const Result result = framefold(
        fmt::format("check '{}'", variant("returns64.o", {{argument, fmt::format("{}{}", argument, other)}})));
    expect_message(result, other);
    EXPECT_THAT(result.text, HasSubstr("(ud2)"));
  }
}

TEST_F(ByoVariant, CodeThatTouchesAVcpuInfoNeedsItsDescription) {
  const Result touches =
      framefold(fmt::format("check '{}'", variant("padded64.o", {{"[vcpu_info]\npointer = \"vcpu_ptr\"\n", ""}})));
  expect_message(touches, "none");
  EXPECT_THAT(touches.text, HasSubstr(": vcpu_info: expected"));
}

TEST_F(ByoVariant, WhatADescriptionClaimsOfTheCodeIsLookedAt) {
  const Result nests =
      framefold(fmt::format("explore '{}'", variant("padded64.o", {{"width = 64", "nests = true\nwidth = 64"}})));
  expect_message(nests, "nests");
  EXPECT_THAT(nests.text, HasSubstr("nests: expected false: an event at win_lo is folded"));
  const std::string narrow = copy("trapframe32").string();
  std::string text = read(narrow);
  const std::string upcall = "kind = \"event\"\nsymbol = \"upcall\"";
  text.replace(text.find(upcall), upcall.size(), "kind = \"event\"\nsymbol = \"upcall_save\"");
  std::ofstream(narrow, std::ios::binary) << text;
  const Result callback = framefold(fmt::format("explore '{}'", narrow));
  expect_message(callback, "callback");
  EXPECT_THAT(callback.text, HasSubstr("vectors[0].symbol: expected where Xen enters: the code compares addresses"));
}

/// What the entry calls besides its handlers, described by rows of `calls`, in both widths.
class ByoCalls : public ByoObject, public testing::WithParamInterface<const char*> {
 protected:
  static constexpr const char* kRows = R"(
[[calls]]
symbol = "hook_value"
returns = 7
[[calls]]
symbol = "hook_never"
never = true
[[calls]]
symbol = "hook_store"
sets = "hook_word"
to = 5
[[calls]]
symbol = "hook_event"
takes_event = true
[[calls]]
symbol = "hook_quiet"
clobbers = false
)";

  /// The description with the rows, one line of them replaced.
  std::string with(const std::string& line = "", const std::string& instead = "") {
    fs::remove_all(home_ / (std::string(GetParam()) + ".object"));
    const bool wide = std::string_view(GetParam()) == "padded64";
    const std::string entry = describe(GetParam(), wide ? "hooks64.o" : "hooks32.o");
    std::string rows = kRows;
    if (!line.empty()) rows.replace(rows.find(line), line.size(), instead);
    const std::string text = read(entry);
    std::ofstream(entry, std::ios::binary) << text << rows;
    return entry;
  }
};

TEST_P(ByoCalls, ThatAreDescribedAreProved) {
  const Result result = framefold(fmt::format("explore '{}'", with()));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr(": proved"));
}

TEST_P(ByoCalls, WhatTheyReturnStoreAndKeepIsWhatTheCodeGets) {
  for (const auto& [line, instead] : std::vector<std::pair<std::string, std::string>>{
           {"returns = 7", "returns = 8"}, {"returns = 7", ""}, {"to = 5", "to = 6"}, {"clobbers = false", ""}}) {
    const Result result = framefold(fmt::format("check '{}'", with(line, instead)));
    expect_message(result, line);
  }
}

TEST_P(ByoCalls, OneThatIsNeverReachedIsAGuestFaultAndCheckNamesItsLine) {
  const std::string entry = with("returns = 7", "returns = 9");
  const Result check = framefold(fmt::format("check '{}'", entry));
  expect_message(check, entry);
  EXPECT_THAT(check.text, HasSubstr("calls[1].never: expected a function that is not reached"));
  expect_message(framefold(fmt::format("explore '{}'", entry)), entry);
  const Result explore = framefold(fmt::format("explore --unchecked '{}'", entry));
  EXPECT_EQ(explore.status, 1) << explore.text;
  EXPECT_THAT(explore.text, HasSubstr(":guest-fault:hook_never"));
}

TEST_P(ByoCalls, OneThatTakesAnEventIsInterruptedByIt) {
  const auto deliveries = [](const std::string& entry) {
    const std::string toml = entry + ".scenario.toml";
    std::ofstream(toml) << "[context]\nvector = \"upcall\"\n";
    const Result result = framefold(fmt::format("run --trace --entry '{}' '{}'", entry, toml));
    EXPECT_EQ(result.status, 0) << result.text;
    std::size_t count = 0;
    for (std::size_t at = 0; (at = result.text.find("> upcall delivered", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  const std::size_t with_event = deliveries(with());
  const std::size_t without = deliveries(with("takes_event = true", ""));
  EXPECT_EQ(without, 1U);
  EXPECT_EQ(with_event, 2U);
}

TEST_P(ByoCalls, WithoutARowTheFunctionIsNamed) {
  const Result result = framefold(
      fmt::format("check '{}'", with("symbol = \"hook_event\"\ntakes_event = true", "symbol = \"hook_other\"")));
  expect_message(result, "hook_other");
}

INSTANTIATE_TEST_SUITE_P(Width, ByoCalls, testing::Values("padded64", "trapframe32"));

/// Per-CPU data and a vcpu_info that is one of several: by %fs and a number on 64-bit, by a segment of the guest's own,
/// with another distance, on 32-bit.
class ByoPerCpu : public ByoObject {
 protected:
  std::string with64(const std::string& base, const std::string& info) {
    const std::string entry = describe("padded64", "percpu64.o");
    return replace(entry, {{"hypercall_page = ", base + "\nhypercall_page = "}, {"pointer = \"vcpu_ptr\"", info}});
  }
  std::string with32(const std::string& segment, const std::string& info) {
    const std::string entry = describe("trapframe32", "percpu32.o");
    return replace(entry, {{"[vcpu_info]\n", segment + "[vcpu_info]\n"}, {"symbol = \"vcpu_area\"", info}});
  }
};

TEST_F(ByoPerCpu, OfSeveralVcpusIsProvedByDescription) {
  const std::string wide = with64("fs_base = \"cpu_area\"", "pointer = \"vcpu_ptr\"\nindex = 5");
  const Result result = framefold(fmt::format("explore '{}'", wide));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr("padded64: proved"));
  const std::string narrow =
      with32("[[segments]]\nselector = 0xd9\nbase = \"cpu_area\"\n", "symbol = \"vcpu_area\"\nindex = 2\nstride = 128");
  const Result other = framefold(fmt::format("explore '{}'", narrow));
  EXPECT_EQ(other.status, 0) << other.text;
  EXPECT_THAT(other.text, HasSubstr("trapframe32: proved"));
}

TEST_F(ByoPerCpu, WithoutTheBaseItsLineIsNamed) {
  const Result wide = framefold(fmt::format("check '{}'", with64("", "pointer = \"vcpu_ptr\"\nindex = 5")));
  expect_message(wide, "fs_base");
  EXPECT_THAT(wide.text, HasSubstr(": fs_base: expected the per-CPU data of the entry"));
  const Result narrow =
      framefold(fmt::format("check '{}'", with32("", "symbol = \"vcpu_area\"\nindex = 2\nstride = 128")));
  expect_message(narrow, "segments");
  EXPECT_THAT(narrow.text, HasSubstr(": segments: expected the segment that the entry loads"));
}

TEST_F(ByoPerCpu, AnotherVcpusInfoIsNamed) {
  for (const char* info : {"pointer = \"vcpu_ptr\"", "pointer = \"vcpu_ptr\"\nindex = 4"}) {
    const Result result = framefold(fmt::format("check '{}'", with64("fs_base = \"cpu_area\"", info)));
    expect_message(result, info);
    EXPECT_THAT(result.text, HasSubstr(": vcpu_info."));
    fs::remove_all(home_ / "padded64.object");
  }
  const Result stride =
      framefold(fmt::format("check '{}'", with32("[[segments]]\nselector = 0xd9\nbase = \"cpu_area\"\n",
                                                 "symbol = \"vcpu_area\"\nindex = 2")));
  expect_message(stride, "stride");
}

TEST_F(ByoObject, WhatCannotBeLinkedIsSaid) {
  const Result missing = framefold(fmt::format("check '{}'", describe("padded64", "padded64.o nosuch.o")));
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.text, HasSubstr("nosuch.o"));
  fs::remove_all(home_ / "padded64.object");
  const Result twice = framefold(fmt::format("check '{}'", describe("padded64", "startup64.o startup64.o")));
  expect_message(twice, "twice");
  EXPECT_THAT(twice.text, HasSubstr("multiple definition"));
}

TEST_F(ByoObject, WithoutLdTheMessageSaysSo) {
  const std::string entry = describe("padded64", "padded64.o");
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", home_.c_str(), 1);
  const Result result = framefold(fmt::format("check '{}'", entry));
  ::setenv("PATH", path.c_str(), 1);
  expect_message(result, entry);
  EXPECT_THAT(result.text, HasSubstr("there is no `ld`"));
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
}  // namespace framefold
