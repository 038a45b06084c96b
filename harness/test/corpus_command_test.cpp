// framefold corpus and framefold triage.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/corpus_folder.hpp"
#include "cli/corpus_merge.hpp"
#include "cli/corpus_place.hpp"
#include "cli/dictionary.hpp"
#include "cli/sha1.hpp"
#include "cli/triage.hpp"
#include "scenario/codec.hpp"
#include "test/entries.hpp"

namespace framefold {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const std::string kEntry = "minios-x86_64-table";

const InputBytes kPlainEvent = {1};
const InputBytes kSameMeaning = {1, 0, 0, 0};  // what is not there reads as 0
const InputBytes kException = {1, 1};

class CorpusFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "framefold-corpus-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_ = name;
  }
  void TearDown() override { fs::remove_all(home_); }

  std::string make(const std::string& name, const std::vector<InputBytes>& inputs) {
    fs::create_directories(home_ / name);
    for (const InputBytes& input : inputs) {
      std::ofstream(home_ / name / sha1_name(input), std::ios::binary)
          .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    }
    return (home_ / name).string();
  }

  struct Result {
    int status = -1;
    std::string output;
  };
  static Result run(const std::string& arguments) {
    std::FILE* pipe = ::popen(fmt::format("'{}' {} 2>&1", FRAMEFOLD_BINARY, arguments).c_str(), "r");
    Result result;
    std::array<char, 4096> buffer;
    for (std::size_t size = 0; (size = std::fread(buffer.data(), 1, buffer.size(), pipe)) != 0;) {
      result.output.append(buffer.data(), size);
    }
    const int state = ::pclose(pipe);
    result.status = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    return result;
  }

  fs::path home_;
};

std::vector<InputBytes> inputs_of(const std::string& folder) {
  std::vector<InputBytes> inputs;
  for (const auto& [file, bytes] : read_corpus(folder).inputs) {
    EXPECT_EQ(file, sha1_name(bytes));
    inputs.push_back(bytes);
  }
  return inputs;
}

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

