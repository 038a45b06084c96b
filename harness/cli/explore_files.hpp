// What an exploration has shown, in the formats that other people's CI shows: JUnit XML and SARIF 2.1.0.
#pragma once

#include <span>
#include <string>

#include "cli/entry_store.hpp"
#include "explore/exploration.hpp"

namespace framefold {

/// A suite an entry; a test case a bug, which fails, or one that passes where there is none.
std::string to_junit(std::span<const EntryReport> reports);

/// A result a bug, and one, suppressed, for each row of the description that showed. Places are source lines where the
/// image has debug information, else the description.
std::string to_sarif(std::span<const EntryReport> reports, EntryStore& store);

/// Of what was wrong with what framefold was given, so that nothing could be explored: an error, at its line.
/// `entries`: all that were to be; those that it is not about are skipped.
std::string to_junit(const InputError& error, std::span<const std::string> entries);
std::string to_sarif(const InputError& error);

}  // namespace framefold
