// The inputs of the regression corpora.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "image/input_file.hpp"
#include "test/entries.hpp"

namespace framefold::test {

using CorpusFiles = std::map<std::string, std::vector<std::uint8_t>>;  // by name

inline CorpusFiles read_corpus(const std::string& entry) {
  constexpr std::size_t kMaxFile = 1 << 16;
  CorpusFiles files;
  for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(FRAMEFOLD_CORPUS) / entry)) {
    files.emplace(file.path().filename().string(), read_input_file(file.path().string(), kMaxFile));
  }
  return files;
}

/// Of each bundled entry.
class CorpusTest : public testing::TestWithParam<std::string> {
 protected:
  const Entry& entry_ = bundled_entry(GetParam());
  CorpusFiles files_ = read_corpus(GetParam());
};

}  // namespace framefold::test
