// What framefold does with one scenario: encode, show, explain, minimize, report.
#include "test/cli_fixture.hpp"

namespace framefold::test {
namespace {

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

/// A row whose places go over several symbols.
TEST_F(Cli, ExplainKnowsRowsThatBeginBehindAnotherSymbol) {
  const std::string copy = unknowing_copy("minios-x86_64-table");
  const std::string signature = "minios-x86_64-table:nmi-masked:exit_as_is";
  const auto with_row = [&](const char* first, const char* last) {
    write("copy/with_row.toml", read(copy) + fmt::format("\n[[known]]\nkind = \"nmi-masked\"\nat = [\"{}\", \"{}\"]\n"
                                                         "when = []\nwhy = \"Only for this test.\"\n"
                                                         "reproducer = \"no.toml\"\n",
                                                         first, last));
    return run({"explain", "-e", "copy/with_row.toml", signature}).out;
  };
  EXPECT_THAT(with_row("scrit+0x84", "exit_as_is+0x8"), AllOf(HasSubstr("  known"), HasSubstr("Only for this test.")));
  EXPECT_THAT(with_row("scrit+0x84", "scrit+0x84"), AllOf(HasSubstr("exit_as_is"), Not(HasSubstr("  known"))));
}

TEST_F(Cli, ExplainRefusesWhatIsNoSignature) {
  expect_complaint(run({"explain", "bad-luck"}), "'bad-luck': expected a signature, or one of register-mismatch");
  expect_complaint(run({"explain", "minios-x86_64-table:bad-luck:scrit"}), "bad-luck");
  expect_complaint(run({"explain", "nobody:nmi-masked:scrit"}), "found 'nobody'");
  expect_complaint(run({"explain", "nobody:nmi-masked"}), "found 'nobody'");
  expect_complaint(run({"explain", ":nmi-masked"}), "found ''");
  expect_complaint(run({"explain", "minios-x86_64-table:nmi-masked:nowhere"}), "expected a place");
  expect_complaint(run({"explain", "minios-x86_64-table:nmi-masked:"}), "expected a place");
  for (const char* none : {"scrit+0x83", "scrit+0x99999999"}) {  // inside an instruction; outside of all code
    expect_complaint(run({"explain", std::string("minios-x86_64-table:nmi-masked:") + none}),
                     std::string("expected the place of an instruction, none begins at ") + none);
  }
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
  write("other.toml", "");
  expect_complaint(run({"minimize", "large.toml", "-o", "other.toml"}), "other.toml: expected no file with other");
  expect_complaint(run({"minimize", "large.toml", "--signature", "nothing"}), "expected a scenario that shows nothing");
  write("event.toml", kEvent);
  expect_complaint(run({"minimize", "event.toml"}), "event.toml: expected a scenario that shows a violation");
}

/// What once showed another bug must not end as that of this one.
TEST_F(Cli, MinimizeTakesAFileAtItsWord) {
  std::string moved(kMarked);
  moved.replace(moved.find("+0x2e0"), 6, "+0x2e2");
  write("moved.toml", moved);
  expect_complaint(
      run({"minimize", "moved.toml"}),
      "moved.toml: expected a scenario that shows minios-x86_64-table:critical-frame:hypercall_page+0x2e2, as "
      "it says; it shows minios-x86_64-table:");
  EXPECT_EQ(
      run({"minimize", "moved.toml", "--signature", "minios-x86_64-table:critical-frame:hypercall_page+0x2e0"}).status,
      0);
}

/// As after an edit of the code before it: the same signature, with an arrival that has to come a little later.
TEST_F(Cli, MinimizeFollowsWhatHasMovedWhereItIsAskedTo) {
  const std::string marked = "explanation = \"Why.\"\n" + std::string(kMarked);
  std::string early = marked;
  early.replace(early.find("distance = 62"), 13, "distance = 59");
  write("early.toml", early);
  write("marked.toml", marked);
  expect_complaint(run({"minimize", "early.toml"}), "early.toml: expected a scenario that shows minios-x86_64-table:");
  const Result followed = run({"minimize", "--moved", "early.toml"});
  EXPECT_EQ(followed.status, 0);
  EXPECT_EQ(followed.err,
            "framefold: early.toml: moved: minios-x86_64-table:critical-frame:hypercall_page+0x2e0, with arrivals at "
            "distance 62\n");
  EXPECT_THAT(followed.out, HasSubstr("Why."));
  const Result stays = run({"minimize", "--moved", "marked.toml"});
  EXPECT_EQ(stays.err, "");
  EXPECT_EQ(stays.out, followed.out);
  std::string gone(kMarked);
  gone.replace(gone.find("distance = 62"), 13, "distance = 5");
  write("gone.toml", gone);
  expect_complaint(run({"minimize", "--moved", "gone.toml"}), "gone.toml: expected a scenario that shows minios-");
}

/// A bucket, as triage prints it, where one signature of it shows; where several do, they are named.
TEST_F(Cli, MinimizeTakesABucketOfOneSignature) {
  write("marked.toml", kMarked);
  const std::string bucket = "minios-x86_64-table:critical-frame:hypercall_page";
  const Result exact = run({"minimize", "marked.toml"});
  EXPECT_EQ(run({"minimize", "marked.toml", "--signature", bucket}).out, exact.out);
  const Result absent = run({"minimize", "marked.toml", "--signature", "minios-x86_64-table:critical-frame:scrit"});
  expect_complaint(absent, "expected a scenario that shows minios-x86_64-table:critical-frame:scrit; it shows ");
  EXPECT_THAT(absent.err, AllOf(HasSubstr("handler-abi:call_handler, "), HasSubstr(bucket + "+0x2e0, ")));

  const std::string entry = unknowing_copy("minios-x86_64-table");
  std::string description = read(entry);  // both calls are behind one symbol of those that are left
  for (const std::string name : {"call_handler", "event_entry", "event_again", "call_event_handler"}) {
    const std::string word = "\"" + name + "\", ";
    ASSERT_NE(description.find(word), std::string::npos);
    description.erase(description.find(word), word.size());
  }
  write(entry, description);
  std::string scenario(kMarked);
  scenario.erase(0, scenario.find("[context]"));
  write("both.toml", scenario);
  const std::string both = "minios-x86_64-table:handler-abi:error_entry";
  const Result refused = run({"minimize", "-e", entry, "both.toml", "--signature", both});
  expect_complaint(refused, "--signature: expected one signature, " + both + " is the bucket of several; it shows ");
  const std::size_t begin = refused.err.find(both + "+");
  const std::string first = refused.err.substr(begin, refused.err.find(',', begin) - begin);
  const Result smallest = run({"minimize", "-e", entry, "both.toml", "--signature", first, "-o", "small.toml"});
  EXPECT_THAT(smallest.out, HasSubstr(", " + first + "\n")) << smallest.err;
  EXPECT_THAT(run({"run", "-e", entry, "small.toml"}).out, HasSubstr("reproduced  yes: " + first + "\n"));
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

}  // namespace
}  // namespace framefold::test
