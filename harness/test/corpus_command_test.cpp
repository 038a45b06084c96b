// framefold corpus: what its commands keep, drop, read and refuse.
#include <nlohmann/json.hpp>
#include <set>

#include "cli/corpus_merge.hpp"
#include "cli/dictionary.hpp"
#include "scenario/codec.hpp"
#include "test/corpus_fixture.hpp"
#include "test/entries.hpp"

namespace framefold::test {
namespace {

TEST_F(CorpusFolder, MergeAddsWhatReachesSomethingNewAndNothingElse) {
  const std::string corpus = make("corpus", {});
  const std::string fresh = make("fresh", {kPlainEvent, kSameMeaning, kException});
  const Result merged = run(fmt::format("corpus merge -e {} {} {}", kEntry, corpus, fresh));
  EXPECT_EQ(merged.status, 0) << merged.output;
  EXPECT_THAT(merged.output, HasSubstr("2 inputs, were 0; 2 added of 3 new"));
  EXPECT_THAT(inputs_of(corpus), SizeIs(2));
  const Result again = run(fmt::format("corpus merge -e {} {} {}", kEntry, corpus, fresh));
  EXPECT_THAT(again.output, HasSubstr("2 inputs, were 2; 0 added of 3 new"));
}

TEST_F(CorpusFolder, MergeTakesAFuzzersInputsOfAnyVersion) {
  const std::string corpus = make("corpus", {});
  const std::string fresh = make("fresh", {{0}, {0xff, 1}});
  EXPECT_EQ(run(fmt::format("corpus merge -e {} {} {}", kEntry, corpus, fresh)).status, 0);
  const std::vector<InputBytes> inputs = inputs_of(corpus);
  EXPECT_THAT(inputs, SizeIs(2));
  for (const InputBytes& input : inputs) {
    EXPECT_EQ(format_version(input), kCodecVersion);
  }
}

TEST_F(CorpusFolder, MergeMakesTheCorpusWhereThereIsNone) {
  const std::string fresh = make("fresh", {kPlainEvent});
  const std::string corpus = (home_ / "a/corpus").string();
  EXPECT_EQ(run(fmt::format("corpus merge -e {} {} {}", kEntry, corpus, fresh)).status, 0);
  EXPECT_THAT(inputs_of(corpus), SizeIs(1));
}

TEST_F(CorpusFolder, MergeRejectsInputsThatViolate) {
  // An entry whose description knows nothing: what is known of it is a violation then.
  for (const char* file : {"minios-x86_64-table.elf", "entry.toml"}) {
    fs::copy(fs::path(FRAMEFOLD_ENTRIES) / kEntry / file, home_ / file);
  }
  std::ifstream in(home_ / "entry.toml");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::ofstream(home_ / "entry.toml") << text.substr(0, text.find("[[known]]"));
  const std::string corpus = make("corpus", {});
  const std::string fresh = make("fresh", {kPlainEvent});
  const Result merged = run(fmt::format("corpus merge -e {} {} {}", (home_ / "entry.toml").string(), corpus, fresh));
  EXPECT_EQ(merged.status, 1) << merged.output;
  EXPECT_THAT(merged.output, AllOf(HasSubstr("rejected: minios-x86_64-table:handler-abi:"), HasSubstr("1 rejected")));
  EXPECT_THAT(inputs_of(corpus), IsEmpty());
}

TEST_F(CorpusFolder, PruneKeepsTheCoverageAndIsDoneAfterwards) {
  const std::string corpus = make("corpus", {kPlainEvent, kSameMeaning, kException});
  const auto features = [&corpus] {
    return nlohmann::json::parse(run(fmt::format("corpus stats --json -e {} {}", kEntry, corpus)).output)
        .at("features");
  };
  const auto before = features();
  EXPECT_EQ(run(fmt::format("corpus prune -e {} {}", kEntry, corpus)).status, 0);
  EXPECT_EQ(features(), before);
  const std::vector<InputBytes> once = inputs_of(corpus);
  EXPECT_THAT(once, SizeIs(2));
  EXPECT_EQ(run(fmt::format("corpus prune -e {} {}", kEntry, corpus)).status, 0);
  EXPECT_EQ(inputs_of(corpus), once);
}

TEST_F(CorpusFolder, OfANewerVersionIsWrittenOverOnlyWhenTold) {
  const InputBytes newer = {kCodecVersion + 1, 1};
  for (const char* action : {"prune", "upgrade"}) {
    const std::string corpus = make(action, {kPlainEvent, newer});
    const std::vector<InputBytes> before = inputs_of(corpus);
    const std::string command = fmt::format("corpus {} -e {} {}", action, kEntry, corpus);
    const Result result = run(command);
    EXPECT_EQ(result.status, 2) << action;
    EXPECT_THAT(result.output, HasSubstr("format version 2: expected a version up to 1: a fuzzer's own, or that of a "
                                         "newer framefold; -f reads it as version 1\n"));
    EXPECT_EQ(inputs_of(corpus), before);
    EXPECT_EQ(run(command + " -f").status, 0) << action;
    EXPECT_THAT(inputs_of(corpus), SizeIs(2));
    for (const InputBytes& input : inputs_of(corpus)) {
      EXPECT_EQ(format_version(input), kCodecVersion);
    }
  }
}

/// AFL++'s queue: names of its own, and any byte for a version, which is told and not refused.
TEST_F(CorpusFolder, OfAflIsReadAsTheFuzzBinaryReadsIt) {
  using namespace std::string_view_literals;
  write(home_ / "queue/id:000000,src:000000,op:havoc", "\0"sv);
  write(home_ / "queue/id:000001,src:000000,op:havoc,+cov", "\xff\1"sv);
  write(home_ / "queue/.state/auto_extras/auto_000000", "any");
  const Result result = run(fmt::format("corpus prune -e {} {}", kEntry, (home_ / "queue").string()));
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 2) << result.output;
  EXPECT_THAT(result.output,
              HasSubstr("id:000001,src:000000,op:havoc,+cov: format version 255: expected a version up to 1: AFL++'s "
                        "own, or that of a newer framefold's queue; read as version 1, as fuzz binaries do\n"));
  EXPECT_THAT(inputs_of((home_ / "queue").string()), SizeIs(2));
  EXPECT_TRUE(fs::exists(home_ / "queue/.state/auto_extras/auto_000000"));
}

/// Version 0 is nobody's; 2 may be a newer framefold's: every command reads both as 1, and says so of the latter.
TEST_F(CorpusFolder, OfANewerVersionIsReadWithALine) {
  const std::string nobodys = make("nobodys", {{0}});
  const std::string newer = make("newer", {{2}, {3}});
  for (const std::string& command :
       {fmt::format("run -e {}", kEntry), fmt::format("triage -e {}", kEntry), fmt::format("coverage -e {}", kEntry),
        fmt::format("corpus merge -e {} {}", kEntry, (home_ / "corpus").string()),
        fmt::format("report -e {} -o {} -f", kEntry, (home_ / "page.html").string())}) {
    EXPECT_THAT(run(command + " " + nobodys).output, Not(HasSubstr("format version"))) << command;
    EXPECT_THAT(run(command + " " + newer).output,
                AllOf(HasSubstr(": format version "), HasSubstr("(so 1 more): a fuzzer's own, or that of a newer "
                                                                "framefold; read as version 1, as fuzz binaries do\n")))
        << command;
  }
  const std::string file = fs::directory_iterator(newer)->path().string();
  const Result shown = run(fmt::format("show -e {} {}", kEntry, file));
  EXPECT_EQ(shown.status, 0);
  EXPECT_THAT(shown.output, AllOf(HasSubstr(file + ": format version "), HasSubstr("[context]\n")));
  EXPECT_THAT(run(fmt::format("show -e {} {}/{}", kEntry, nobodys, sha1_name(InputBytes{0}))).output,
              Not(HasSubstr("format version")));
}

TEST_F(CorpusFolder, MergeSkipsWhatIsNoInput) {
  const std::string fresh = make("fresh", {kPlainEvent});
  leave_others(fresh);
  fs::create_directory(home_ / "fresh/folder");
  write(home_ / "fresh/odd-name.bin", "\1");
  const Result merged = run(fmt::format("corpus merge -e {} {} {}", kEntry, (home_ / "corpus").string(), fresh));
  EXPECT_EQ(merged.status, 0) << merged.output;
  for (const char* line :
       {"crash-0123.summary: skipped: expected an input, found a log by its name\n",
        "fuzz-0.log: skipped: expected an input, found a log by its name\n",
        "fuzzer_stats: skipped: expected an input, found a text\n",
        "huge: skipped: expected at most 1048576 bytes, found 1048577\n", "folder: skipped: expected a regular file\n",
        "dangling: skipped: expected a file: No such file or directory\n",
        "loop: skipped: expected a file: Too many levels of symbolic links\n", "of 2 new;", "; 7 skipped\n"}) {
    EXPECT_THAT(merged.output, HasSubstr(line));
  }
  fs::create_directory(home_ / "others");
  leave_others(home_ / "others");
  const Result nothing =
      run(fmt::format("corpus merge -e {} {} {}", kEntry, (home_ / "corpus").string(), (home_ / "others").string()));
  EXPECT_EQ(nothing.status, 2);
  EXPECT_THAT(nothing.output,
              AllOf(HasSubstr("found a log by its name (5 more are no inputs either)\n"), Not(HasSubstr("skipped"))));
}

TEST_F(CorpusFolder, PruneLeavesWhatIsNoInput) {
  const std::string corpus = make("corpus", {kPlainEvent, kSameMeaning});
  leave_others(corpus);
  fs::create_directory(home_ / "corpus/folder");
  const Result pruned = run(fmt::format("corpus prune -e {} {}", kEntry, corpus));
  EXPECT_EQ(pruned.status, 0) << pruned.output;
  EXPECT_THAT(pruned.output, HasSubstr("fuzzer_stats: skipped: expected an input, found a text\n"));
  EXPECT_EQ(std::distance(fs::directory_iterator(corpus), {}), 8) << "one input, and the others";
}

TEST_F(CorpusFolder, UpgradeWritesEveryInputInTheCurrentFormat) {
  const std::string corpus = make("corpus", {kPlainEvent, kException});
  EXPECT_EQ(run(fmt::format("corpus upgrade -e {} {}", kEntry, corpus)).status, 0);
  const Entry& entry = bundled_entry(kEntry);
  const std::vector<InputBytes> inputs = inputs_of(corpus);
  EXPECT_THAT(inputs, SizeIs(2));
  for (const InputBytes& input : inputs) {
    EXPECT_EQ(input.size(), kHeaderSize);
    EXPECT_EQ(format_version(input), kCodecVersion);
    EXPECT_THAT(input, testing::ElementsAreArray(encode(decode(input, entry), entry).view()));
  }
}

#ifdef FRAMEFOLD_LONG_TESTS  // what makes seeds explores the entry first
TEST_F(CorpusFolder, SeedsReplaceOtherInputsOnlyWhenTold) {
  const std::string folder = make("seeds", {kPlainEvent});
  const std::string command =
      fmt::format("corpus seeds -e minios-x86_32-fixed {}", folder);  // made in the shortest time
  const Result refused = run(command);
  EXPECT_EQ(refused.status, 2);
  EXPECT_EQ(refused.output,
            fmt::format("framefold: {}: expected no folder with other inputs; -f overwrites them\n", folder));
  EXPECT_THAT(inputs_of(folder), ElementsAre(kPlainEvent));
  EXPECT_EQ(run(command + " -f").status, 0);
  EXPECT_THAT(inputs_of(folder), SizeIs(testing::Gt(10U)));
  EXPECT_EQ(run(command).status, 0) << "the same seeds are there already";
}
#endif

TEST_F(CorpusFolder, SeedsReplaceNoFileOfAnotherName) {
  const std::string folder = make("project", {kPlainEvent});
  std::ofstream(fs::path(folder) / "main.c") << "int main;";
  for (const char* force : {"", "-f"}) {
    const Result refused = run(fmt::format("corpus seeds {} -e {} {}", force, kEntry, folder));
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.output, HasSubstr("main.c: expected nothing but inputs, named by their SHA-1;"));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 2);
  }
}

