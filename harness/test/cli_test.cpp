// The framefold command, from outside: what it prints, where, and its exit status.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/sha1.hpp"

namespace framefold {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

struct Result {
  int status = -1;
  std::string out;
  std::string err;
};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

std::string sha1_of(std::string_view text) {
  return sha1_name({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

constexpr const char* kOut = ".out";
constexpr const char* kErr = ".err";
constexpr uid_t kNobody = 65534;

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "framefold-cli-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_ = name;
    fs::current_path(home_);
  }
  void TearDown() override {
    fs::current_path("/");
    fs::remove_all(home_);
  }

  /// Runs the command in the test's own folder. `out` is where its standard output goes, which is read back only from
  /// the usual place.
  static Result run(const std::vector<std::string>& arguments, const char* out = kOut, bool as_nobody = false) {
    std::vector<char*> argv = {const_cast<char*>(FRAMEFOLD_BINARY)};
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(::open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
      ::dup2(::open(kErr, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
      // Opened while we still may: the build folder need not be one that others can enter.
      const int binary = ::open(FRAMEFOLD_BINARY, O_RDONLY);
      if (!as_nobody || ::setuid(kNobody) == 0) {
        ::fexecve(binary, argv.data(), environ);
      }
      ::_exit(127);
    }
    int state = 0;
    ::waitpid(child, &state, 0);
    const std::string printed = std::string_view(out) == kOut ? read(kOut) : std::string();
    return {WIFEXITED(state) ? WEXITSTATUS(state) : -1, printed, read(kErr)};
  }

  /// An entry of one's own: a copy of a bundled one whose description lists no known violations.
  static std::string unknowing_copy(const std::string& name) {
    fs::create_directory("copy");
    for (const auto& file : fs::directory_iterator(fs::path(FRAMEFOLD_ENTRIES) / name)) {
      if (file.path().extension() == ".elf" || file.path().extension() == ".toml") {
        fs::copy(file.path(), "copy");
      }
    }
    const std::string description = read("copy/entry.toml");
    write("copy/entry.toml", description.substr(0, description.find("[[known]]")));
    return "copy/entry.toml";
  }

  fs::path home_;
};

/// One line that starts as every complaint does, and nothing else printed.
void expect_complaint(const Result& result, const std::string& expected) {
  SCOPED_TRACE(result.err);
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_THAT(result.err, AllOf(StartsWith("framefold: "), HasSubstr(expected)));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
  EXPECT_EQ(result.err.back(), '\n');
}

constexpr std::string_view kEvent = R"(entry = "minios-x86_64-fixed"

[context]
vector = "event"

[[arrival]]
kind = "event"
distance = 5
)";

/// An NMI whose marked frame leaves by the hypercall page, and an event there: critical-frame, which is known.
constexpr std::string_view kMarked = R"(entry = "minios-x86_64-table"
signature = "minios-x86_64-table:critical-frame:hypercall_page+0x2e0"

[context]
vector = "nmi"

[[arrival]]
kind = "event"
distance = 62
)";

TEST_F(Cli, VersionNamesUnicorn) {
  const Result result = run({"--version"});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.out,
              ContainsRegex("^framefold [0-9]+\\.[0-9]+\\.[0-9]+ \\(Unicorn [0-9]+\\.[0-9]+\\.[0-9]+\\)\n$"));
}

TEST_F(Cli, HelpSaysWhatThereIs) {
  const Result help = run({"--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* word :
       {"entries", "run", "show", "encode", "explain", "minimize", "report", "debug", "Examples:", "Exit status:"}) {
    EXPECT_THAT(help.out, HasSubstr(word));
  }
  for (const char* command : {"entries", "run", "show", "encode", "explain", "minimize", "report", "debug"}) {
    const Result own = run({command, "--help"});
    EXPECT_EQ(own.status, 0);
    EXPECT_THAT(own.out, HasSubstr(fmt::format("Usage: framefold {}", command)));
  }
  EXPECT_THAT(run({"run", "--help"}).out, AllOf(HasSubstr("--known"), HasSubstr("--entry"), HasSubstr("Exit status:")));
}

TEST_F(Cli, BadUseIsOneLine) {
  expect_complaint(run({}), "subcommand is required");
  expect_complaint(run({"fuzz"}),
                   "fuzz: expected one of entries, run, show, encode, explain, minimize, explore, report, debug");
  expect_complaint(run({"run"}), "FILE is required");
  expect_complaint(run({"run", "--bogus", "x"}), "--bogus");
  expect_complaint(run({"run", "--known=perhaps", "x"}), "--known");
  expect_complaint(run({"run", "--trace=long", "x"}), "--trace");
  expect_complaint(run({"show"}), "FILE is required");
  expect_complaint(run({"show", "a", "b"}), "b");
  expect_complaint(run({"encode", "a.toml", "-o"}), "--output");
  expect_complaint(run({"entries", "--keys", "--json"}), "--keys");
}

TEST_F(Cli, BadFilesAreOneLine) {
  write("input", "");
  fs::create_directory("empty");
  fs::create_directory("hidden");
  write("hidden/.one", "");
  write("hidden/README.md", "");
  ASSERT_EQ(::mkfifo("pipe", 0600), 0);
  fs::create_symlink("nowhere", "dangling");
  write("large", std::string((1U << 20) + 1, 'x'));
  const std::string entry = "minios-x86_64-fixed";
  expect_complaint(run({"run", "-e", entry, "absent"}), "absent: expected a file");
  expect_complaint(run({"run", "-e", entry, "empty"}), "empty: expected a directory with inputs");
  expect_complaint(run({"run", "-e", entry, "hidden"}), "hidden: expected a directory with inputs");
  expect_complaint(run({"run", "-e", entry, "pipe"}), "pipe: expected a regular file");
  expect_complaint(run({"run", "-e", entry, "dangling"}), "dangling: expected a file");
  expect_complaint(run({"run", "-e", entry, "large"}), "large: expected at most");
  expect_complaint(run({"run", "-e", entry, "input", "absent"}), "absent: expected a file");
  expect_complaint(run({"show", "-e", entry, "absent"}), "absent: expected a file");
  expect_complaint(run({"show", "-e", entry, "empty"}), "empty: expected a regular file");
  expect_complaint(run({"encode", "-e", entry, "input"}), "input: expected a scenario in text");
  expect_complaint(run({"run", "-e", entry, "two\nlines"}), "two?lines: expected a file");
}

TEST_F(Cli, UnreadableFileIsOneLine) {
  write("secret", "");
  fs::permissions("secret", fs::perms::none);
  fs::permissions(".", fs::perms::group_exec | fs::perms::others_exec, fs::perm_options::add);
  const bool root = ::geteuid() == 0;  // who reads everything
  expect_complaint(run({"run", "-e", "minios-x86_64-fixed", "secret"}, kOut, root),
                   "secret: expected a readable file: Permission denied");
}

TEST_F(Cli, BadEntriesAreOneLine) {
  write("input", "");
  write("scenario.toml", "entry = \"nobody\"\n");
  write("nameless.toml", "[context]\n");
  expect_complaint(run({"run", "input"}), "input: expected --entry");
  expect_complaint(run({"run", "nameless.toml"}), "nameless.toml: entry: expected --entry");
  expect_complaint(run({"run", "-e", "nobody", "input"}), "--entry: expected");
  expect_complaint(run({"run", "-e", "nobody", "input"}), "minios-x86_64-table");  // the names that there are
  expect_complaint(run({"run", "scenario.toml"}), "scenario.toml: entry: expected");
  expect_complaint(run({"entries", "nobody"}), "expected");
  expect_complaint(run({"run", "-e", "./absent.toml", "input"}), "./absent.toml: expected a file");
  write("entry.toml", "name = \"mine\"\nwidth = \"wide\"\n");
  expect_complaint(run({"run", "-e", "entry.toml", "input"}), "entry.toml:1:1: summary: missing");
  expect_complaint(run({"entries", "entry.toml"}), "entry.toml:1:1: summary: missing");
}

TEST_F(Cli, BadDescriptionOfACopyNamesItsPlace) {
  write("input", "");
  const std::string path = unknowing_copy("minios-x86_64-fixed");
  const std::string good = read(path);
  const auto expect_refusal = [&](const std::string& text, const std::string& expected) {
    write(path, text);
    expect_complaint(run({"run", "-e", path, "input"}), expected);
  };
  expect_refusal("colour = 3\n" + good, "copy/entry.toml:1:10: colour: unknown key");
  expect_refusal(good +
                     "\n[[known]]\nkind = \"bad-luck\"\nat = [\"scrit\", \"scrit\"]\nwhy = \"x\"\n"
                     "reproducer = \"x.toml\"\n",
                 "bad-luck");
  write(path, good);
  for (const auto& file : fs::directory_iterator("copy")) {
    if (file.path().extension() == ".elf") {
      write(file.path(), read(file.path()).substr(0, 100));
    }
  }
  expect_complaint(run({"run", "-e", path, "input"}), ".elf");
}

TEST_F(Cli, BadScenarioNamesItsPlace) {
  write("bad.toml", "entry = \"minios-x86_64-fixed\"\n[context]\nvector = \"evnt\"\n");
  expect_complaint(run({"run", "bad.toml"}), "bad.toml:3:");
  write("bad.toml", "entry = \n");
  expect_complaint(run({"show", "bad.toml"}), "bad.toml:1:");
  write("bad.toml", "entry = \"minios-x86_64-fixed\"\n[context]\nmode = \"user\"\n");
  expect_complaint(run({"encode", "bad.toml"}), "bad.toml:3:");
  EXPECT_THAT(fs::exists("bad.bin"), false);
}

TEST_F(Cli, ABadFileAmongGoodOnesKeepsAllOfThemFromRunning) {
  write("a.toml", kEvent);
  write("b.toml", "entry = 3\n");
  expect_complaint(run({"run", "a.toml", "b.toml"}), "b.toml:1:");
}

TEST_F(Cli, OutputThatDoesNotArriveIsAnError) {
  const Result result = run({"entries"}, "/dev/full");
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("standard output"));
}

TEST_F(Cli, EntriesTable) {
  const Result result = run({"entries"});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.out,
              AllOf(StartsWith("NAME"), ContainsRegex("minios-x86_64-table +64 +kernel +event, 3 exceptions")));
  EXPECT_THAT(result.err, IsEmpty());
}

