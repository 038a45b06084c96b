// The text form of a scenario: what a person reads, writes and puts in a bug report.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "scenario/scenario.hpp"

namespace framefold {

/// What a reproducer says besides the scenario. All optional.
struct ScenarioNotes {
  std::string entry;        // name of the entry that it is for
  std::string signature;    // what it is known to show; empty: nothing
  std::string explanation;  // text for people
};

/// Lossless. `label(i)` may say where arrival i was taken ("scrit+0x3, delivered"); it is printed beside the index as a
/// comment.
std::string to_toml(const Scenario& scenario, const Entry& entry, const ScenarioNotes& notes,
                    const std::function<std::string(std::size_t)>& label = {});

struct ParsedScenario {
  Scenario scenario;
  ScenarioNotes notes;
};
/// Throws InputError: "file:line:column: key: what was expected"; also for a scenario that Xen cannot produce (naming
/// the key).
ParsedScenario from_toml(std::string_view text, const std::string& file, const Entry& entry);

/// Only `entry = "..."` of a scenario file, so that a caller can find the entry before parsing the rest. Empty where it
/// has none. Throws InputError where the text is not TOML.
std::string entry_of_toml(std::string_view text, const std::string& file);

}  // namespace framefold
