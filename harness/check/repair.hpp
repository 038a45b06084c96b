// Where a description does not hold: whether it does with one line changed, of those whose being wrong shows far from
// where it lies. A base, a handler or what a function does is seen only by what code does with it, much later; that it
// would hold with another one says which line it is.
#pragma once

#include <optional>
#include <string>

#include "image/image.hpp"

namespace framefold {

/// The key, and what it should say.
struct Repair {
  std::string key;       // "gs_base", "calls[1].returns"
  std::string expected;  // as the description would write it
  bool only = true;      // false: what the complaint names would help as well
};

/// `complaint` is what the check says of the description as it is ("file:12:3: key: ..."). Nothing where no single
/// change is known to help, or where the complaint is about a line that says itself what is wrong.
std::optional<Repair> find_repair(const Entry& entry, const std::string& complaint);

}  // namespace framefold