TEST_F(Cli, EntriesAsJson) {
  const Result result = run({"entries", "--json"});
  EXPECT_EQ(result.status, 0);
  const nlohmann::json entries = nlohmann::json::parse(result.out);
  const auto table = std::find_if(entries.begin(), entries.end(),
                                  [](const nlohmann::json& entry) { return entry["name"] == "minios-x86_64-table"; });
  ASSERT_NE(table, entries.end());
  EXPECT_EQ((*table)["width"], 64);
  EXPECT_EQ((*table)["modes"], nlohmann::json::array({"kernel"}));
  EXPECT_EQ((*table)["region"]["bytes"], 149);
  EXPECT_EQ((*table)["vectors"].size(), 5);
  EXPECT_EQ((*table)["known"].size(), 5);
  EXPECT_EQ((*table)["known"][4]["kind"], "critical-frame");
}

TEST_F(Cli, EntriesCompared) {
  const std::string name = "minios-x86_64-nesting";
  fs::create_directories("replay/" + name);
  write("replay/" + name + "/empty", "");  // a plain event on the thread stack, which no handler is aligned on
  const Result text = run({"entries", "--compare", "--replay", "replay", name, "linux-x86_64-hypercall"});
  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out, ContainsRegex("minios-x86_64-nesting +nests +64 .* known: handler-abi:call_event_handler\n"));
  EXPECT_THAT(text.out, ContainsRegex("linux-x86_64-hypercall +iret hypercall +64 .* not replayed\n"));
  const Result markdown = run({"entries", "--compare", "--markdown", "--replay", "replay", name});
  EXPECT_THAT(markdown.out, HasSubstr("\n| `minios-x86_64-nesting` | nests | 64 | "));
  const Result result = run({"entries", "--compare", "--json", "--replay", "replay", name});
  const nlohmann::json json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json[0]["replayed"], 1);
  EXPECT_EQ(json[0]["known"], nlohmann::json::array({"handler-abi:call_event_handler"}));
  EXPECT_EQ(json[0]["violations"], nlohmann::json::array());
  EXPECT_EQ(json[0]["upcalls"]["thread"]["stack_bytes"].size(), 3U);
  expect_complaint(run({"entries", "--compare", "--replay", "absent"}), "--replay: absent: expected a directory");
  expect_complaint(run({"entries", "--markdown"}), "--compare");
}