void write(const fs::path& file, std::string_view text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

/// AFL++'s queue: names of its own, and any byte for a version.
TEST_F(CorpusFolder, OfAflIsReadAsTheFuzzBinaryReadsIt) {
  using namespace std::string_view_literals;
  write(home_ / "queue/id:000000,src:000000,op:havoc", "\0"sv);
  write(home_ / "queue/id:000001,src:000000,op:havoc,+cov", "\xff\1"sv);
  write(home_ / "queue/.state/auto_extras/auto_000000", "any");
  const Result result = run(fmt::format("corpus prune -e {} {}", kEntry, (home_ / "queue").string()));
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 1) << result.output;
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

const std::string kLog = "INFO: Running with entropic power schedule (0xFF, 100).\n#2 INITED cov: 2 ft: 2\n";

/// What libFuzzer, ClusterFuzzLite and people leave beside inputs.
void leave_others(const fs::path& folder) {
  write(folder / "crash-0123.summary", "\xe2\x80\xa6 a summary with signs that are not ASCII");
  write(folder / "fuzz-0.log", "short");
  write(folder / "fuzzer_stats", kLog);
  write(folder / "huge", std::string(kMaxInputFile + 1, '\0'));
  fs::create_symlink("nowhere", folder / "dangling");
  fs::create_symlink("loop", folder / "loop");
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

TEST_F(CorpusFolder, UpgradeWritesEveryInputInTheCurrentFormat) {
  const std::string corpus = make("corpus", {kPlainEvent, kException});
  EXPECT_EQ(run(fmt::format("corpus upgrade -e {} {}", kEntry, corpus)).status, 0);
  const Entry& entry = test::bundled_entry(kEntry);
  const std::vector<InputBytes> inputs = inputs_of(corpus);
  EXPECT_THAT(inputs, SizeIs(2));
  for (const InputBytes& input : inputs) {
    EXPECT_EQ(input.size(), kHeaderSize);
    EXPECT_EQ(format_version(input), kCodecVersion);
    EXPECT_THAT(input, testing::ElementsAreArray(encode(decode(input, entry), entry).view()));
  }
}

TEST_F(CorpusFolder, IsReplacedAsAWholeAndKeepsWhatIsNoInput) {
  const std::string corpus = make("corpus", {kPlainEvent});
  std::ofstream(fs::path(corpus) / "README.md") << "text";
  fs::permissions(corpus, fs::perms::owner_all | fs::perms::others_read);
  replace_corpus(corpus, read_corpus(corpus).inputs, {kException});
  EXPECT_THAT(inputs_of(corpus), ElementsAre(kException));
  EXPECT_TRUE(fs::exists(fs::path(corpus) / "README.md"));
  EXPECT_EQ(fs::status(corpus).permissions(), fs::perms::owner_all | fs::perms::others_read);
  EXPECT_EQ(std::distance(fs::directory_iterator(home_), {}), 1) << "something is left over";
}

TEST_F(CorpusFolder, KeepsItsOwnerAndTheFilesThatStay) {
  const std::string corpus = make("corpus", {kPlainEvent, kException});
  write(fs::path(corpus) / "README.md", "text");
  fs::create_symlink("README.md", fs::path(corpus) / ".link");
  const uid_t owner = ::geteuid() == 0 ? 65534 : ::geteuid();
  const gid_t group = ::geteuid() == 0 ? 65534 : ::getegid();
  ASSERT_EQ(::chown(corpus.c_str(), owner, group), 0);
  ASSERT_EQ(::chmod(corpus.c_str(), 02750), 0);
  const auto status = [&corpus](const std::string& name) {
    struct stat status {};
    EXPECT_EQ(::lstat((fs::path(corpus) / name).c_str(), &status), 0) << name;
    return status;
  };
  const ino_t folder = status("").st_ino;
  const ino_t readme = status("README.md").st_ino;
  const ino_t input = status(sha1_name(kException)).st_ino;
  replace_corpus(corpus, read_corpus(corpus).inputs, {kException, kSameMeaning});
  EXPECT_NE(status("").st_ino, folder) << "not replaced";
  EXPECT_EQ(status("").st_uid, owner);
  EXPECT_EQ(status("").st_gid, group);
  EXPECT_EQ(status("").st_mode & 07777U, 02750U);
  EXPECT_EQ(status("README.md").st_ino, readme);
  EXPECT_EQ(status(sha1_name(kException)).st_ino, input);
  EXPECT_EQ(status(sha1_name(kSameMeaning)).st_uid, owner);
  EXPECT_TRUE(fs::is_symlink(fs::path(corpus) / ".link"));
}

TEST_F(CorpusFolder, BehindALinkIsReplacedThere) {
  const std::string corpus = make("data/corpus", {kPlainEvent, kSameMeaning});
  const fs::path link = home_ / "link";
  fs::create_directory_symlink("data/corpus", link);
  for (const std::string& name : {link.string(), link.string() + "/"}) {
    make("data/corpus", {kPlainEvent, kSameMeaning});
    EXPECT_EQ(run(fmt::format("corpus prune -e {} {}", kEntry, name)).status, 0);
    EXPECT_TRUE(fs::is_symlink(link));
    EXPECT_THAT(inputs_of(corpus), SizeIs(1));
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(home_ / "data"), {}), 1) << "something is left over";
}

TEST_F(CorpusFolder, BehindALinkThatLeadsNowhereIsRefused) {
  const std::string good = make("good", {kPlainEvent});
  for (const char* target : {"loop", "nothing"}) {
    const std::string link = (home_ / "loop").string();
    fs::remove(link);
    fs::create_directory_symlink(target, link);
    for (const std::string& command :
         {fmt::format("corpus prune -e {} {}", kEntry, link), fmt::format("corpus upgrade -e {} {}", kEntry, link),
          fmt::format("corpus seeds -e {} {}", kEntry, link), fmt::format("corpus stats -e {} {}", kEntry, link),
          fmt::format("corpus merge -e {} {} {}", kEntry, link, good),
          fmt::format("corpus merge -e {} {} {}", kEntry, good, link), fmt::format("coverage -e {} {}", kEntry, link),
          fmt::format("triage -e {} {}", kEntry, link), fmt::format("run -e {} {}", kEntry, link)}) {
      const Result result = run(command);
      EXPECT_EQ(result.status, 2) << command;
      EXPECT_THAT(result.output, testing::StartsWith("framefold: " + link + ": expected")) << command;
      EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 1) << result.output;
    }
    EXPECT_TRUE(fs::is_symlink(link));
  }
}

/// The number of a process that has ended.
pid_t gone() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

TEST_F(CorpusFolder, IsRidOfWhatWasLeftByKilledOnes) {
  const std::string corpus = make("corpus", {kPlainEvent});
  const auto leave = [&](const std::string& name) { return make(name, {kSameMeaning}); };
  const std::vector<std::string> leftovers = {leave(fmt::format("corpus.{}.new", gone()))};
  const std::vector<std::string> others = {leave(fmt::format("corpus.{}.new", ::getpid())),
                                           leave(fmt::format("corpus.{}.old", gone())),
                                           leave(fmt::format("corpus.0{}.new", gone())),
                                           leave(fmt::format("other.{}.new", gone())),
                                           leave("corpus.new"),
                                           leave("corpus.x1.new")};
  EXPECT_EQ(run(fmt::format("corpus prune -e {} {}", kEntry, corpus)).status, 0);
  EXPECT_FALSE(fs::exists(leftovers[0]));
  for (const std::string& other : others) {
    EXPECT_TRUE(fs::exists(other)) << other;
  }
  // That of a process that had our own number.
  replace_corpus(corpus, read_corpus(corpus).inputs, {kException});
  EXPECT_FALSE(fs::exists(others[0]));
  EXPECT_THAT(inputs_of(corpus), ElementsAre(kException));
}

