// framefold entries --compare: the entries side by side, by what running them shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/entry_store.hpp"

namespace framefold {

enum class ComparisonForm : std::uint8_t { text, markdown, json };

/// Measures each entry (bundled ones by name, others by path), and replays what lies in <folder>/<entry>/ of each of
/// the folders for its verdict. Prints, and gives the exit status. Throws InputError.
int compare_entries(EntryStore& store, const std::vector<std::string>& names, const std::vector<std::string>& folders,
                    ComparisonForm form);

}  // namespace framefold