TEST_F(Cli, ComparingEntriesFindsAViolation) {
  const std::string entry = unknowing_copy("minios-x86_64-nesting");
  fs::create_directories("replay/minios-x86_64-nesting");
  write("replay/minios-x86_64-nesting/empty", "");
  const Result result = run({"entries", "--compare", "--replay", "replay", entry});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, HasSubstr("VIOLATION: handler-abi:call_event_handler"));
}

TEST_F(Cli, EntriesShowOneInFullAndTheManualOfKeys) {
  EXPECT_THAT(run({"entries", "minios-x86_64-table"}).out,
              AllOf(HasSubstr("scrit to ecrit, 149 bytes"), HasSubstr("critical-frame at hypercall_page+0x2e0")));
  EXPECT_THAT(run({"entries", unknowing_copy("minios-x86_64-table")}).out, Not(HasSubstr("critical-frame")));
  const Result keys = run({"entries", "--keys"});
  EXPECT_EQ(keys.status, 0);
  EXPECT_THAT(keys.out, AllOf(HasSubstr("vectors[].symbol"), HasSubstr("required")));
}

TEST_F(Cli, CleanInput) {
  write("event.toml", kEvent);
  const Result result = run({"run", "event.toml"});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.out, "event.toml: clean\n1 file: 1 clean, 0 known, 0 violations\n");
  EXPECT_THAT(result.err, IsEmpty());
}

