// The scenarios of the source tree that lead to known violations, read.
#pragma once

#include <map>
#include <string>

#include "scenario/toml.hpp"

namespace framefold::test {

/// By file name: the scenarios of reproducers/<name>/ for `entry`, which is the entry of that name or a variant of it.
/// Empty where there is no such folder. Throws InputError.
std::map<std::string, ParsedScenario> read_reproducers(const std::string& name, const Entry& entry);

/// The same of aims/<name>/ beside this file: what leads to rows of Entry::known that no enumeration reaches, because
/// it takes several arrivals, each at its boundary. (A reproducer shows a bug in its simplest form.)
std::map<std::string, ParsedScenario> read_aims(const std::string& name, const Entry& entry);

}  // namespace framefold::test
