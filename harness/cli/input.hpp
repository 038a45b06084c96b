// Scenario files: which a command line means, and what is in them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/entry_store.hpp"
#include "scenario/codec.hpp"
#include "scenario/toml.hpp"

namespace framefold {

struct Input {
  std::string file;
  const Entry* entry = nullptr;  // of the store that it was read with
  std::string entry_option;      // what --entry said; empty where the file names its entry
  Scenario scenario;
  ScenarioNotes notes;                   // TOML only
  std::uint8_t version = kCodecVersion;  // of its format; ours where it is text
};

/// By its extension: .toml is text, everything else the binary form.
bool is_toml_file(const std::string& file);

/// The files among `paths`, and those in its directories and theirs, in the order of their names. Hidden files and
/// those that end in .md are none, and neither is what is no regular file. Throws InputError where a path does not
/// exist or a directory holds no input.
std::vector<std::string> list_inputs(const std::vector<std::string>& paths);

/// `entry_option` is what --entry said and wins; a TOML file can name its entry itself (a path: from its own folder).
/// Throws InputError.
Input read_input(const std::string& file, const std::string& entry_option, EntryStore& store);
/// The same, of the file's bytes.
Input to_input(const std::string& file, std::span<const std::uint8_t> bytes, const std::string& entry_option,
               EntryStore& store);

/// As if the file said that it shows this one. Throws InputError where its entry cannot.
void expect_of(Input& input, const std::string& signature);

}  // namespace framefold
