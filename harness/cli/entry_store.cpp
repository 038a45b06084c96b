#include "cli/entry_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "check/check_entry.hpp"
#include "check/find_window.hpp"
#include "common/bundled.hpp"
#include "dwarf/read_lines.hpp"
#include "image/link_objects.hpp"
#include "machine/internal_error.hpp"
#include "machine/self_test.hpp"

namespace framefold {

namespace {

const BundledEntry* find_bundled(std::string_view name) {
  const std::span<const BundledEntry> all = bundled_entries();
  const auto found = std::find_if(all.begin(), all.end(), [name](const BundledEntry& e) { return e.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string bundled_names() {
  std::vector<std::string_view> names;
  for (const BundledEntry& bundled : bundled_entries()) {
    names.push_back(bundled.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::unique_ptr<const Entry> load_named(const std::string& wanted, std::string_view asked_by) {
  const BundledEntry* bundled = find_bundled(wanted);
  if (bundled == nullptr) {
    throw InputError(fmt::format("{}: expected the path of an entry.toml or one of {}; found '{}'", asked_by,
                                 bundled_names(), wanted));
  }
  return load_bundled(*bundled);
}

}  // namespace

bool is_entry_path(std::string_view wanted) {
  return wanted.find('/') != std::string_view::npos || wanted.ends_with(".toml");
}

std::unique_ptr<const Entry> load_bundled(const BundledEntry& bundled) {
  const std::string name(bundled.name);
  try {
    return load_entry(parse_description(bundled.description, name + "/entry.toml"), bundled.elf, name);
  } catch (const InputError& error) {
    throw InternalError(fmt::format("bundled entry: {}", error.what()));
  }
}

const Entry& EntryStore::find(const std::string& wanted, std::string_view asked_by) {
  std::unique_ptr<const Entry>& entry = entries_[wanted];
  if (!entry) {
    entry = is_entry_path(wanted) ? load_file(wanted) : load_named(wanted, asked_by);
  }
  return *entry;
}

std::unique_ptr<const Entry> EntryStore::load_file(const std::string& path) {
  std::unique_ptr<Entry> loaded = load_entry_file(path);
  test_emulator(loaded->width());
  std::unique_ptr<const Entry> entry = with_window(std::move(loaded));
  if (checked_) expect_to_hold(*entry);
  return entry;
}

Oracle& EntryStore::oracle(const Entry& entry) {
  test_emulator(entry.width());
  std::unique_ptr<Oracle>& oracle = oracles_[&entry];
  if (!oracle) {
    oracle = std::make_unique<Oracle>(entry);
  }
  return *oracle;
}

void EntryStore::expect_an_oracle(const Entry& entry) {
  test_emulator(entry.width());
  const Oracle oracle(entry);
}

void EntryStore::test_emulator(Width width) {
  if (tested_.insert(width).second) {
    run_self_test(width);
  }
}

void EntryStore::expect_to_hold(const Entry& entry) {
  try {
    check_entry(entry);
  } catch (const WrongCode&) {  // which is a result
  } catch (const Mismatch& mismatch) {
    throw mismatch.judged_by("--unchecked");
  }
}

const std::string& EntryStore::wanted_as(const Entry& entry) const {
  const auto same = [&entry](const auto& known) { return known.second.get() == &entry; };
  return std::find_if(entries_.begin(), entries_.end(), same)->first;
}

std::vector<std::uint8_t> EntryStore::image(const Entry& entry) const {
  const std::string& wanted = wanted_as(entry);
  if (is_entry_path(wanted)) {
    return read_image_file(entry.description).elf;
  }
  const std::span<const std::uint8_t> elf = find_bundled(wanted)->elf;
  return {elf.begin(), elf.end()};
}

std::vector<std::string> EntryStore::files() const {
  std::vector<std::string> files;
  for (const auto& [wanted, entry] : entries_) {
    if (is_entry_path(wanted)) {
      files.push_back(wanted);
      const std::vector<std::string> images = image_paths(entry->description);
      files.insert(files.end(), images.begin(), images.end());
    }
  }
  return files;
}

const SourceLines* EntryStore::lines(const Entry& entry) {
  const auto [at, added] = lines_.emplace(&entry, SourceLines{});
  if (added) {
    at->second = read_source_lines(image(entry));
  }
  return at->second.rows.empty() ? nullptr : &at->second;
}

}  // namespace framefold
