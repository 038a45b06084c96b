// Folders of inputs, and the framefold command run on them.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/corpus_folder.hpp"
#include "cli/sha1.hpp"

namespace framefold::test {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

inline const std::string kEntry = "minios-x86_64-table";

inline const InputBytes kPlainEvent = {1};
inline const InputBytes kSameMeaning = {1, 0, 0, 0};  // what is not there reads as 0
inline const InputBytes kException = {1, 1};

class CorpusFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "framefold-corpus-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_ = name;
  }
  void TearDown() override { fs::remove_all(home_); }

  std::string make(const std::string& name, const std::vector<InputBytes>& inputs) {
    fs::create_directories(home_ / name);
    for (const InputBytes& input : inputs) {
      std::ofstream(home_ / name / sha1_name(input), std::ios::binary)
          .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    }
    return (home_ / name).string();
  }

  struct Result {
    int status = -1;
    std::string output;
  };
  static Result run(const std::string& arguments) {
    std::FILE* pipe = ::popen(fmt::format("'{}' {} 2>&1", FRAMEFOLD_BINARY, arguments).c_str(), "r");
    Result result;
    std::array<char, 4096> buffer;
    for (std::size_t size = 0; (size = std::fread(buffer.data(), 1, buffer.size(), pipe)) != 0;) {
      result.output.append(buffer.data(), size);
    }
    const int state = ::pclose(pipe);
    result.status = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    return result;
  }

  fs::path home_;
};

inline std::vector<InputBytes> inputs_of(const std::string& folder) {
  std::vector<InputBytes> inputs;
  for (const auto& [file, bytes] : read_corpus(folder).inputs) {
    EXPECT_EQ(file, sha1_name(bytes));
    inputs.push_back(bytes);
  }
  return inputs;
}

inline void write(const fs::path& file, std::string_view text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

inline const std::string kLog = "INFO: Running with entropic power schedule (0xFF, 100).\n#2 INITED cov: 2 ft: 2\n";

/// What libFuzzer, ClusterFuzzLite and people leave beside inputs.
inline void leave_others(const fs::path& folder) {
  write(folder / "crash-0123.summary", "\xe2\x80\xa6 a summary with signs that are not ASCII");
  write(folder / "fuzz-0.log", "short");
  write(folder / "fuzzer_stats", kLog);
  write(folder / "huge", std::string(kMaxInputFile + 1, '\0'));
  fs::create_symlink("nowhere", folder / "dangling");
  fs::create_symlink("loop", folder / "loop");
}

}  // namespace framefold::test
