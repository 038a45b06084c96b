// Lines that say one thing together: of a vcpu_info that is one of several, and of the words with which the code
// switches stacks. Where the description does not hold, which of them it would hold with.
#pragma once

#include <string>
#include <vector>

#include "image/image.hpp"

namespace framefold {

/// A key, and what it should say.
struct OtherLine {
  std::string key;
  std::string expected;
};

/// Of `symbol` or `pointer`, `index` and `stride` those that help alone, where the code shows which vcpu_info it uses.
/// Those that the description says come first.
std::vector<OtherLine> vcpu_info_lines(const Entry& entry);

/// "vcpu_info.symbol (a.toml:45), vcpu_info.index (a.toml:46) and ...", of those that the description says. Empty where
/// it says one alone.
std::string vcpu_info_said(const Description& description);

/// The word that points at the interrupt stack, and the count, where another helps. `complained` is the key that is
/// named without this: not asked again.
std::vector<OtherLine> interrupt_word_lines(const Entry& entry, const std::string& complained);

}  // namespace framefold
