// TOML from people: what is wrong with a text is one line that names the place.
#pragma once

#include <toml++/toml.h>

#include <string>
#include <string_view>

namespace framefold {

/// Throws InputError, "<file>:<line>:<column>: expected ...".
toml::table parse_toml(std::string_view text, const std::string& file);

}  // namespace framefold
