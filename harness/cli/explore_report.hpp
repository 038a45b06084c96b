// What an exploration has shown, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "explore/exploration.hpp"

namespace framefold {

/// A bug: the violations of one bucket, by one of the shortest.
struct Bug {
  const ExploredViolation* violation = nullptr;
  std::size_t signatures = 0;                 // in the bucket
  std::vector<const ExploredViolation*> all;  // of them, by boundary
};
std::vector<Bug> bugs_of(const EntryReport& report);

/// "interrupted": why it says less than its verdict could; empty where nothing is missing.
std::string why_partial(const EntryReport& report);

/// What a proof does not cover of code that looks at which ports are pending; empty of other code.
std::string ports_note(const EntryReport& report);

/// The [[known]] table that makes a violation a known one, ready for entry.toml but for its `why`.
std::string known_row(const Entry& entry, const ExploredViolation& violation);

/// The path as a scenario file.
std::string scenario_file(const Entry& entry, const ExploredViolation& violation);
/// That of a bug's shortest path, and as a comment behind it the rows that make all of the bug known: one for each
/// stretch of boundaries at which it shows on the same conditions.
std::string scenario_file(const Entry& entry, const Bug& bug);

/// "handler-frame-restore_end.toml": as the reproducers are named, by kind and symbol.
std::string scenario_file_name(const Entry& entry, const ExploredViolation& violation);

/// The table of all entries, then what each has shown. `verbose`: with every context.
std::string to_text(std::span<const EntryReport> reports, const ExplorationOptions& options, bool verbose);

/// {"format": 1, "bounds": {...}, "entries": [...]}.
nlohmann::json to_json(std::span<const EntryReport> reports, const ExplorationOptions& options);

}  // namespace framefold
