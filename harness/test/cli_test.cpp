// The framefold command: how it is used, and what it says of bad use.
#include <sys/resource.h>

#include "test/cli_fixture.hpp"

namespace framefold::test {
namespace {

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
  expect_complaint(run({"--nope"}), "--nope: expected no such option");
  expect_complaint(run({"check", "--nope"}), "--nope: expected no such option");
  expect_complaint(run({"show"}), "FILE is required");
  expect_complaint(run({"show", "a", "b"}), "b");
  expect_complaint(run({"encode", "a.toml", "-o"}), "--output");
  expect_complaint(run({"entries", "--keys", "--json"}), "--keys");
  expect_complaint(run({"explore", "--second-values", "--no-second-values"}), "--second-values");
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
  expect_complaint(run({"coverage", "-e", entry, "empty"}), "empty: expected a folder with inputs");
  expect_complaint(run({"corpus", "stats", "-e", entry, "empty"}), "empty: expected a folder with inputs");
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

/// Little or more than is buffered, of each command.
TEST_F(Cli, OutputThatDoesNotArriveIsOneLine) {
  write("marked.toml", kMarked);
  fs::create_directory("corpus");
  ASSERT_EQ(run({"encode", "marked.toml", "-o", "corpus/marked"}).status, 0);
  const std::string table = "minios-x86_64-table";
  const std::vector<std::vector<std::string>> commands = {
      {"entries"},
      {"entries", "--keys"},
      {"--help"},
      {"run", "--full", "marked.toml"},
      {"run", "--json", "marked.toml"},
      {"show", "marked.toml"},
      {"encode", "marked.toml", "-o", "marked"},
      {"explain"},
      {"explain", "--json"},
      {"minimize", "marked.toml"},
      {"explore", "--no-second-values", "-v", "linux-x86_64-hypercall"},
      {"report", "--no-map", "marked.toml", "-o", "page.html"},
      {"debug", "--gdb=0", "marked.toml"},
      {"corpus", "stats", "-e", table, "corpus"},
      {"corpus", "dictionary", "-e", table},
      {"triage", "marked.toml"},
      {"coverage", "-e", table, "corpus"},
      {"table", table},
      {"check", table},
      {"new", fmt::format("{}/{}/{}.elf", FRAMEFOLD_ENTRIES, table, table)},
  };
  for (const std::vector<std::string>& command : commands) {
    const Result result = run(command, "/dev/full");
    SCOPED_TRACE(command.front());
    expect_complaint(result, "framefold: standard output: expected a place that can be written: No space left");
  }
}

TEST_F(Cli, EmptyValuesAreOneLine) {
  write("event.toml", kEvent);
  expect_complaint(run({"explain", ""}), "expected a value that is not empty");
  expect_complaint(run({"run", ""}), "expected a value that is not empty");
  expect_complaint(run({"run", "--entry", "", "event.toml"}), "expected a value that is not empty");
  expect_complaint(run({"minimize", "event.toml", "-o", ""}), "expected a value that is not empty");
}

/// Regular ones, as far as the file system says.
TEST_F(Cli, FilesThatAreMoreThanTheirSizeAreOneLine) {
  for (const char* command : {"run", "show"}) {
    expect_complaint(run({command, "-e", "minios-x86_64-fixed", "/proc/self/mem"}),
                     "/proc/self/mem: expected a readable file: ");
    expect_complaint(run({command, "-e", "minios-x86_64-fixed", "/proc/self/status"}),
                     "/proc/self/status: expected a regular file of 0 bytes, found more");
  }
  expect_complaint(run({"run", "-e", "minios-x86_64-fixed", "/dev/null"}), "/dev/null: expected a regular file");
}

/// By a name of its own, a second one, or a link.
TEST_F(Cli, WhatIsReadIsNotWritten) {
  const std::string entry = unknowing_copy("minios-x86_64-fixed");
  write("event.toml", kEvent);
  fs::create_hard_link("event.toml", "second.html");
  fs::create_symlink("event.toml", "link.html");
  for (const char* output : {"event.toml", "second.html", "link.html"}) {
    const std::string expected = fmt::format("{}: expected another place than event.toml, which is read", output);
    expect_complaint(run({"report", "-f", "event.toml", "-o", output}), expected);
    expect_complaint(run({"encode", "-f", "event.toml", "-o", output}), expected);
    expect_complaint(run({"minimize", "-f", "event.toml", "-o", output}), expected);
  }
  const std::string image = "copy/minios-x86_64-fixed.elf";
  const std::string description = read(entry);
  const std::string elf = read(image);
  expect_complaint(run({"report", "-f", "-e", entry, "event.toml", "-o", entry}), "which is read");
  expect_complaint(run({"report", "-f", "-e", entry, "event.toml", "-o", image}), "which is read");
  expect_complaint(run({"corpus", "dictionary", "-f", "-e", entry, "-o", image}), "which is read");
  expect_complaint(run({"new", "-f", image, "-o", image}), "which is read");
  expect_complaint(run({"explore", "-f", "-e", entry, "--report", image}), "which is read");
  expect_complaint(run({"explore", "-e", entry, "--junit", entry}), "which is read");
  expect_complaint(run({"explore", entry, "--sarif", entry}), "which is read");
  fs::create_directory("corpus");
  expect_complaint(run({"corpus", "merge", "-e", entry, "corpus", "./corpus/"}), "which is read");
  EXPECT_EQ(read("event.toml"), kEvent);
  EXPECT_EQ(read(entry), description);
  EXPECT_EQ(read(image), elf);
}

/// As on a full disk: the file may not grow.
TEST_F(Cli, WhatCannotBeWrittenWholeLeavesNothing) {
  write("event.toml", kEvent);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Result result = run({"report", "--no-map", "event.toml", "-o", "page.html"});
  ::setrlimit(RLIMIT_FSIZE, &before);
  expect_complaint(result, "page.html: expected a place that can be written: File too large");
  for (const auto& file : fs::directory_iterator(".")) {
    EXPECT_THAT(file.path().string(), Not(HasSubstr("page.html")));
  }
}

/// Before the long run, and nothing is made by the asking.
TEST_F(Cli, ExploreAsksForItsPlacesFirst) {
  write("taken", "");
  const auto refused = [](const char* option, const char* place, const char* expected) {
    const Result result = run({"explore", "-v", "minios-x86_64-fixed", option, place});
    expect_complaint(result, expected);  // and no verdict
  };
  for (const char* option : {"--report", "--junit", "--sarif"}) {
    refused(option, "absent/file", "absent/file: expected a place that can be written: No such file");
    refused(option, ".", ".: expected a regular file to write to");
  }
  refused("--report", "taken", "taken: expected no file there; -f overwrites it");
  refused("--save", "taken", "taken: expected a folder that can be made: ");
  refused("--save", "taken/below", "taken/below: expected a folder that can be made: ");
  expect_complaint(run({"explore", "minios-x86_64-fixed", "--junit", "one", "--sarif", "./one"}),
                   "./one: expected a file for each of --report, --junit and --sarif");
  const Result done = run({"explore", "--no-second-values", "linux-x86_64-hypercall", "--report", "page.html", "--save",
                           "found/here", "--junit", "junit.xml"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_THAT(read("page.html"), StartsWith("<!doctype html>"));
  EXPECT_FALSE(fs::exists("found"));  // nothing was
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
}  // namespace framefold::test
