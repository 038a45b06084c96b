// The reproducers: one file a known bug, which shows it and nothing that is not known.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "scenario/codec.hpp"
#include "test/around.hpp"
#include "test/entries.hpp"
#include "test/reproducers.hpp"

namespace framefold {
namespace {

std::map<std::string, ParsedScenario> parse(const std::string& name) {
  return test::read_reproducers(name, test::bundled_entry(name));
}

class Reproducers : public testing::TestWithParam<std::string> {
 protected:
  const Entry& entry_ = test::bundled_entry(GetParam());
  std::map<std::string, ParsedScenario> files_ = parse(GetParam());
};

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Entries, Reproducers, testing::ValuesIn(test::bundled_names()), test_name);

TEST_P(Reproducers, AreThoseThatTheDescriptionNames) {
  std::set<std::string> named;
  for (const KnownRow& row : entry_.known) {
    named.insert(row.description.reproducer);
  }
  std::set<std::string> files;
  for (const auto& [file, parsed] : files_) {
    files.insert(file);
  }
  EXPECT_EQ(files, named);
}

TEST_P(Reproducers, SayWhatTheyShow) {
  for (const auto& [file, parsed] : files_) {
    const ScenarioNotes& notes = parsed.notes;
    EXPECT_EQ(notes.entry, GetParam()) << file;
    EXPECT_GT(notes.explanation.size(), 100U) << file;
    const std::string kind =
        notes.signature.substr(GetParam().size() + 1, notes.signature.rfind(':') - GetParam().size() - 1);
    EXPECT_TRUE(file.starts_with(kind + '-')) << file << " is " << notes.signature;
  }
}

TEST_P(Reproducers, ShowItByTheRowThatNamesThem) {
  Oracle oracle(entry_);
  for (const auto& [file, parsed] : files_) {
    const Verdict& verdict = oracle.judge(parsed.scenario);
    EXPECT_EQ(verdict.violation(), nullptr) << file;
    const bool shown = std::any_of(verdict.view().begin(), verdict.view().end(), [&](const Finding& finding) {
      return finding.known >= 0 && signature_of(entry_, finding) == parsed.notes.signature &&
             entry_.known[static_cast<std::size_t>(finding.known)].description.reproducer == file;
    });
    EXPECT_TRUE(shown) << file << " no longer shows " << parsed.notes.signature;
  }
}

/// No arrival can be left out, and nothing else is in the way.
TEST_P(Reproducers, AreMinimal) {
  Oracle oracle(entry_);
  for (const auto& [file, parsed] : files_) {
    const Scenario& scenario = parsed.scenario;
    EXPECT_EQ(scenario.context.gpr, decode({}, entry_).context.gpr) << file;
    EXPECT_EQ(scenario.context.rflags, 0U) << file;
    for (std::size_t left_out = 0; left_out < scenario.arrival_count; ++left_out) {
      const Verdict& verdict = oracle.judge(test::without_arrival(scenario, left_out, entry_));
      EXPECT_TRUE(std::none_of(verdict.view().begin(), verdict.view().end(),
                               [&](const Finding& f) { return signature_of(entry_, f) == parsed.notes.signature; }))
          << file << ": arrival " << left_out << " is not needed";
    }
  }
}

}  // namespace
}  // namespace framefold
