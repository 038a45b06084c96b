// framefold check, as JSON.
#include "test/cli_fixture.hpp"

namespace framefold::test {
namespace {

TEST_F(Cli, CheckAsJsonSaysWhatTheTextSays) {
  const std::vector<std::string> names = {"minios-x86_64-fixed", "linux-x86_64-hypercall"};
  const Result text = run({"check", names[0], names[1]});
  const Result result = run({"check", "--json", names[0], names[1]});
  EXPECT_EQ(result.status, 0) << result.err;
  const nlohmann::json document = nlohmann::json::parse(result.out);
  EXPECT_EQ(document["format"], 1);
  ASSERT_EQ(document["entries"].size(), 2U);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const nlohmann::json& entry = document["entries"][i];
    EXPECT_EQ(entry["name"], names[i]);
    EXPECT_EQ(entry["holds"], true);
    EXPECT_GE(entry["deliveries"].size(), 2U);
    for (const nlohmann::json& delivery : entry["deliveries"]) {
      EXPECT_THAT(text.out, ContainsRegex(fmt::format(
                                "\n  {} +resumes after {} instructions; {} gets a frame, {} slots ",
                                delivery["context"].get<std::string>(), delivery["boundaries"].get<unsigned>(),
                                delivery["handler"].get<std::string>(), delivery["slots"].get<unsigned>())));
    }
    EXPECT_THAT(text.out, HasSubstr(fmt::format("\n  handlers are called with the stack at a multiple of {}\n",
                                                entry["stack_alignment"].get<unsigned>())));
    for (const nlohmann::json& line : entry["scope"]) {
      EXPECT_THAT(text.out, HasSubstr("\n  " + line.get<std::string>() + "\n"));
    }
    for (const nlohmann::json& claim : entry["not_shown"]) {
      EXPECT_THAT(text.out,
                  HasSubstr(fmt::format("\n  {} = {} ({})\n", claim["key"].get<std::string>(),
                                        claim["value"].get<std::string>(), claim["place"].get<std::string>())));
    }
    EXPECT_TRUE(entry["register_lost"].is_null());
  }
}

/// What `explore` and `entries` say of it as well is called the same there; without a window, there is none.
TEST_F(Cli, CheckAsJsonIsNamedAsOtherCommandsNameIt) {
  const nlohmann::json check = nlohmann::json::parse(run({"check", "--json", "minios-x86_64-fixed"}).out)["entries"][0];
  const nlohmann::json entries = nlohmann::json::parse(run({"entries", "--json", "minios-x86_64-fixed"}).out)[0];
  EXPECT_EQ(check["region"], entries["region"]);
  EXPECT_EQ(check["modes"], entries["modes"]);
  EXPECT_EQ(check["vectors"].size(), entries["vectors"].size());
  EXPECT_EQ(check["vectors"][0], entries["vectors"][0]["name"]);
  EXPECT_EQ(check["unmasked"]["first"], entries["region"]["start"]);
  EXPECT_TRUE(check["unmasked"]["on_page"].is_null());
  EXPECT_GT(check["unmasked"]["instructions"], 1U);
  const nlohmann::json page =
      nlohmann::json::parse(run({"check", "--json", "linux-x86_64-hypercall"}).out)["entries"][0];
  EXPECT_TRUE(page["region"].is_null());
  EXPECT_TRUE(page["unmasked"].is_null());
}

TEST_F(Cli, CheckAsJsonOfWhatDoesNotHoldIsTheMessageAlone) {
  const std::string path = unknowing_copy("minios-x86_64-fixed");
  const std::string right = read(path);
  const std::size_t at = right.find("\nr15 = ");
  ASSERT_NE(at, std::string::npos);
  write(path, right.substr(0, at) + "\nother = " + right.substr(at + 7));
  expect_complaint(run({"check", "--json", "minios-x86_64-table", path}), ": frame.slots.other: expected r15 = ");
}

}  // namespace
}  // namespace framefold::test
