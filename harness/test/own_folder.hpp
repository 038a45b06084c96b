// A folder of the test's own, and the files in it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace framefold::test {

namespace fs = std::filesystem;

inline std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// In whatever folder, which is made where there is none.
inline void write(const fs::path& path, std::string_view text) {
  if (path.has_parent_path()) {
    fs::create_directories(path.parent_path());
  }
  std::ofstream(path, std::ios::binary) << text;
}

/// A file of this process's own: tests run side by side.
inline std::string own_file(std::string_view name) {
  return testing::TempDir() + std::string(name) + "." + std::to_string(::getpid());
}

class OwnFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "framefold-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    home_ = name;
  }
  void TearDown() override { fs::remove_all(home_); }

  fs::path home_;
};

}  // namespace framefold::test
