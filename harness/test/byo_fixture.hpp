// Entries of one's own, by the command alone, each test in a folder of its own.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "test/own_folder.hpp"
#include "test/shell.hpp"

namespace framefold::test {

using testing::HasSubstr;
using Result = Printed;

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t at = 0;
  for (std::size_t end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    lines.push_back(text.substr(at, end - at));
  }
  return lines;
}

class Byo : public OwnFolder {
 protected:
  /// A copy of an entry, its folder's files with it. Returns the path of its description.
  fs::path copy(const std::string& name) {
    const fs::path to = home_ / name;
    fs::copy(fs::path(FRAMEFOLD_OWN_ENTRIES) / name, to);
    return to / "entry.toml";
  }

  /// The copy's description with one line replaced, checked.
  static Result check_with(const fs::path& entry, std::vector<std::string> lines, std::size_t line, std::string text) {
    lines[line] = std::move(text);
    std::ofstream out(entry, std::ios::binary);
    for (const std::string& each : lines) {
      out << each << '\n';
    }
    out.close();
    return framefold(fmt::format("check '{}'", entry.string()));
  }
};

/// A message about a line of the description, in one line, and no verdict.
inline void expect_message(const Result& result, const std::string& what) {
  SCOPED_TRACE(what);
  SCOPED_TRACE(result.text);
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(std::regex_search(result.text, std::regex("^framefold: .*entry.toml:[0-9]+:[0-9]+: [^ ]+: ")));
  EXPECT_EQ(std::count(result.text.begin(), result.text.end(), '\n'), 1);
}
inline void expect_message_on(const Result& result, const std::string& what, std::size_t line) {
  expect_message(result, what);
  EXPECT_THAT(result.text, HasSubstr(fmt::format("entry.toml:{}:", line + 1))) << what;
}

/// The description of padded64 for objects alone.
class ByoObject : public Byo {
 protected:
  std::string describe(const std::string& name, const std::string& objects) {
    const fs::path folder = home_ / (name + ".object");
    fs::copy(fs::path(FRAMEFOLD_OWN_ENTRIES) / (name + ".object"), folder);
    const std::string text = read(fs::path(FRAMEFOLD_OWN_ENTRIES) / name / "entry.toml");
    std::ofstream(folder / "entry.toml", std::ios::binary)
        << std::regex_replace(text, std::regex("image = \"[^\"]*\""), fmt::format("image = \"{}\"", objects));
    return (folder / "entry.toml").string();
  }
  static std::string replace(const std::string& entry,
                             const std::vector<std::pair<std::string, std::string>>& changes) {
    std::string text = read(entry);
    for (const auto& [what, with] : changes) {
      const std::size_t at = text.find(what);
      EXPECT_NE(at, std::string::npos) << what;
      text.replace(at, what.size(), with);
    }
    std::ofstream(entry, std::ios::binary) << text;
    return entry;
  }
};

}  // namespace framefold::test
