// Which line of which source file the instructions of an image come from, as its debug information says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "image/guest_address.hpp"

namespace framefold {

struct SourceLine {
  const std::string* file = nullptr;  // lives as long as its SourceLines
  unsigned line = 0;                  // 0: none
};

struct SourceLines {
  struct Row {
    GuestAddress address;    // first of the instructions
    std::uint32_t file = 0;  // index into `files`
    std::uint32_t line = 0;  // 0: here ends what is known
  };
  std::vector<std::string> files;
  std::vector<Row> rows;  // sorted by address, no two alike

  /// Line 0 where the debug information says nothing.
  SourceLine find(GuestAddress address) const {
    const auto behind = std::upper_bound(rows.begin(), rows.end(), address,
                                         [](GuestAddress a, const Row& row) { return a < row.address; });
    if (behind == rows.begin() || (behind - 1)->line == 0) {
      return {};
    }
    return {&files[(behind - 1)->file], (behind - 1)->line};
  }
};

}  // namespace framefold