TEST_F(Cli, KnownViolationIsSkippedUnlessAskedFor) {
  write("marked.toml", kMarked);
  const Result skipped = run({"run", "marked.toml"});
  EXPECT_EQ(skipped.status, 0);
  EXPECT_THAT(skipped.out,
              AllOf(StartsWith("marked.toml: known: "), HasSubstr("1 file: 0 clean, 1 known, 0 violations")));
  const Result reported = run({"run", "--known=report", "marked.toml"});
  EXPECT_EQ(reported.status, 1);
  EXPECT_THAT(reported.out,
              AllOf(StartsWith("marked.toml: violation\n"), HasSubstr("kind        critical-frame: "),
                    HasSubstr("hypercall_page+0x2e0"), HasSubstr("1 file: 0 clean, 0 known, 1 violation;"),
                    HasSubstr("framefold run --trace --known=report marked.toml")));
  EXPECT_THAT(reported.out, Not(HasSubstr("\x1b")));
}

TEST_F(Cli, ViolationIsExitOne) {
  write("marked.toml", kMarked);
  const std::string copy = unknowing_copy("minios-x86_64-table");
  const Result result = run({"run", "-e", copy, "marked.toml"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, AllOf(HasSubstr("marked.toml: violation"), HasSubstr("pushq %rcx"),
                                HasSubstr("framefold run --trace --entry copy/entry.toml marked.toml")));
}

TEST_F(Cli, AnEntryByItsPathFromTheScenariosOwnFolder) {
  unknowing_copy("minios-x86_64-fixed");
  fs::create_directory("scenarios");
  write("scenarios/one.toml", "entry = \"../copy/entry.toml\"\n");
  EXPECT_EQ(run({"run", "scenarios/one.toml"}).status, 0);
}

TEST_F(Cli, SaysWhetherAReproducerStillShowsItsSignature) {
  write("yes.toml", kMarked);
  std::string moved(kMarked);
  write("moved.toml", moved.replace(moved.find("+0x2e0"), 6, "+0x2e9"));
  std::string gone(kMarked);
  write("gone.toml", gone.replace(gone.find("distance = 62"), 13, "distance = 20"));
  EXPECT_THAT(run({"run", "yes.toml"}).out,
              AllOf(HasSubstr("reproduced  yes: "), HasSubstr("1 of 1 expected signature reproduced")));
  EXPECT_THAT(run({"run", "moved.toml"}).out, HasSubstr("reproduced  moved: "));
  const Result no = run({"run", "gone.toml"});
  EXPECT_THAT(no.out, AllOf(HasSubstr("reproduced  no: "), HasSubstr("0 of 1 expected signature reproduced")));
  EXPECT_EQ(no.status, 0);
  EXPECT_EQ(run({"run", "--reproduce", "yes.toml"}).status, 0);
  EXPECT_EQ(run({"run", "--reproduce", "moved.toml"}).status, 1);
  EXPECT_EQ(run({"run", "--reproduce", "gone.toml"}).status, 1);
}

TEST_F(Cli, DirectoriesInOrderOfNames) {
  fs::create_directories("inputs/more");
  write("inputs/b.toml", kEvent);
  write("inputs/a.toml", kEvent);
  write("inputs/more/c.toml", kEvent);
  write("inputs/.hidden", "");
  write("inputs/README.md", "");
  EXPECT_EQ(run({"run", "inputs"}).out,
            "inputs/a.toml: clean\ninputs/b.toml: clean\ninputs/more/c.toml: clean\n"
            "3 files: 3 clean, 0 known, 0 violations\n");
  EXPECT_EQ(run({"run", "-q", "inputs"}).out, "3 files: 3 clean, 0 known, 0 violations\n");
}

TEST_F(Cli, AnyBytesAreAnInput) {
  fs::create_directory("inputs");
  std::uint32_t state = 1;
  for (int i = 0; i < 50; ++i) {
    std::string bytes(static_cast<std::size_t>(i * 5), '\0');
    for (char& byte : bytes) {
      state = state * 1664525 + 1013904223;
      byte = static_cast<char>(state >> 24);
    }
    write(fmt::format("inputs/{:02}", i), bytes);
  }
  for (const char* entry : {"minios-x86_64-fixed", "minios-x86_32-fixed"}) {
    const Result result = run({"run", "-q", "-e", entry, "inputs"});
    EXPECT_EQ(result.out, "50 files: 50 clean, 0 known, 0 violations\n");
    EXPECT_EQ(result.status, 0) << result.err;
  }
}

TEST_F(Cli, JsonOfARun) {
  write("event.toml", kEvent);
  write("marked.toml", kMarked);
  const Result result = run({"run", "--json", "--trace", "event.toml", "marked.toml"});
  EXPECT_EQ(result.status, 0);
  const nlohmann::json json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["format"], 1);
  EXPECT_EQ(json["summary"]["files"], 2);
  EXPECT_EQ(json["summary"]["known"], 1);
  const nlohmann::json& clean = json["results"][0];
  EXPECT_EQ(clean["file"], "event.toml");
  EXPECT_EQ(clean["status"], "clean");
  EXPECT_EQ(clean["findings"].size(), 0);
  EXPECT_TRUE(clean["reproduced"].is_null());
  const nlohmann::json& known = json["results"][1];
  EXPECT_EQ(known["status"], "known");
  EXPECT_EQ(known["reproduced"], "yes");
  const auto critical = std::find_if(known["findings"].begin(), known["findings"].end(),
                                     [](const nlohmann::json& finding) { return finding["kind"] == "critical-frame"; });
  ASSERT_NE(critical, known["findings"].end());
  EXPECT_EQ((*critical)["what"], "rip");
  EXPECT_EQ((*critical)["cause"], "hypercall_page+0x2e0");
  EXPECT_THAT(known["timeline"].get<std::string>(), HasSubstr("! critical-frame"));
}

