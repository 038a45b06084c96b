// framefold entries.
#include "test/cli_fixture.hpp"

namespace framefold::test {
namespace {

TEST_F(Cli, EntriesTable) {
  const Result result = run({"entries"});
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.out,
              AllOf(StartsWith("NAME"), ContainsRegex("minios-x86_64-table +64 +kernel +event, 3 exceptions")));
  EXPECT_THAT(result.err, IsEmpty());
}

TEST_F(Cli, EntriesAsJson) {
  const Result result = run({"entries", "--json"});
  EXPECT_EQ(result.status, 0);
  const nlohmann::json entries = nlohmann::json::parse(result.out);
  const auto table = std::find_if(entries.begin(), entries.end(),
                                  [](const nlohmann::json& entry) { return entry["name"] == "minios-x86_64-table"; });
  ASSERT_NE(table, entries.end());
  EXPECT_EQ((*table)["width"], 64);
  EXPECT_EQ((*table)["modes"], nlohmann::json::array({"kernel"}));
  EXPECT_EQ((*table)["region"]["bytes"], 149);
  EXPECT_EQ((*table)["vectors"].size(), 5);
  EXPECT_EQ((*table)["known"].size(), 5);
  EXPECT_EQ((*table)["known"][4]["kind"], "critical-frame");
}

TEST_F(Cli, EntriesCompared) {
  const std::string name = "minios-x86_64-nesting";
  fs::create_directories("replay/" + name);
  write("replay/" + name + "/empty", "");  // a plain event on the thread stack, which no handler is aligned on
  const Result text = run({"entries", "--compare", "--replay", "replay", name, "linux-x86_64-hypercall"});
  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out, ContainsRegex("minios-x86_64-nesting +nests +64 .* known: handler-abi:call_event_handler\n"));
  EXPECT_THAT(text.out, ContainsRegex("linux-x86_64-hypercall +iret hypercall +64 .* not replayed\n"));
  const Result markdown = run({"entries", "--compare", "--markdown", "--replay", "replay", name});
  EXPECT_THAT(markdown.out, HasSubstr("\n| `minios-x86_64-nesting` | nests | 64 | "));
  const Result result = run({"entries", "--compare", "--json", "--replay", "replay", name});
  const nlohmann::json json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json[0]["replayed"], 1);
  EXPECT_EQ(json[0]["known"], nlohmann::json::array({"handler-abi:call_event_handler"}));
  EXPECT_EQ(json[0]["violations"], nlohmann::json::array());
  EXPECT_EQ(json[0]["upcalls"]["thread"]["stack_bytes"].size(), 3U);
  expect_complaint(run({"entries", "--compare", "--replay", "absent"}), "--replay: absent: expected a directory");
  expect_complaint(run({"entries", "--markdown"}), "--compare");
}

TEST_F(Cli, ComparingEntriesFindsAViolation) {
  const std::string entry = unknowing_copy("minios-x86_64-nesting");
  fs::create_directories("replay/minios-x86_64-nesting");
  write("replay/minios-x86_64-nesting/empty", "");
  const Result result = run({"entries", "--compare", "--replay", "replay", entry});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, HasSubstr("VIOLATION: handler-abi:call_event_handler"));
}

TEST_F(Cli, EntriesShowOneInFullAndTheManualOfKeys) {
  EXPECT_THAT(run({"entries", "minios-x86_64-table"}).out,
              AllOf(HasSubstr("scrit to ecrit, 149 bytes"), HasSubstr("critical-frame at hypercall_page+0x2e0")));
  EXPECT_THAT(run({"entries", unknowing_copy("minios-x86_64-table")}).out, Not(HasSubstr("critical-frame")));
  const Result keys = run({"entries", "--keys"});
  EXPECT_EQ(keys.status, 0);
  EXPECT_THAT(keys.out, AllOf(HasSubstr("vectors[].symbol"), HasSubstr("required")));
}

}  // namespace
}  // namespace framefold::test
