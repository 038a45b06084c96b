// TOML from people: what is wrong with a text is one line that names the place.
#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>

namespace framefold {

/// Throws InputError, "<file>:<line>:<column>: expected ...".
toml::table parse_toml(std::string_view text, const std::string& file);

/// Not to stand in a string or a comment as it is.
bool is_toml_control(char c);

/// The text as the inside of a basic string; with `lines` of one that spans lines.
std::string toml_escaped(std::string_view text, bool lines = false);

}  // namespace framefold