TEST_F(Cli, CountsWhatArrivedAtEachBoundary) {
  write("event.toml",
        "entry = \"minios-x86_64-fixed\"\n[context]\nvector = \"event\"\n"
        "[[arrival]]\nkind = \"event\"\ndistance = 79\n");  // the pop behind the test for pending events
  const Result text = run({"run", "--quiet", "--boundaries", "event.toml", "event.toml"});
  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out, HasSubstr("minios-x86_64-fixed: arrivals at each boundary of the region"));
  EXPECT_THAT(text.out, ContainsRegex("\n  scrit\\+0x9 +2 +0 +0 +0 +2 +0 +0  popq %rax\n"));
  EXPECT_THAT(text.out, ContainsRegex("\n  scrit +0 +0 +0 +0 +0 +0 +0  testb"));
  const nlohmann::json json = nlohmann::json::parse(run({"run", "--json", "--boundaries", "event.toml"}).out);
  const nlohmann::json& boundaries = json["boundaries"]["minios-x86_64-fixed"];
  EXPECT_EQ(boundaries.size(), 10U);
  EXPECT_EQ(boundaries[3]["place"], "scrit+0x9");
  EXPECT_EQ(boundaries[3]["arrived"]["event"], 1);
  EXPECT_EQ(boundaries[3]["delivered"]["event"], 1);
  EXPECT_EQ(boundaries[3]["folded"]["event"], 1);
  EXPECT_EQ(boundaries[0]["arrived"]["event"], 0);
}

