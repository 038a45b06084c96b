// framefold coverage.
#include "test/cli_fixture.hpp"

namespace framefold::test {
namespace {

/// One event, folded: what else can be is said beside it.
TEST_F(Cli, CoverageTellsWhatIsFoldedWhereOfWhatCanBe) {
  write("event.toml",
        "entry = \"minios-x86_64-fixed\"\n[context]\nvector = \"event\"\n"
        "[[arrival]]\nkind = \"event\"\ndistance = 79\n");
  fs::create_directory("corpus");
  ASSERT_EQ(run({"encode", "event.toml", "-o", "corpus/event"}).status, 0);
  const std::vector<std::string> command = {"coverage", "-e", "minios-x86_64-fixed", "corpus"};
  EXPECT_THAT(run(command).out, ContainsRegex("\n  scrit\\+0x9 +popq %rax +event 1/1 event folded 1\n"));
  std::vector<std::string> possible = command;
  possible.insert(possible.end(), {"--json", "--possible"});
  std::map<std::string, std::string> folds;  // by place: of events, where their frame can be folded
  const nlohmann::json document = nlohmann::json::parse(run(possible).out);
  for (const nlohmann::json& boundary : document["boundaries"]) {
    EXPECT_FALSE(boundary["foldable"]["nmi"]);
    EXPECT_FALSE(boundary["foldable"]["exception"]);
    if (boundary["foldable"]["event"]) folds[boundary["place"]] = boundary["folded"]["event"].dump();
  }
  EXPECT_GT(folds.size(), 5U);
  EXPECT_EQ(folds.at("scrit+0x9"), "1");
  folds.erase("scrit+0x9");
  for (const auto& [place, count] : folds) EXPECT_EQ(count, "0") << place;
  std::vector<std::string> summary = command;
  summary.emplace_back("--summary");
  EXPECT_THAT(run(summary).out, HasSubstr(fmt::format("; by what is folded there: 1/{}\n", folds.size() + 1)));
}

}  // namespace
}  // namespace framefold::test
