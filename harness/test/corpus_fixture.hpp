// Folders of inputs, and the framefold command run on them.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/corpus_folder.hpp"
#include "cli/sha1.hpp"
#include "test/own_folder.hpp"
#include "test/shell.hpp"

namespace framefold::test {

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

class CorpusFolder : public OwnFolder {
 protected:
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
    const Printed printed = framefold(arguments);
    return {printed.status, printed.text};
  }
};

inline std::vector<InputBytes> inputs_of(const std::string& folder) {
  std::vector<InputBytes> inputs;
  for (const auto& [file, bytes] : read_corpus(folder).inputs) {
    EXPECT_EQ(file, sha1_name(bytes));
    inputs.push_back(bytes);
  }
  return inputs;
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