TEST_F(Cli, JsonHoldsAnyFileName) {
  const std::string name = "\xff\"\\.bin";
  write(name, "");
  const Result result = run({"run", "--json", "-e", "minios-x86_64-fixed", name});
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(nlohmann::json::parse(result.out)["results"].size(), 1);
}

TEST_F(Cli, TraceTellsTheStory) {
  write("event.toml", kEvent);
  const Result result = run({"run", "--trace", "event.toml"});
  EXPECT_THAT(result.out, AllOf(HasSubstr("* arrival 0: event, port 0"), HasSubstr("> event delivered, enters "),
                                HasSubstr("context resumes"), Not(HasSubstr("reference run"))));
  EXPECT_THAT(result.out, HasSubstr("minios-x86_64-fixed.S:"));
  const std::string full = run({"run", "--trace=full", "event.toml"}).out;
  EXPECT_THAT(full, AllOf(HasSubstr("reference run"), Not(HasSubstr("┌"))));
  EXPECT_EQ(run({"run", "--full", "event.toml"}).out, full);
  EXPECT_THAT(run({"run", "--stacks", "event.toml"}).out,
              AllOf(HasSubstr("┌─ frame 0: event"), StartsWith(result.out.substr(0, 200))));
  const std::string copy = unknowing_copy("minios-x86_64-fixed");
  EXPECT_THAT(run({"run", "-e", copy, "--trace", "event.toml"}).out, HasSubstr("minios-x86_64-fixed.S:"));
}

TEST_F(Cli, EncodeAndShowAreInverse) {
  write("marked.toml", kMarked);
  const Result encoded = run({"encode", "marked.toml", "-o", "marked"});
  EXPECT_EQ(encoded.status, 0);
  EXPECT_EQ(encoded.out, "marked\n");
  const Result shown = run({"show", "-e", "minios-x86_64-table", "marked"});
  EXPECT_EQ(shown.status, 0);
  EXPECT_THAT(shown.out, AllOf(StartsWith("entry = \"minios-x86_64-table\"\n"),
                               HasSubstr("[[arrival]]  # 0: hypercall_page+0x2e0 (pushq %rcx), delivered\n")));
  write("again.toml", shown.out);
  EXPECT_EQ(run({"encode", "again.toml", "-o", "again"}).status, 0);
  EXPECT_EQ(read("again"), read("marked"));
  EXPECT_EQ(run({"show", "again.toml"}).out, shown.out);
}

TEST_F(Cli, ShowKeepsWhatAFileSaysAndNamesAViolation) {
  write("marked.toml", kMarked);
  EXPECT_THAT(run({"show", "marked.toml"}).out,
              HasSubstr("signature = \"minios-x86_64-table:critical-frame:hypercall_page+0x2e0\""));
  write("empty", "");
  EXPECT_THAT(run({"show", "-e", unknowing_copy("minios-x86_64-table"), "empty"}).out,
              HasSubstr("signature = \"minios-x86_64-table:handler-abi:call_event_handler\""));
  EXPECT_THAT(run({"show", "-e", "minios-x86_64-table", "empty"}).out, Not(HasSubstr("signature")));
}

