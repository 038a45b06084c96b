// The cures: patches of a few lines (variants/), each with the known violations that it removes. Two violations that
// one of them tells apart are two bugs.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace framefold::test {

struct Cure {
  std::string entry;
  std::string patch;
  std::vector<std::string> gone;  // labels, or the starts of labels, of the rows that it removes
  bool moves_code = false;        // so that the places of the rows that stay are others
};

const std::vector<Cure>& cures();

/// "unbounded-nesting@scrit"
std::string label_of(const KnownRow& row);

bool removes(const Cure& cure, const KnownRow& row);

/// The patches that remove `row`. Rows of one bug have the same: none removes a part of it.
std::set<std::string> cures_of(const Entry& entry, const KnownRow& row);

}  // namespace framefold::test
