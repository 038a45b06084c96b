// The reproducers of the source tree (reproducers/<entry>/), read.
#pragma once

#include <map>
#include <string>

#include "scenario/toml.hpp"

namespace framefold::test {

/// By file name: the scenarios of reproducers/<name>/ for `entry`, which is the entry of that name or a variant of it.
/// Empty where there is no such folder. Throws InputError.
std::map<std::string, ParsedScenario> read_reproducers(const std::string& name, const Entry& entry);

}  // namespace framefold::test