TEST_F(Cli, EncodeNamesByContent) {
  write("event.toml", kEvent);
  const Result here = run({"encode", "event.toml"});
  ASSERT_EQ(here.status, 0);
  const std::string name = here.out.substr(0, here.out.size() - 1);
  EXPECT_EQ(name, sha1_of(read(name)));
  fs::create_directory("corpus");
  EXPECT_EQ(run({"encode", "event.toml", "-o", "corpus"}).out, "corpus/" + here.out);
}

TEST_F(Cli, EncodeOverwritesOnlyWhenTold) {
  write("event.toml", kEvent);
  write("out", "something else");
  expect_complaint(run({"encode", "event.toml", "-o", "out"}), "out: expected no file with other contents");
  EXPECT_EQ(read("out"), "something else");
  EXPECT_EQ(run({"encode", "event.toml", "-o", "out", "-f"}).status, 0);
  EXPECT_NE(read("out"), "something else");
  EXPECT_EQ(run({"encode", "event.toml", "-o", "out"}).status, 0);  // the same contents
  ASSERT_EQ(::mkfifo("pipe", 0600), 0);
  expect_complaint(run({"encode", "event.toml", "-o", "pipe", "-f"}), "pipe: expected a regular file");
  expect_complaint(run({"encode", "event.toml", "-o", "absent/out"}), "absent/out: expected a place");
  std::vector<std::string> left;
  for (const auto& file : fs::directory_iterator(".")) {
    if (!file.path().filename().string().starts_with('.')) {
      left.push_back(file.path().filename().string());
    }
  }
  std::sort(left.begin(), left.end());
  EXPECT_THAT(left, ElementsAre("event.toml", "out", "pipe"));
}

TEST_F(Cli, ExplainsEveryKind) {
  const Result all = run({"explain"});
  EXPECT_EQ(all.status, 0);
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), '\n'), 16);
  EXPECT_THAT(all.out, ContainsRegex("lost-event +the context resumes"));
  const Result one = run({"explain", "nmi-masked"});
  EXPECT_EQ(one.status, 0);
  EXPECT_THAT(one.out, AllOf(StartsWith("nmi-masked: "), HasSubstr("  promise "), HasSubstr("  why "),
                             HasSubstr("  usual "), HasSubstr("  look at "), Not(HasSubstr("  where "))));
  EXPECT_EQ(nlohmann::json::parse(run({"explain", "--json"}).out).size(), 16);
}

TEST_F(Cli, ExplainsASignatureInItsEntry) {
  const Result here = run({"explain", "minios-x86_64-table:nmi-masked:scrit+0x84"});
  EXPECT_EQ(here.status, 0);
  EXPECT_THAT(here.out, AllOf(HasSubstr("boundary before jmp hypercall_page+0x2e0"),
                              HasSubstr("known       at scrit+0x82 to scrit+0x84, when marked, if-set"),
                              HasSubstr("nmi-masked-scrit.toml")));
  EXPECT_THAT(run({"explain", "minios-x86_64-table:nmi-masked:scrit+0x3"}).out, HasSubstr("not here, but near"));
  EXPECT_THAT(run({"explain", "minios-x86_64-table:nmi-masked:scrit"}).out, Not(HasSubstr("not here")));
  EXPECT_THAT(run({"explain", "minios-x86_64-table:runaway:scrit"}).out, Not(HasSubstr("known ")));
  const nlohmann::json json =
      nlohmann::json::parse(run({"explain", "--json", "minios-x86_64-table:nmi-masked:scrit+0x84"}).out);
  EXPECT_EQ(json["known"][0]["here"], true);
  const std::string copy = unknowing_copy("minios-x86_64-table");
  EXPECT_EQ(run({"explain", "-e", copy, "minios-x86_64-table:nmi-masked:scrit+0x84"}).status, 0);
}

