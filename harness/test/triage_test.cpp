// framefold triage, and what it does not take for a crash.
#include "cli/triage.hpp"

#include <nlohmann/json.hpp>

#include "test/corpus_fixture.hpp"

namespace framefold::test {
namespace {

/// What a fuzzer names is an input, whatever is in it.
TEST(WhyNoInput, IsAskedOfNothingThatAFuzzerNamed) {
  const std::span log(reinterpret_cast<const std::uint8_t*>(kLog.data()), kLog.size());
  const std::string sha1 = sha1_name(log);
  for (const std::string& name : {sha1, "crash-" + sha1, "timeout-" + sha1, "slow-unit-" + sha1,
                                  std::string("id:000000,sig:06"), std::string("short")}) {
    EXPECT_EQ(why_no_input("x/" + name, name == "short" ? log.first(31) : log), std::nullopt) << name;
  }
  for (const std::string& name : {"crash-" + sha1 + ".summary", "crash-" + sha1 + ".txt", std::string("fuzz_bitmap")}) {
    EXPECT_NE(why_no_input("x/" + name, log), std::nullopt) << name;
  }
  EXPECT_EQ(why_no_input("notes", InputBytes(40, 'a')), "expected an input, found a text");
  EXPECT_EQ(why_no_input("notes", InputBytes(40, 1)), std::nullopt);
}

FileReport report(const std::string& file, std::vector<std::string> signatures, unsigned reached, bool known = false) {
  FileReport report;
  report.file = file;
  report.entry_option = "e";
  report.reached = reached;
  for (const std::string& signature : signatures) {
    FindingReport finding;
    finding.signature = signature;
    finding.bucket = signature.substr(0, signature.find('+'));
    if (known) {
      finding.known = KnownReport{};
    } else if (!report.violation) {
      report.violation = report.findings.size();
    }
    report.findings.push_back(finding);
  }
  return report;
}

TEST(Triage, GroupsByBucketWithTheSimplestFileForExample) {
  Triage triage;
  triage.add(report("b", {"e:k:s+0x1"}, 3));
  triage.add(report("c", {"e:k:s+0x2", "e:l:t"}, 1));
  triage.add(report("d", {"e:l:t"}, 2));
  triage.add(report("f", {"e:k:s+0x1"}, 1, true));
  triage.add(report("a", {}, 0));
  const std::vector<TriageGroup> groups = triage.groups();
  ASSERT_THAT(groups, SizeIs(3));
  EXPECT_EQ(groups[0].bucket, "e:k:s");
  EXPECT_EQ(groups[0].representative, "c");
  EXPECT_EQ(groups[0].representative_signature, "e:k:s+0x2");
  EXPECT_THAT(groups[0].files, ElementsAre("b", "c"));
  EXPECT_EQ(groups[1].bucket, "e:l:t");
  EXPECT_TRUE(groups[2].known);
  EXPECT_THAT(triage.clean(), ElementsAre("a"));
  EXPECT_THAT(to_text(triage), AllOf(HasSubstr("replay     framefold run --trace --entry e c\n"),
                                     HasSubstr("5 files: 2 bugs not known, 1 known, 1 showing nothing")));
  const nlohmann::json json = to_json(triage);
  EXPECT_THAT(json.at("groups"), SizeIs(3));
  EXPECT_EQ(json.at("groups")[0].at("representative").at("file"), "c");
  EXPECT_EQ(json.at("clean")[0], "a");
}

/// What is not known decides where a file belongs; what is known is told apart, with every file that shows it.
TEST(Triage, KeepsWhatIsKnownApart) {
  const auto both = [](const std::string& file, const std::string& known, const std::string& fresh) {
    FileReport first = report(file, {known, known}, 1, true);
    FileReport second = report(file, {fresh}, 1);
    first.findings.push_back(second.findings[0]);
    first.violation = 2;
    return first;
  };
  Triage triage;
  triage.add(both("a", "e:abi:call", "e:k:s+0x1"));
  triage.add(both("b", "e:abi:call", "e:l:t"));
  triage.add(report("c", {"e:abi:call", "e:nmi:s"}, 1, true));
  const std::vector<TriageGroup> groups = triage.groups();
  ASSERT_THAT(groups, SizeIs(4));
  EXPECT_EQ(groups[0].bucket, "e:k:s");
  EXPECT_THAT(groups[0].files, ElementsAre("a"));
  EXPECT_EQ(groups[1].bucket, "e:l:t");
  EXPECT_EQ(groups[2].bucket, "e:abi:call");
  EXPECT_THAT(groups[2].files, ElementsAre("a", "b", "c"));
  EXPECT_EQ(groups[3].bucket, "e:nmi:s");
  const std::string text = to_text(triage);
  EXPECT_LT(text.find("e:l:t"), text.find("known, in whatever files:\n"));
  EXPECT_LT(text.find("known, in whatever files:\n"), text.find("e:abi:call  (known)\n"));
  EXPECT_THAT(text, HasSubstr("3 files: 2 bugs not known, 2 known, 0 showing nothing"));
}

TEST_F(CorpusFolder, TriageReplaysFiles) {
  const std::string folder = make("crashes", {kPlainEvent, kException, kSameMeaning});
  const Result text = run(fmt::format("triage -e {} {}", kEntry, folder));
  EXPECT_EQ(text.status, 0) << text.output;
  EXPECT_THAT(text.output, AllOf(HasSubstr("minios-x86_64-table:handler-abi:call_event_handler  (known)\n"),
                                 HasSubstr("3 files: 0 bugs not known, 2 known, 0 showing nothing")));
  const Result json = run(fmt::format("triage --json -e {} {}", kEntry, folder));
  EXPECT_THAT(nlohmann::json::parse(json.output).at("groups"), SizeIs(2));
  EXPECT_THAT(nlohmann::json::parse(json.output).at("skipped"), IsEmpty());
  EXPECT_EQ(run(fmt::format("triage -e {} {}", kEntry, (home_ / "none").string())).status, 2);
  EXPECT_EQ(run(fmt::format("triage -e {} {} {}", kEntry, folder, (home_ / "none").string())).status, 2);
}

TEST_F(CorpusFolder, TriageSkipsWhatIsNoCrash) {
  const std::string folder = make("crashes", {kPlainEvent});
  leave_others(folder);
  write(home_ / "crashes" / ("slow-unit-" + sha1_name(kPlainEvent)), "\1");
  write(home_ / "crashes/bad.toml", "entry = 1\n");
  const Result text = run(fmt::format("triage -e {} {}", kEntry, folder));
  EXPECT_EQ(text.status, 0) << text.output;
  for (const char* line : {"crash-0123.summary: skipped: expected an input, found a log by its name\n",
                           "fuzzer_stats: skipped: expected an input, found a text\n",
                           ": skipped: expected a crash, found a slow input by its name\n",
                           "bad.toml: skipped: 1:9: entry: ", "huge: skipped: expected at most 1048576 bytes",
                           "\n1 file: 0 bugs not known, 1 known, 0 showing nothing; 6 skipped\n"}) {
    EXPECT_THAT(text.output, HasSubstr(line));
  }
  const Result json = run(fmt::format("triage --json -e {} {}", kEntry, folder));
  EXPECT_THAT(nlohmann::json::parse(json.output).at("skipped"), SizeIs(6));
  const Result nothing = run(fmt::format("triage -e {} {}/huge {}/fuzz-0.log", kEntry, folder, folder));
  EXPECT_EQ(nothing.status, 2);
  EXPECT_THAT(nothing.output, AllOf(HasSubstr("/huge: expected at most 1048576 bytes, found 1048577 (1 more "),
                                    Not(HasSubstr("skipped"))));
  const Result unnamed = run(fmt::format("triage {}", folder));
  EXPECT_EQ(unnamed.status, 2) << "no --entry";
  EXPECT_THAT(unnamed.output, HasSubstr("expected --entry, since a binary input does not name its entry"));
}

}  // namespace
}  // namespace framefold::test
