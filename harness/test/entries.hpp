// The bundled entries, loaded once per test binary.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/bundled.hpp"
#include "image/image.hpp"

namespace framefold::test {

inline std::unique_ptr<const Entry> load_bundled(const BundledEntry& bundled) {
  const std::string name(bundled.name);
  return load_entry(parse_description(bundled.description, name + "/entry.toml"), bundled.elf, name + ".elf");
}

/// The bundled entry of this name; a test that asks for one that does not exist fails with an exception.
inline const Entry& bundled_entry(std::string_view name) {
  static std::map<std::string, std::unique_ptr<const Entry>, std::less<>> loaded;
  const auto found = loaded.find(name);
  if (found != loaded.end()) {
    return *found->second;
  }
  for (const BundledEntry& bundled : bundled_entries()) {
    if (bundled.name == name) {
      return *loaded.emplace(std::string(name), load_bundled(bundled)).first->second;
    }
  }
  throw std::out_of_range("no bundled entry " + std::string(name));
}

inline std::vector<std::string> bundled_names() {
  std::vector<std::string> names;
  for (const BundledEntry& bundled : bundled_entries()) {
    names.emplace_back(bundled.name);
  }
  return names;
}

}  // namespace framefold::test
