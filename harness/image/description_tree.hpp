// The generic half of the checks on a description: each key of the text against the table of keys.
#pragma once

#include <toml++/toml.h>

#include <map>
#include <string>

#include "image/description.hpp"

namespace framefold {

/// Checks every key below `root` (known, there where required, right type, in range) and notes in
/// `description.positions` where it stands. Registers are checked as text only: their names depend on the width. Throws
/// InputError.
void check_tree(const toml::table& root, Description& description);

}  // namespace framefold
