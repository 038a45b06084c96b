// framefold run.
#include "test/cli_fixture.hpp"

namespace framefold::test {
namespace {

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

TEST_F(Cli, TellsOfTheSignatureThatIsAskedFor) {
  write("marked.toml", kMarked);
  const auto told = [&](const std::string& signature) {
    return run({"run", "--known=report", "--trace", "--signature", signature, "marked.toml"}).out;
  };
  EXPECT_THAT(told("minios-x86_64-table:critical-frame:hypercall_page+0x2e0"), HasSubstr("reproduced  yes: "));
  EXPECT_THAT(told("minios-x86_64-table:early-delivery:scrit"), HasSubstr("reproduced  no: "));
  expect_complaint(run({"run", "--signature", "critical-frame", "marked.toml"}),
                   "--signature: expected <entry>:<kind>:<symbol+0xoffset>, found 'critical-frame'");
  expect_complaint(run({"run", "--signature", "minios-x86_64-fixed:nmi-masked:scrit", "marked.toml"}),
                   "--signature: expected one of minios-x86_64-table");
}

/// A signature that no entry could show is a slip in the file, not a bug that is gone.
TEST_F(Cli, RefusesAFileWhoseSignatureIsNone) {
  for (const char* slip :
       {"foo", "::", "a:b", "minios-x86_64-table:nmi-masked", "minios-x86_64-table:nmi-masked:", ":nmi-masked:scrit",
        "minios-x86_64-table:nmi-masked:+0x84", "minios-x86_64-table:nmi-masked:scrit+84",
        "minios-x86_64-table:nmi-masked:scrit+0x", "minios-x86_64-table:nmi-masked:scrit+0xfg"}) {
    write("slip.toml", std::string("entry = \"minios-x86_64-table\"\nsignature = \"") + slip + "\"\n");
    for (const char* command : {"run", "minimize", "show", "triage"}) {
      expect_complaint(run({command, "slip.toml"}), std::string("slip.toml: signature: expected "
                                                                "<entry>:<kind>:<symbol+0xoffset>, found '") +
                                                        slip);
    }
  }
  write("kind.toml", "entry = \"minios-x86_64-table\"\nsignature = \"minios-x86_64-table:bad-luck:scrit\"\n");
  expect_complaint(run({"run", "kind.toml"}), "names no kind of violation");
  write("other.toml", "entry = \"minios-x86_64-table\"\nsignature = \"minios-x86_64-fixed:nmi-masked:scrit\"\n");
  expect_complaint(run({"run", "other.toml"}), "expected one of minios-x86_64-table");
  write("bucket.toml", "entry = \"minios-x86_64-table\"\nsignature = \"minios-x86_64-table:nmi-masked:scrit\"\n");
  EXPECT_EQ(run({"run", "bucket.toml"}).status, 0);
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

}  // namespace
}  // namespace framefold::test
