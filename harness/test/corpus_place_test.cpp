// How a corpus is replaced: whole, where it lies, by one at a time.
#include "cli/corpus_place.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>

#include "test/corpus_fixture.hpp"

namespace framefold::test {
namespace {

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

/// Where folders cannot be exchanged at once, the old one lies beside its place for a moment.
TEST_F(CorpusFolder, IsPutBackWhereOneWasKilledBetweenTwoRenames) {
  const std::string corpus = (home_ / "corpus").string();
  const pid_t killed = gone();
  for (const char* action : {"prune", "upgrade", "merge"}) {
    make(fmt::format("corpus.{}.new.old", killed), {kPlainEvent, kException});
    make(fmt::format("corpus.{}.new", killed), {kPlainEvent});
    make("other.1.new.old", {kPlainEvent});
    const std::string from = std::string(action) == "merge" ? make("from", {kException}) : "";
    const Result result = run(fmt::format("corpus {} -e {} {} {}", action, kEntry, corpus, from));
    EXPECT_EQ(result.status, 0) << result.output;
    EXPECT_THAT(result.output, HasSubstr("corpus: put back as it was before a framefold that was killed\n"));
    EXPECT_THAT(inputs_of(corpus), SizeIs(2));
    EXPECT_FALSE(fs::exists(fmt::format("{}.{}.new", corpus, killed)));
    EXPECT_FALSE(fs::exists(fmt::format("{}.{}.new.old", corpus, killed)));
    EXPECT_TRUE(fs::exists(home_ / "other.1.new.old"));
    fs::remove_all(corpus);
  }
}

TEST_F(CorpusFolder, IsRidOfTheOldOneWhereOneWasKilledBehindTwoRenames) {
  const std::string corpus = make("corpus", {kException});
  const std::string old = make(fmt::format("corpus.{}.new.old", gone()), {kPlainEvent});
  const std::string living = make(fmt::format("corpus.{}.new.old", ::getpid()), {kPlainEvent});
  const Result result = run(fmt::format("corpus prune -e {} {}", kEntry, corpus));
  EXPECT_THAT(result.output, Not(HasSubstr("put back")));
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(living)) << "of a process that lives";
  EXPECT_THAT(inputs_of(corpus), SizeIs(1));
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

}  // namespace
}  // namespace framefold::test
