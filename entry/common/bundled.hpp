// The entries that are built into a program: image and description as bytes, so that nothing is read at run time.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace framefold {

struct BundledEntry {
  std::string_view name;
  std::string_view description;  // entry.toml
  std::span<const std::uint8_t> elf;
};

/// All bundled entries, sorted by name. Link `framefold_entries`.
std::span<const BundledEntry> bundled_entries();

/// The one entry of a fuzz binary; add_entry() defines it there.
extern const BundledEntry framefold_fuzz_entry;

}  // namespace framefold