TEST_F(CorpusFolder, OfAnotherEntryIsChangedOnlyWhenTold) {
  const std::string other = make("minios-x86_64-fixed", {kPlainEvent, kSameMeaning});
  const std::string below = make("minios-x86_64-fixed/corpus", {kPlainEvent, kSameMeaning});
  const std::string linked = (home_ / "linked").string();
  fs::create_directory_symlink(below, linked);
  for (const std::string& folder : {below, linked + "/."}) {
    for (const char* action : {"prune", "upgrade", "seeds"}) {
      const Result refused = run(fmt::format("corpus {} -e {} {}", action, kEntry, folder));
      EXPECT_EQ(refused.status, 2) << action;
      EXPECT_EQ(refused.output, fmt::format("framefold: {}: expected inputs of minios-x86_64-table, found a folder of "
                                            "minios-x86_64-fixed; -f takes it\n",
                                            folder));
    }
    EXPECT_THAT(inputs_of(below), SizeIs(2));
  }
  fs::remove(linked);
  fs::rename(below, home_ / "below");
  EXPECT_EQ(run(fmt::format("corpus merge -e {} {} {}", kEntry, other, (home_ / "below").string())).status, 2);
  EXPECT_EQ(run(fmt::format("corpus prune -e minios-x86_64-fixed {}", other)).status, 0);
  EXPECT_EQ(run(fmt::format("corpus prune -f -e {} {}", kEntry, other)).status, 0);
  EXPECT_THAT(inputs_of(other), SizeIs(1));
}

