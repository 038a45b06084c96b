// What hangs off the table of keys: how a key is looked up, what its value must be in words, and the manual.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "image/description.hpp"

namespace framefold {

/// The row of a key by its path in the table ("vectors[].symbol"); nullptr where there is none.
const KeySpec* find_key(std::string_view path);
/// The rows directly below `parent` ("" for the top, "vectors[]", "stacks.thread"), in the order of the table.
std::vector<const KeySpec*> keys_below(std::string_view parent);
/// The last part of a row's path: "symbol" of "vectors[].symbol".
std::string_view name_of_key(const KeySpec& key);
std::vector<std::string_view> choices_of(const KeySpec& key);

/// What the value must be, to follow "expected": "an integer from 0 to 31".
std::string expected_value(const KeySpec& key);

/// The manual: one line a key, in aligned columns, for a terminal.
std::string description_manual();

}  // namespace framefold
