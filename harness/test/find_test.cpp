// Known violations: a search from nothing finds each, as the fuzz binaries do (ci/find.sh --known).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "test/cures.hpp"
#include "test/entries.hpp"
#include "test/guided_search.hpp"

namespace framefold::test {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::uint64_t kLimit = 1000000;  // executions

struct Row {
  std::string entry;
  std::size_t index = 0;  // of Entry::known

  friend std::ostream& operator<<(std::ostream& out, const Row& row) {
    return out << label_of(bundled_entry(row.entry).known[row.index]);
  }
};

std::vector<Row> known_rows() {
  std::vector<Row> rows;
  for (const std::string& name : bundled_names()) {
    for (std::size_t i = 0; i < bundled_entry(name).known.size(); ++i) {
      rows.push_back({name, i});
    }
  }
  return rows;
}

class Find : public testing::TestWithParam<Row> {};

INSTANTIATE_TEST_SUITE_P(Known, Find, testing::ValuesIn(known_rows()), [](const testing::TestParamInfo<Row>& info) {
  std::string name = fmt::format("{}_{}", info.param.entry, info.param.index);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(Find, EachKnownRowFromNothing) {
  const Row& row = GetParam();
  GuidedSearch search(bundled_entry(row.entry), kSeed);
  const std::uint64_t executions = search.run(kLimit, [&](const Verdict& verdict) {
    return std::any_of(verdict.view().begin(), verdict.view().end(),
                       [&](const Finding& finding) { return finding.known == static_cast<std::int16_t>(row.index); });
  });
  EXPECT_GT(executions, 0U) << "not found in " << kLimit << " executions";
  fmt::print("{}: {} executions\n", label_of(bundled_entry(row.entry).known[row.index]), executions);
}

TEST(GuidedSearch, GoesTheSameWayEachTime) {
  const Entry& entry = bundled_entry("minios-x86_64-single");
  const auto run = [&] {
    std::vector<std::size_t> findings;
    GuidedSearch search(entry, kSeed);
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