/// The bundled corpus of the entry, of which each input reaches what no other does.
std::map<std::string, InputBytes> bundled_corpus() { return read_corpus(FRAMEFOLD_CORPUS "/" + kEntry).inputs; }

TEST(CorpusMerge, KeepsWhatReachesMostWhereNotAllMayStay) {
  FeatureProbe probe(bundled_entry(kEntry));
  const MergeResult all = merge_corpus(probe, bundled_corpus(), {});
  const std::size_t bound = all.kept.size() - 1;
  EXPECT_EQ(all.lost, 0U);
  const MergeResult most = merge_corpus(probe, bundled_corpus(), {}, bound);
  EXPECT_THAT(most.kept, SizeIs(bound));
  EXPECT_GT(most.lost, 0U);
  EXPECT_EQ(most.features + most.lost, all.features);
  EXPECT_EQ(merge_corpus(probe, {}, bundled_corpus(), bound).lost, most.lost);
  const MergeResult few = merge_corpus(probe, bundled_corpus(), {}, 3);
  EXPECT_THAT(few.kept, SizeIs(3));
  EXPECT_GT(few.features, all.features * 3 / bound) << "no better than any three";
}

/// Where the smallest ones are too many, larger ones count that reach nothing beyond them: one of those stands for
/// many.
TEST(CorpusMerge, ChoosesAmongAllInputsWhereTheSmallestAreTooMany) {
  FeatureProbe probe(bundled_entry(kEntry));
  std::map<std::string, InputBytes> inputs;
  for (std::uint8_t arrivals = 1; arrivals <= 3; ++arrivals) {
    for (std::uint8_t distance = 0; distance < 100; distance += arrivals) {
      InputBytes input(kHeaderSize + arrivals * kArrivalSize, 0);
      input[0] = kCodecVersion;
      input[23] = arrivals;  // arrival_count
      for (std::size_t i = 0; i < arrivals; ++i) {
        input[kHeaderSize + i * kArrivalSize] = static_cast<std::uint8_t>(i + distance);  // kind
        input[kHeaderSize + i * kArrivalSize + 1] = distance;
      }
      inputs.emplace(sha1_name(input), input);
    }
  }
  std::vector<CoveringInput> all;
  for (const auto& [file, bytes] : inputs) {
    const Scenario scenario = decode(bytes, probe.entry());
    if (probe.run(scenario).violation() == nullptr) {
      all.push_back({scenario, {probe.features().begin(), probe.features().end()}});
    }
  }
  std::set<std::uint32_t> reached;
  for (const CoveringInput& input : best_cover(all, probe.feature_limit(), 20)) {
    reached.insert(input.features.begin(), input.features.end());
  }
  EXPECT_GT(merge_corpus(probe, inputs, {}).kept.size(), 20U);
  const MergeResult merged = merge_corpus(probe, inputs, {}, 20);
  EXPECT_THAT(merged.kept, SizeIs(testing::Le(20U)));
  EXPECT_EQ(merged.features, reached.size());
}

