// The reproducers: one file a known bug, which shows it and nothing that is not known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "report/moved.hpp"
#include "scenario/codec.hpp"
#include "test/around.hpp"
#include "test/entries.hpp"
#include "test/reproducers.hpp"
#include "test/variants.hpp"

namespace framefold {
namespace {

std::map<std::string, ParsedScenario> parse(const std::string& name) {
  return test::read_reproducers(name, test::bundled_entry(name));
}

/// What became of a bug that does not show with its signature; empty where it does.
std::string gone_or_moved(Oracle& oracle, const Scenario& scenario, const std::string& signature) {
  for (const Finding& finding : oracle.judge(scenario).view()) {
    if (signature_of(oracle.entry(), finding) == signature) {
      return "";
    }
  }
  const std::optional<Moved> moved = find_moved(oracle, scenario, signature);
  return moved ? "moved: " + signature + " is now " + to_text(*moved)
               : "gone: " + signature + " does not show any more";
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
    std::size_t at = 0;  // a paragraph each
    for (const char* part : {"Boundary: ", "\n\nMechanism: ", "\n\nEffect: ", "\n\nCure: "}) {
      const std::size_t found = notes.explanation.find(part, at);
      ASSERT_NE(found, std::string::npos) << file << ": " << part;
      EXPECT_TRUE(at != 0 || found == 0) << file;
      at = found + std::string(part).size();
    }
    const std::string kind =
        notes.signature.substr(GetParam().size() + 1, notes.signature.rfind(':') - GetParam().size() - 1);
    EXPECT_TRUE(file.starts_with(kind + '-')) << file << " is " << notes.signature;
  }
}

TEST_P(Reproducers, ShowItByTheRowThatNamesThem) {
  Oracle oracle(entry_);
  for (const auto& [file, parsed] : files_) {
    const std::string gone = gone_or_moved(oracle, parsed.scenario, parsed.notes.signature);
    const Verdict& verdict = oracle.judge(parsed.scenario);
    EXPECT_EQ(verdict.violation(), nullptr) << file;
    EXPECT_EQ(gone, "") << file;
    const bool by_its_row =
        std::any_of(verdict.view().begin(), verdict.view().end(),
                    [&, &name = file, &signature = parsed.notes.signature](const Finding& finding) {
                      return finding.known >= 0 && signature_of(entry_, finding) == signature &&
                             entry_.known[static_cast<std::size_t>(finding.known)].description.reproducer == name;
                    });
    EXPECT_TRUE(by_its_row || !gone.empty()) << file << " shows it, but by a row that names another file";
  }
}

TEST(ReproducersThatFail, SayWhetherTheBugIsGoneOrMoved) {
  // A signature that the scenario never had: of its bucket, and of none that it shows.
  const Entry& entry = test::bundled_entry("minios-x86_64-table");
  Oracle oracle(entry);
  Scenario scenario = decode({}, entry);
  scenario.context.vector = static_cast<std::uint8_t>(entry.vectors.size() - 1);
  scenario.arrival_count = 1;
  scenario.arrivals[0].distance = 61;
  canonicalise(scenario, entry);
  EXPECT_EQ(gone_or_moved(oracle, scenario, "minios-x86_64-table:nmi-masked:scrit+0x84"), "");
  EXPECT_EQ(gone_or_moved(oracle, scenario, "minios-x86_64-table:nmi-masked:scrit+0x7"),
            "moved: minios-x86_64-table:nmi-masked:scrit+0x7 is now minios-x86_64-table:nmi-masked:scrit+0x84, with "
            "arrivals at distance 61");
  EXPECT_EQ(gone_or_moved(oracle, scenario, "minios-x86_64-table:runaway:scrit"),
            "gone: minios-x86_64-table:runaway:scrit does not show any more");
}

/// What a patched entry makes of a reproducer of the original.
std::string after_patch(const std::string& entry, const std::string& patch, const std::string& file) {
  const std::unique_ptr<const Entry> patched = test::load_variant(entry + "." + patch);
  const ParsedScenario parsed = parse(entry).at(file);
  Oracle oracle(*patched);
  return gone_or_moved(oracle, parsed.scenario, parsed.notes.signature);
}

TEST(ReproducersOfAPatchedEntry, AreGoneWhereItIsCured) {
  const std::string gone = "gone: minios-x86_64-table:nmi-masked:scrit+0x82 does not show any more";
  EXPECT_EQ(after_patch("minios-x86_64-table", "marker_kept", "nmi-masked-scrit.toml"), gone);
  EXPECT_EQ(after_patch("minios-x86_64-nesting", "folded", "unbounded-nesting-scrit.toml"),
            "gone: minios-x86_64-nesting:unbounded-nesting:scrit does not show any more");
}

/// Cures of another bug put instructions in the way: each arrival has to come later by some.
TEST(ReproducersOfAPatchedEntry, AreMovedWhereTheCodeBeforeItChanged) {
  EXPECT_THAT(after_patch("minios-x86_64-table", "aligned_exception_stack", "nmi-masked-scrit.toml"),
              testing::StartsWith("moved: minios-x86_64-table:nmi-masked:scrit+0x82 is now "
                                  "minios-x86_64-table:nmi-masked:scrit+0x82, with arrivals at distance 6"));
  EXPECT_THAT(after_patch("minios-x86_64-nesting", "aligned_event_stack", "unbounded-nesting-scrit.toml"),
              testing::StartsWith("moved: minios-x86_64-nesting:unbounded-nesting:scrit is now "
                                  "minios-x86_64-nesting:unbounded-nesting:scrit, with arrivals at distance 4"));
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
      EXPECT_TRUE(std::none_of(
          verdict.view().begin(), verdict.view().end(),
          [&, &signature = parsed.notes.signature](const Finding& f) { return signature_of(entry_, f) == signature; }))
          << file << ": arrival " << left_out << " is not needed";
    }
  }
}

}  // namespace
}  // namespace framefold
