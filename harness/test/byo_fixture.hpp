// Entries of one's own, which the tests copy, change and give to the command.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace framefold::test {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Result {
  int status = -1;
  std::string text;  // both streams
};

inline Result framefold(const std::string& arguments) {
  FILE* const pipe = ::popen(fmt::format("'{}' {} 2>&1", FRAMEFOLD_BINARY, arguments).c_str(), "r");
  Result result;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) != 0;) {
    result.text.append(buffer.data(), n);
  }
  const int state = ::pclose(pipe);
  result.status = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
  return result;
}

inline std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class Byo : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "framefold-byo-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_ = name;
  }
  void TearDown() override { fs::remove_all(home_); }

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

  fs::path home_;
};

/// A message about a line of the description, in one line, and no verdict.
inline void expect_message(const Result& result, const std::string& what) {
  SCOPED_TRACE(what);
  SCOPED_TRACE(result.text);
  EXPECT_EQ(result.status, 2);
  EXPECT_TRUE(std::regex_search(result.text, std::regex("^framefold: .*entry.toml:[0-9]+:[0-9]+: [^ ]+: ")));
  EXPECT_EQ(std::count(result.text.begin(), result.text.end(), '\n'), 1);
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