TEST(BestCover, TakesWhatReachesMostUntilThereAreEnough) {
  const std::vector<CoveringInput> inputs = {{{}, {0, 1}}, {{}, {2, 3}}, {{}, {1, 2, 3}},
                                             {{}, {0}},    {{}, {4}},    {{}, {4}}};
  const auto features_of = [&inputs](std::size_t most) {
    std::vector<std::vector<std::uint32_t>> features;
    for (const CoveringInput& input : best_cover(inputs, 5, most)) features.push_back(input.features);
    return features;
  };
  EXPECT_THAT(features_of(0), IsEmpty());
  EXPECT_THAT(features_of(1), ElementsAre(ElementsAre(1, 2, 3)));
  EXPECT_THAT(features_of(2), ElementsAre(ElementsAre(0, 1), ElementsAre(1, 2, 3)));
  EXPECT_THAT(features_of(3), ElementsAre(ElementsAre(0, 1), ElementsAre(1, 2, 3), ElementsAre(4)));
  EXPECT_THAT(features_of(6), SizeIs(3));
}

/// More inputs than a corpus may have, and one scenario: what is kept counts, not what is given.
TEST_F(CorpusFolder, IsMergedFromMoreThanItMayHave) {
  std::vector<InputBytes> many;
  for (std::size_t size = 1; size <= kMaxCorpusInputs + 1; ++size) {
    many.push_back(InputBytes(size, 0));
    many.back()[0] = 1;
  }
  const std::string corpus = make("corpus", {});
  const Result merged = run(fmt::format("corpus merge -e {} {} {}", kEntry, corpus, make("fresh", many)));
  EXPECT_EQ(merged.status, 0) << merged.output;
  EXPECT_THAT(inputs_of(corpus), SizeIs(1));
}