/// Starts the command, waits until it says that it waits, does `meanwhile` and lets it go.
template <typename Meanwhile>
std::string run_behind(std::unique_ptr<FolderLock> lock, const std::string& arguments, Meanwhile meanwhile) {
  std::FILE* pipe = ::popen(fmt::format("'{}' {} 2>&1", FRAMEFOLD_BINARY, arguments).c_str(), "r");
  std::array<char, 4096> line;
  std::string output;
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) {
    output += line.data();
    if (lock && output.find("waiting for another framefold that writes there\n") != std::string::npos) {
      meanwhile();
      lock.reset();
    }
  }
  EXPECT_EQ(::pclose(pipe), 0) << output;
  EXPECT_EQ(lock, nullptr) << "it did not wait";
  return output;
}

TEST_F(CorpusFolder, IsMergedIntoByOneAtATime) {
  const std::string fresh = make("fresh", {kException});
  for (const bool exists : {true, false}) {
    const std::string corpus = (home_ / (exists ? "corpus" : "none")).string();
    if (exists) make("corpus", {});
    const std::string output =
        run_behind(std::make_unique<FolderLock>(corpus), fmt::format("corpus merge -e {} {} {}", kEntry, corpus, fresh),
                   [&corpus, exists] {
                     replace_corpus(corpus, exists ? read_corpus(corpus).inputs : std::map<std::string, InputBytes>{},
                                    {kPlainEvent});
                   });
    EXPECT_THAT(output, HasSubstr("2 inputs, were 1; 1 added of 1 new"));
    EXPECT_THAT(inputs_of(corpus), SizeIs(2));
  }
  const FolderLock other(fresh);
  EXPECT_THAT(run(fmt::format("corpus prune -e {} {}", kEntry, (home_ / "corpus").string())).output,
              Not(HasSubstr("waiting")));
}

TEST_F(CorpusFolder, IsWholeWhoeverInterrupts) {
  // Killed at any time, the corpus is the old one or the new one.
  const std::vector<InputBytes> small = {kPlainEvent};
  std::vector<InputBytes> large;
  for (std::uint8_t i = 0; i < 200; ++i) {
    large.push_back({1, 2, i});
  }
  const std::string corpus = make("corpus", small);
  for (int round = 0; round < 40; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 0;; ++i) {
        replace_corpus(corpus, read_corpus(corpus).inputs, i % 2 == 0 ? large : small);
      }
    }
    ::usleep(static_cast<useconds_t>(500 + 700 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::size_t size = inputs_of(corpus).size();
    EXPECT_TRUE(size == small.size() || size == large.size()) << size;
  }
}

TEST_F(CorpusFolder, LeavesNothingBesideItWhenInterrupted) {
  const std::string corpus = make("corpus", {kPlainEvent});
  for (int round = 0; round < 40; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (std::uint8_t i = 0;; ++i) {
        replace_corpus(corpus, read_corpus(corpus).inputs, {kPlainEvent, kException, {1, 2, i}});
      }
    }
    ::usleep(static_cast<useconds_t>(500 + 300 * round));
    ::kill(child, round % 2 == 0 ? SIGINT : SIGTERM);
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(std::distance(fs::directory_iterator(home_), {}), 1) << "something is left over";
  }
}

TEST_F(CorpusFolder, KeepsWhatCameSinceItWasRead) {
  const std::string corpus = make("corpus", {kPlainEvent});
  const std::map<std::string, InputBytes> old = read_corpus(corpus).inputs;
  make("corpus", {kSameMeaning});
  replace_corpus(corpus, old, {kException});
  EXPECT_THAT(inputs_of(corpus), testing::UnorderedElementsAre(kSameMeaning, kException));
}

TEST_F(CorpusFolder, SeedsReplaceOtherInputsOnlyWhenTold) {
  const std::string folder = make("seeds", {kPlainEvent});
  const std::string command = fmt::format("corpus seeds -e {} {}", kEntry, folder);
  const Result refused = run(command);
  EXPECT_EQ(refused.status, 2);
  EXPECT_EQ(refused.output,
            fmt::format("framefold: {}: expected no folder with other inputs; -f overwrites them\n", folder));
  EXPECT_THAT(inputs_of(folder), ElementsAre(kPlainEvent));
  EXPECT_EQ(run(command + " -f").status, 0);
  EXPECT_THAT(inputs_of(folder), SizeIs(testing::Gt(10U)));
  EXPECT_EQ(run(command).status, 0) << "the same seeds are there already";
}

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
  FeatureProbe probe(test::bundled_entry(kEntry));
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
  for (const std::string& name : test::bundled_names()) {
    const std::string text = make_dictionary(test::bundled_entry(name));
    EXPECT_THAT(text, AllOf(HasSubstr("context_0=\"\\x01"), HasSubstr("event_0_after_0=\"\\x00"), HasSubstr("tick_")));
    EXPECT_EQ(text, make_dictionary(test::bundled_entry(name)));
  }
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
}  // namespace framefold
