// The cures: patches of a few lines (variants/), each with the known violations that it removes. What one of them
// removes is one bug.
#pragma once

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

/// The cure that removes `row` and the fewest others. Throws std::out_of_range where there is none.
const Cure& cure_of(const Entry& entry, const KnownRow& row);

}  // namespace framefold::test
