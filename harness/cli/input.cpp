#include "cli/input.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "cli/no_input.hpp"
#include "image/input_file.hpp"
#include "run/violation.hpp"
#include "scenario/codec.hpp"

namespace framefold {

namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

std::vector<std::string> list_directory(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  fs::recursive_directory_iterator at(directory, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    std::error_code unknown;  // of a link that leads nowhere
    if (at->is_directory(unknown) && is_hidden(at->path())) {
      at.disable_recursion_pending();
    } else if (at->is_regular_file(unknown) && !is_passed_over(at->path())) {
      files.push_back(at->path().string());
    }
  }
  if (error) {
    throw InputError(fmt::format("{}: expected a readable directory: {}", directory, error.message()));
  }
  if (files.empty()) {
    throw InputError(fmt::format("{}: expected a directory with inputs, found none in it", directory));
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// What `entry = "..."` of a file means for the store.
std::string entry_of_file(const std::string& file, const std::string& wanted) {
  if (wanted.empty()) {
    throw InputError(fmt::format("{}: entry: expected --entry, since the file names no entry itself", file));
  }
  return is_entry_path(wanted) ? (fs::path(file).parent_path() / wanted).string() : wanted;
}

/// "scrit", "scrit+0x84"
bool is_place(std::string_view text) {
  const std::size_t plus = text.find('+');
  const std::string_view offset = plus == std::string_view::npos ? "0x0" : text.substr(plus + 1);
  return !text.empty() && plus != 0 && offset.size() > 2 && offset.starts_with("0x") &&
         offset.find_first_not_of("0123456789abcdef", 2) == std::string_view::npos;
}

/// A signature that no entry could show is a slip, not a bug that is gone. `place`: where it stands.
void check_signature(std::string_view place, std::string_view signature) {
  const std::size_t first = signature.find(':');
  const std::size_t second = first == std::string_view::npos ? first : signature.find(':', first + 1);
  const auto refuse = [&](std::string_view why) {
    throw InputError(fmt::format("{}: expected <entry>:<kind>:<symbol+0xoffset>, found '{}'{}", place, signature, why));
  };
  if (second == std::string_view::npos || first == 0 || !is_place(signature.substr(second + 1))) {
    refuse("");
  }
  if (!violation_kind_from_name(signature.substr(first + 1, second - first - 1))) {
    refuse(", which names no kind of violation (framefold explain lists them)");
  }
}

Input read_toml(const std::string& file, std::string_view text, const std::string& entry_option, EntryStore& store) {
  Input input;
  input.file = file;
  input.entry_option = entry_option;
  const bool by_option = !entry_option.empty();
  const std::string wanted = by_option ? entry_option : entry_of_file(file, entry_of_toml(text, file));
  input.entry = &store.find(wanted, by_option ? "--entry" : fmt::format("{}: entry", file));
  ParsedScenario parsed = from_toml(text, file, *input.entry);
  input.scenario = parsed.scenario;
  input.notes = std::move(parsed.notes);
  if (!input.notes.signature.empty()) {
    check_signature(file + ": signature", input.notes.signature);
    if (!by_option && !input.notes.signature.starts_with(input.entry->name() + ":")) {
      throw InputError(fmt::format("{}: signature: expected one of {}, which the file names as its entry, found '{}'",
                                   file, input.entry->name(), input.notes.signature));
    }
  }
  return input;
}

}  // namespace

void expect_of(Input& input, const std::string& signature) {
  check_signature("--signature", signature);
  if (!signature.starts_with(input.entry->name() + ":")) {
    throw InputError(fmt::format("--signature: expected one of {}, the entry of {}, found '{}'", input.entry->name(),
                                 input.file, signature));
  }
  input.notes.signature = signature;
}

bool is_toml_file(const std::string& file) { return fs::path(file).extension() == ".toml"; }

std::vector<std::string> list_inputs(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) throw InputError(fmt::format("{}: expected a file: {}", path, error.message()));
    if (!fs::is_directory(status)) {
      files.push_back(path);
      continue;
    }
    const std::vector<std::string> found = list_directory(path);
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

Input read_input(const std::string& file, const std::string& entry_option, EntryStore& store) {
  return to_input(file, read_input_file(file, kMaxInputFile), entry_option, store);
}

Input to_input(const std::string& file, std::span<const std::uint8_t> bytes, const std::string& entry_option,
               EntryStore& store) {
  if (is_toml_file(file)) {
    return read_toml(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, entry_option, store);
  }
  if (entry_option.empty()) {
    throw InputError(fmt::format("{}: expected --entry, since a binary input does not name its entry", file));
  }
  Input input;
  input.file = file;
  input.entry_option = entry_option;
  input.entry = &store.find(entry_option, "--entry");
  input.scenario = decode(bytes, *input.entry);
  input.version = format_version(bytes);
  return input;
}

}  // namespace framefold
