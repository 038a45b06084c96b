// The inputs of the regression corpora.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "image/input_file.hpp"
#include "test/entries.hpp"

namespace framefold::test {

using InputsByName = std::map<std::string, std::vector<std::uint8_t>>;  // by name

inline InputsByName inputs_in_corpus(const std::string& entry) {
  constexpr std::size_t kMaxFile = 1 << 16;
  InputsByName files;
  for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(FRAMEFOLD_CORPUS) / entry)) {
    files.emplace(file.path().filename().string(), read_input_file(file.path().string(), kMaxFile));
  }
  return files;
}

inline std::string entry_test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// Of each bundled entry.
class CorpusTest : public testing::TestWithParam<std::string> {
 protected:
  const Entry& entry_ = bundled_entry(GetParam());
  InputsByName files_ = inputs_in_corpus(GetParam());
};

}  // namespace framefold::test