TEST_F(CorpusFolder, ThatIsNoneIsRefused) {
  EXPECT_EQ(run(fmt::format("corpus stats -e {} {}", kEntry, (home_ / "none").string())).status, 2);
  fs::create_directories(home_ / "corpus/folder");
  const Result result = run(fmt::format("corpus prune -e {} {}", kEntry, (home_ / "corpus").string()));
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.output, HasSubstr("folder: expected a regular file\n"));
}

TEST(DropRedundant, LeavesInputsThatEachReachWhatNoOtherDoes) {
  std::vector<CoveringInput> inputs = {{{}, {1}}, {{}, {1, 2}}, {{}, {2, 3}}, {{}, {3}}, {{}, {4}}};
  drop_redundant(inputs, 5);
  ASSERT_THAT(inputs, SizeIs(3));
  EXPECT_THAT(inputs[0].features, ElementsAre(1, 2));
  EXPECT_THAT(inputs[1].features, ElementsAre(3));
  EXPECT_THAT(inputs[2].features, ElementsAre(4));
}

TEST(Dictionary, HasAContextAndAnArrivalOfEachKind) {
  for (const std::string& name : bundled_names()) {
    const std::string text = make_dictionary(bundled_entry(name));
    EXPECT_THAT(text, AllOf(HasSubstr("context_0=\"\\x01"), HasSubstr("event_0_after_0=\"\\x00"), HasSubstr("tick_")));
    EXPECT_THAT(text, testing::ContainsRegex("tick_[0-9]+_after_0=\"\\\\x01\\\\x00\\\\x00\\\\x00\\\\xff"));
    EXPECT_EQ(text, make_dictionary(bundled_entry(name)));
  }
}

}  // namespace
}  // namespace framefold::test
