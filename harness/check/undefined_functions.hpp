// Functions that the code reaches, and that neither an object defines nor a row of `calls` describes: what comes of
// them says nothing of the code.
#pragma once

#include <optional>
#include <string>

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// The one whose trap is at `at`. A `ud2` with a name may be the code's own: it is none.
std::optional<std::string> undefined_function_at(const Entry& entry, GuestAddress at);

/// Whether it is a function, or data, that framefold has made since no object defines it and nothing describes it.
bool is_undefined(const Entry& entry, const Symbol& symbol);

/// "expected objects that define panic as well, or a row of `calls` that says what it does"
std::string definition_expected(const std::string& function);

/// Where the scenario's nested run reaches one: the line of the description, and what to do about it.
std::optional<std::string> undefined_function_behind(const Entry& entry, const Scenario& scenario);

}  // namespace framefold
