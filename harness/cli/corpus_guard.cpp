#include "cli/corpus_guard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "cli/corpus_place.hpp"
#include "cli/sha1.hpp"
#include "common/bundled.hpp"
#include "image/description.hpp"

namespace framefold {

namespace {

namespace fs = std::filesystem;

bool is_bundled(const std::string& name) {
  const std::span<const BundledEntry> all = bundled_entries();
  return std::any_of(all.begin(), all.end(), [&name](const BundledEntry& bundled) { return bundled.name == name; });
}

}  // namespace

void expect_no_other_entry(const std::string& folder, const Entry& entry) {
  fs::path path = real_folder(folder);
  for (int level = 0; level < 2; ++level, path = path.parent_path()) {
    const std::string name = path.filename().string();
    if (name == entry.name()) return;
    if (is_bundled(name)) {
      throw InputError(
          fmt::format("{}: expected inputs of {}, found a folder of {}; -f takes it", folder, entry.name(), name));
    }
  }
}

void expect_only_inputs(const CorpusContents& old, const std::string& folder) {
  const auto refuse = [](const std::string& file) {
    throw InputError(
        fmt::format("{}: expected nothing but inputs, named by their SHA-1; -f overwrites only those", file));
  };
  if (!old.skipped.empty()) refuse(old.skipped.front().file);
  for (const auto& [file, bytes] : old.inputs) {
    if (file != sha1_name(bytes)) refuse(fmt::format("{}/{}", folder, file));
  }
}

void expect_no_others(const CorpusContents& old, const std::string& folder, const std::vector<InputBytes>& fresh) {
  std::set<std::string> names;
  for (const InputBytes& input : fresh) {
    names.insert(sha1_name(input));
  }
  const bool same =
      old.inputs.size() == names.size() &&
      std::all_of(old.inputs.begin(), old.inputs.end(), [&](const auto& input) { return names.contains(input.first); });
  if (!old.inputs.empty() && !same) {
    throw InputError(fmt::format("{}: expected no folder with other inputs; -f overwrites them", folder));
  }
}

}  // namespace framefold
