// The framefold command, run from outside in a folder of the test's own.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/sha1.hpp"
#include "test/own_folder.hpp"

namespace framefold::test {

using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

struct Result {
  int status = -1;
  std::string out;
  std::string err;
};

inline std::string sha1_of(std::string_view text) {
  return sha1_name({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

inline constexpr const char* kOut = ".out";
inline constexpr const char* kErr = ".err";
inline constexpr uid_t kNobody = 65534;

class Cli : public OwnFolder {
 protected:
  void SetUp() override {
    OwnFolder::SetUp();
    fs::current_path(home_);
  }
  void TearDown() override {
    fs::current_path("/");
    OwnFolder::TearDown();
  }

  /// Runs the command in the test's own folder. `out` is where its standard output goes, which is read back only from
  /// the usual place.
  static Result run(const std::vector<std::string>& arguments, const char* out = kOut, bool as_nobody = false) {
    std::vector<char*> argv = {const_cast<char*>(FRAMEFOLD_BINARY)};
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(::open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
      ::dup2(::open(kErr, O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
      // Opened while we still may: the build folder need not be one that others can enter.
      const int binary = ::open(FRAMEFOLD_BINARY, O_RDONLY);
      if (!as_nobody || ::setuid(kNobody) == 0) {
        ::fexecve(binary, argv.data(), environ);
      }
      ::_exit(127);
    }
    int state = 0;
    ::waitpid(child, &state, 0);
    const std::string printed = std::string_view(out) == kOut ? read(kOut) : std::string();
    return {WIFEXITED(state) ? WEXITSTATUS(state) : -1, printed, read(kErr)};
  }

  /// An entry of one's own: a copy of a bundled one whose description lists no known violations.
  static std::string unknowing_copy(const std::string& name) {
    fs::create_directory("copy");
    for (const auto& file : fs::directory_iterator(fs::path(FRAMEFOLD_ENTRIES) / name)) {
      if (file.path().extension() == ".elf" || file.path().extension() == ".toml") {
        fs::copy(file.path(), "copy");
      }
    }
    const std::string description = read("copy/entry.toml");
    write("copy/entry.toml", description.substr(0, description.find("[[known]]")));
    return "copy/entry.toml";
  }
};

/// One line that starts as every complaint does, and nothing else printed.
inline void expect_complaint(const Result& result, const std::string& expected) {
  SCOPED_TRACE(result.err);
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.out, IsEmpty());
  EXPECT_THAT(result.err, AllOf(StartsWith("framefold: "), HasSubstr(expected)));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
  EXPECT_EQ(result.err.back(), '\n');
}

inline constexpr std::string_view kEvent = R"(entry = "minios-x86_64-fixed"

[context]
vector = "event"

[[arrival]]
kind = "event"
distance = 5
)";

/// An NMI whose marked frame leaves by the hypercall page, and an event there: critical-frame, which is known.
inline constexpr std::string_view kMarked = R"(entry = "minios-x86_64-table"
signature = "minios-x86_64-table:critical-frame:hypercall_page+0x2e0"

[context]
vector = "nmi"

[[arrival]]
kind = "event"
distance = 62
)";

}  // namespace framefold::test
