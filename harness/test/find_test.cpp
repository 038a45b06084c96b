// Known violations: a search from nothing finds each, as the fuzz binaries do (ci/find.sh --known).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "test/entries.hpp"
#include "test/guided_search.hpp"
#include "test/reproducers.hpp"

namespace framefold::test {
namespace {

constexpr std::uint64_t kFindSeed = 1;
constexpr std::uint64_t kFindLimit = 100000;  // executions

/// One file of reproducers/.
struct Bug {
  std::string entry;
  std::string reproducer;

  friend std::ostream& operator<<(std::ostream& out, const Bug& bug) {
    return out << bug.entry << "/" << bug.reproducer;
  }
};

std::vector<Bug> known_bugs() {
  std::vector<Bug> bugs;
  for (const std::string& name : bundled_names()) {
    for (const auto& [file, parsed] : read_reproducers(name, bundled_entry(name))) {
      bugs.push_back({name, file});
    }
  }
  return bugs;
}

class Find : public testing::TestWithParam<Bug> {};

INSTANTIATE_TEST_SUITE_P(Known, Find, testing::ValuesIn(known_bugs()), [](const testing::TestParamInfo<Bug>& info) {
  std::string name = info.param.entry + "_" + info.param.reproducer.substr(0, info.param.reproducer.find('.'));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(Find, EachKnownBugFromNothing) {
  const Bug& bug = GetParam();
  const Entry& entry = bundled_entry(bug.entry);
  const std::string signature = read_reproducers(bug.entry, entry).at(bug.reproducer).notes.signature;
  const std::string bucket = signature.substr(0, signature.rfind('+'));
  GuidedSearch search(entry, kFindSeed);
  const std::uint64_t executions = search.run(kFindLimit, [&](const Verdict& verdict) {
    return std::any_of(verdict.view().begin(), verdict.view().end(),
                       [&](const Finding& finding) { return bucket_of(entry, finding) == bucket; });
  });
  EXPECT_GT(executions, 0U) << "not found in " << kFindLimit << " executions";
  fmt::print("{}: {} executions\n", bucket, executions);
}

TEST(GuidedSearch, GoesTheSameWayEachTime) {
  const Entry& entry = bundled_entry("minios-x86_64-single");
  const auto run = [&] {
    std::vector<std::size_t> findings;
    GuidedSearch search(entry, kFindSeed);
    search.run(500, [&](const Verdict& verdict) {
      findings.push_back(verdict.count);
      return false;
    });
    return findings;
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace framefold::test
