// The page of an exploration: its numbers are those of the report, and it says where something shows.
#include "cli/explore_page.hpp"

#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/explore_files.hpp"
#include "cli/explore_report.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

EntryReport explore(const Entry& entry, const ExplorationOptions& options, bool interrupted = false) {
  const std::array<const Entry*, 1> entries{&entry};
  const std::atomic<bool> stop{interrupted};
  return explore_entries(entries, options, stop, [](std::size_t, std::size_t) {}).front();
}

EntryReport explore(const Entry& entry, bool stop_at_violation = false) {
  ExplorationOptions options;
  options.second_values = false;
  options.stop_at_violation = stop_at_violation;
  return explore(entry, options);
}

std::string page_of(const EntryReport& report) { return explore_page({&report, 1}, {}); }

TEST(ExplorePage, TalliesAddUp) {
  const auto entry = load_variant("minios-x86_64-fixed");
  const EntryReport report = explore(*entry);
  BoundaryTally all;
  BoundaryTally of_groups;
  for (const BoundaryTally& tally : report.result.boundaries) {
    all.states += tally.states;
    all.folds += tally.folds;
  }
  for (const GroupReport& group : report.groups) {
    for (const BoundaryTally& tally : group.boundaries) {
      of_groups.states += tally.states;
      of_groups.folds += tally.folds;
    }
  }
  EXPECT_GT(all.folds, 0U);
  EXPECT_EQ(all.states, report.result.counts.states);
  EXPECT_EQ(all.folds, report.result.counts.folds);
  EXPECT_EQ(of_groups.states, all.states);
  EXPECT_EQ(of_groups.folds, all.folds);
}

TEST(Junit, SaysWhyItIsPartial) {
  const auto entry = load_variant("minios-x86_64-fixed");
  const auto says = [&](const EntryReport& report) { return to_junit({&report, 1}); };
  const std::string complete = says(explore(*entry));
  EXPECT_EQ(complete.find("<error"), complete.npos) << complete;
  const std::string interrupted = says(explore(*entry, ExplorationOptions{}, true));
  EXPECT_NE(interrupted.find("<error message=\"interrupted: what is reported is partial, and proves nothing\"/>"),
            interrupted.npos)
      << interrupted;
  ExplorationOptions small;
  small.memory = 1000;
  const std::string out_of_memory = says(explore(*entry, small));
  EXPECT_NE(out_of_memory.find("\"not closed (memory limit): what is reported is partial"), out_of_memory.npos)
      << out_of_memory;
}

TEST(ExploreReport, SaysWhatAProofOfCodeThatLooksAtPortsDoesNotCover) {
  constexpr std::string_view kNote = "the code looks at which ports are pending";
  for (const auto& [name, looks] :
       {std::pair("linux-x86_64-hypercall.spurious_cleared", true), std::pair("linux-x86_64-hypercall", false)}) {
    const auto entry = load_variant(name);
    const EntryReport report = explore(*entry);
    EXPECT_EQ(report.verdict, ExploreVerdict::proved) << name;
    EXPECT_EQ(to_text({&report, 1}, {}, false).find(kNote) != std::string::npos, looks) << name;
    EXPECT_EQ(page_of(report).find(kNote) != std::string::npos, looks) << name;
    EXPECT_EQ(to_json({&report, 1}, {})["entries"][0]["reads_ports"], looks) << name;
  }
}

TEST(ExplorePage, FoldsComeFromTheRegionAndTheStub) {
  const auto entry = load_variant("minios-x86_64-table");
  const EntryReport report = explore(*entry);
  for (std::size_t i = 0; i < entry->instructions.size(); ++i) {
    EXPECT_TRUE(report.result.boundaries[i].folds == 0 || entry->region.contains(entry->instructions[i].address))
        << format_location(*entry, entry->instructions[i].address);
  }
}

/// A page is too long to be printed where it lacks something.
void expect_has(const std::string& page, const std::string& text, bool expected = true) {
  EXPECT_EQ(page.find(text) != std::string::npos, expected) << text;
}

TEST(ExplorePage, ShowsWhatIsKnownAndWhatIsFolded) {
  const auto entry = load_variant("minios-x86_64-table");
  const std::string page = page_of(explore(*entry));
  expect_has(page, "<h2>minios-x86_64-table: proved except known</h2>");
  expect_has(page, "<td>scrit+0x84</td>");
  expect_has(page, "<td>hypervisor_callback+0x4</td>", false);  // masked, and it does not look
  expect_has(page, "<p>A column stands for contexts that resume alike;");
  expect_has(page, ": a known violation shows; ");
  expect_has(page, ": states, and frames folded from there; ");
  expect_has(page, ": a violation shows; ", false);
  expect_has(page, "://", false);
  expect_has(page, "<script", false);
}

TEST(ExplorePage, ShowsWhatIsNotKnownWithItsScenario) {
  const auto entry = load_variant("minios-x86_64-fixed.no_rpl_clear");
  const std::string page = page_of(explore(*entry, true));
  expect_has(page, ": violated</h2>");
  expect_has(page, ": a violation shows; ");
  expect_has(page, "[context]");
}

TEST(ExplorePage, IsNotTooLarge) {
  const auto entry = load_variant("xenlinux-x86_32-fixed");
  EXPECT_LT(page_of(explore(*entry)).size(), 2'000'000U);
}

}  // namespace
}  // namespace framefold::test
