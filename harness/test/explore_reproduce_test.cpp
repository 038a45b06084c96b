// What exploration finds, the fuzz target finds in the same input: every path to a violation, of every entry that has a
// known one.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "explore/exploration.hpp"
#include "scenario/codec.hpp"
#include "test/own_folder.hpp"
#include "test/shell.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

using testing::HasSubstr;

std::vector<std::string> entries_with_known_rows() {
  std::vector<std::string> names;
  for (const BundledEntry& bundled : bundled_entries()) {
    const std::string name(bundled.name);
    if (!load_variant(name)->known.empty()) {
      names.push_back(name);
    }
  }
  return names;
}

/// One for which nothing is known: each violation is one to be found.
std::unique_ptr<const Entry> knowing_nothing(const std::string& name) {
  const BundledEntry bundled = find_variant(name);
  Description description = parse_description(bundled.description, name + "/entry.toml");
  description.known.clear();
  return load_entry(description, bundled.elf, name);
}

/// By the fuzz target, which looks for nothing but the signature.
Printed replay(const std::string& entry, const std::string& signature, const std::string& file) {
  return run_in_shell(fmt::format("FRAMEFOLD_VARIANT='{}' FRAMEFOLD_ONLY='{}' '{}' -runs=1 '{}'", entry, signature,
                                  FRAMEFOLD_VARIANT_REPLAY, file));
}

class Reproduce : public testing::TestWithParam<std::string> {};

TEST_P(Reproduce, InTheFuzzTargetWithTheSameSignature) {
  const auto entry = knowing_nothing(GetParam());
  const std::array<const Entry*, 1> entries{entry.get()};
  ExplorationOptions options;
  options.second_values = false;
  const EntryReport report =
      explore_entries(entries, options, std::atomic<bool>{false}, [](std::size_t, std::size_t) {}).front();
  EXPECT_THAT(report.result.disagreements, testing::IsEmpty());
  EXPECT_FALSE(report.result.violations.empty());
  const std::string file = own_file("explore_reproduce_test");
  for (const auto& [signature, violation] : report.result.violations) {
    const Encoded encoded = encode(violation.scenario, *entry);
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(encoded.bytes.data()), static_cast<std::streamsize>(encoded.size));
    const Printed replayed = replay(GetParam(), signature, file);
    EXPECT_NE(replayed.status, 0) << signature;
    EXPECT_THAT(replayed.text, HasSubstr(signature));
  }
  std::filesystem::remove(file);
  fmt::print("{}: {} signatures\n", GetParam(), report.result.violations.size());
}

INSTANTIATE_TEST_SUITE_P(Entries, Reproduce, testing::ValuesIn(entries_with_known_rows()),
                         [](const testing::TestParamInfo<std::string>& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace framefold::test
