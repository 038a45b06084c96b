// framefold table.
#include "test/cli_fixture.hpp"

namespace framefold::test {
namespace {

nlohmann::json boundary_at(const nlohmann::json& document, const std::string& place) {
  const nlohmann::json& all = document["boundaries"];
  const auto found = std::find_if(all.begin(), all.end(), [&](const nlohmann::json& b) { return b["place"] == place; });
  return found == all.end() ? nlohmann::json() : *found;
}

TEST_F(Cli, TableAsJson) {
  const Result result = run({"table", "--json", "minios-x86_64-table"});
  EXPECT_EQ(result.status, 0);
  const nlohmann::json document = nlohmann::json::parse(result.out);
  EXPECT_EQ(document["entry"], "minios-x86_64-table");
  EXPECT_EQ(document["frame_bytes"], 0x80);
  EXPECT_FALSE(document.contains("check"));
  const nlohmann::json jump = boundary_at(document, "scrit+0x84");
  EXPECT_EQ(jump["offset"], 0x84);
  EXPECT_EQ(jump["length"], 5);
  EXPECT_EQ(jump["popped"], nlohmann::json::array({0x78}));
  EXPECT_EQ(jump["pushed"], nlohmann::json::array({"orig_rax"}));
  EXPECT_THAT(jump["source"]["file"].get<std::string>(), HasSubstr("minios-x86_64-table.S"));
  EXPECT_GT(jump["source"]["line"], 0);
}

TEST_F(Cli, TableCheckAsJson) {
  const Result equal = run({"table", "--json", "--check", "minios-x86_64-table"});
  EXPECT_EQ(equal.status, 0);
  EXPECT_TRUE(nlohmann::json::parse(equal.out)["check"]["equal"]);
  const Result differs = run({"table", "--json", "--check", "minios-x86_64-single"});
  EXPECT_EQ(differs.status, 1);
  const nlohmann::json check = nlohmann::json::parse(differs.out)["check"];
  EXPECT_FALSE(check["equal"]);
  ASSERT_EQ(check["differences"].size(), 1U);
  EXPECT_EQ(check["differences"][0]["boundary"], "restore_end+0x2c");
  EXPECT_EQ(check["differences"][0]["expected"], "0x78");
}

/// After an edit of the region: each byte that is wrong now, with the instruction that it belongs to and its line.
TEST_F(Cli, TableCheckNamesTheBytesOfAnEditedRegion) {
  const Result result =
      run({"table", "--check", FRAMEFOLD_ENTRIES "/minios-x86_64-table.instruction_removed/entry.toml"});
  EXPECT_EQ(result.status, 1);
  const std::string line = R"([^)]*minios-x86_64-table\.S:[1-9][0-9]*\))";
  EXPECT_THAT(result.out,
              ContainsRegex(R"(scrit\+0x26: table says 0x00, the code 0x30: movq \(%rsp\), %r11 \()" + line));
  EXPECT_THAT(result.out,
              ContainsRegex(R"(scrit\+0x29: table says 0x00, the code 0x30: byte 3 of movq \(%rsp\), %r11 \()" + line));
  EXPECT_THAT(result.out,
              ContainsRegex(R"(scrit\+0x88: table says 0x78, the code 0x00: byte 3 of movb [^)]*\) \()" + line));
  EXPECT_THAT(result.out, HasSubstr("12 of what it says differs"));
}

TEST_F(Cli, TableNeedsARegion) {
  expect_complaint(run({"table", "linux-x86_64-hypercall"}),
                   "region: missing: expected the labels around where events are unmasked");
}

TEST_F(Cli, TableIsSourceTextOrJson) {
  const Result result = run({"table", "--json", "--emit", "gas", "minios-x86_64-table"});
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.out, IsEmpty());
}

}  // namespace
}  // namespace framefold::test