TEST_F(Cli, ExplainRefusesWhatIsNoSignature) {
  expect_complaint(run({"explain", "bad-luck"}), "'bad-luck': expected a signature, or one of register-mismatch");
  expect_complaint(run({"explain", "minios-x86_64-table:bad-luck:scrit"}), "bad-luck");
  expect_complaint(run({"explain", "nobody:nmi-masked:scrit"}), "found 'nobody'");
  expect_complaint(run({"explain", "minios-x86_64-table:nmi-masked:nowhere"}), "expected a place");
  expect_complaint(run({"explain", "-e", "minios-x86_64-fixed", "minios-x86_64-table:nmi-masked:scrit"}),
                   "expected a signature of minios-x86_64-fixed");
}

TEST_F(Cli, MinimizeFindsTheSmallestScenario) {
  std::string large(kMarked);
  large.insert(large.find("vector"), "stack_offset = 8\nrflags = [\"df\"]\n");
  large += "[[arrival]]\nkind = \"tick\"\ndistance = 5\n";
  write("large.toml", large);
  const Result printed = run({"minimize", "large.toml"});
  EXPECT_EQ(printed.status, 0) << printed.err;
  EXPECT_THAT(printed.out, AllOf(HasSubstr("distance = 62"), Not(HasSubstr("tick")), Not(HasSubstr("stack_offset"))));
  const Result written = run({"minimize", "large.toml", "-o", "small.toml"});
  EXPECT_EQ(written.out, "small.toml: 1 arrival, minios-x86_64-table:critical-frame:hypercall_page+0x2e0\n");
  EXPECT_EQ(read("small.toml"), printed.out);
  EXPECT_EQ(run({"minimize", "small.toml"}).out, printed.out);
  EXPECT_EQ(run({"run", "--reproduce", "small.toml"}).status, 0);
  expect_complaint(run({"minimize", "large.toml", "-o", "large.toml"}), "large.toml: expected no file with other");
  expect_complaint(run({"minimize", "large.toml", "--signature", "nothing"}), "expected a scenario that shows nothing");
  write("event.toml", kEvent);
  expect_complaint(run({"minimize", "event.toml"}), "event.toml: expected a scenario that shows a violation");
}

TEST_F(Cli, ReportIsOnePage) {
  write("marked.toml", kMarked);
  write("event.toml", kEvent);
  const Result result = run({"report", "marked.toml", "event.toml", "-o", "page.html"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, ContainsRegex("^page.html: 2 scenarios, [0-9]+ bytes\n$"));
  const std::string page = read("page.html");
  EXPECT_THAT(page, AllOf(StartsWith("<!doctype html>"), HasSubstr("critical-frame:hypercall_page+0x2e0"),
                          HasSubstr("Every promise was kept."), HasSubstr("Every boundary of minios-x86_64-table"),
                          HasSubstr("Every boundary of minios-x86_64-fixed"), HasSubstr("minios-x86_64-table.S:")));
  expect_complaint(run({"report", "event.toml", "-o", "page.html"}), "page.html: expected no file with other");
  EXPECT_EQ(run({"report", "event.toml", "--no-map", "-f", "-o", "page.html"}).status, 0);
  EXPECT_THAT(read("page.html"), Not(HasSubstr("Every boundary of")));
  expect_complaint(run({"report", "event.toml"}), "--output");
  expect_complaint(run({"debug", "event.toml"}), "--gdb");
  expect_complaint(run({"debug", "--gdb", "99999", "event.toml"}), "--gdb");
}

// FIPS 180-4's own examples, and lengths around a block's end.
TEST(Sha1, KnownDigests) {
  EXPECT_EQ(sha1_of(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(sha1_of("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(sha1_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(sha1_of(std::string(1000000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(sha1_of(std::string(55, 'x')), "cef734ba81a024479e09eb5a75b6ddae62e6abf1");
  EXPECT_EQ(sha1_of(std::string(56, 'x')), "901305367c259952f4e7af8323f480d59f81335b");
  EXPECT_EQ(sha1_of(std::string(63, 'x')), "0ddc4e0cccd9a12850deb5abb0853a4425559fec");
  EXPECT_EQ(sha1_of(std::string(64, 'x')), "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163");
  EXPECT_EQ(sha1_of(std::string(65, 'x')), "78c741ddc482e4cdf8c474a0876347a0905b6233");
}

}  // namespace
}  // namespace framefold
