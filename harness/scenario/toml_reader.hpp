// Strict reading of a TOML table: every value is of the type that is asked for, every key is one that is known, and a
// complaint says where. Private to this folder.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace framefold {

/// Where each key that was read stands, for complaints that come later.
using KeyPositions = std::map<std::string, toml::source_position>;

/// Throws InputError: "file:line:column: key: what", on one line.
[[noreturn]] void fail_at(const std::string& file, const toml::source_position& at, std::string_view key,
                          std::string_view what);

/// A table of the text and its place in it ("context." or "arrival[2]."). The file name and the positions outlive it.
class TomlReader {
 public:
  TomlReader(const toml::table& table, std::string prefix, const std::string& file, KeyPositions& positions)
      : table_(table), prefix_(std::move(prefix)), file_(file), positions_(positions) {}

  /// Refuses every key that is not listed.
  void allow(std::span<const std::string_view> keys) const;
  [[noreturn]] void refuse(std::string_view key, std::string_view what) const;

  // Each gives nothing where the key is absent, and refuses a value of another type or range.
  std::optional<std::string> text(std::string_view key, std::string_view expected = "a string") const;
  std::optional<bool> boolean(std::string_view key) const;
  /// An integer from 0 to `maximum`; also as a string "0x...", since TOML's end at 2^63 - 1.
  std::optional<std::uint64_t> integer(std::string_view key, std::uint64_t maximum) const;
  /// One of the words, as its index.
  std::optional<std::size_t> word(std::string_view key, std::span<const std::string_view> words) const;
  std::optional<TomlReader> table(std::string_view key) const;
  const toml::array* array(std::string_view key, std::string_view expected) const;
  const toml::node* find(std::string_view key) const;

  /// Element `index` of the array `key`, which must be a table.
  TomlReader element(std::string_view key, const toml::array& array, std::size_t index) const;
  void for_each_key(const std::function<void(std::string_view)>& visit) const;

 private:
  const toml::table& table_;
  std::string prefix_;
  const std::string& file_;
  KeyPositions& positions_;
};

/// An integer that is not negative, or a string "0x...".
std::optional<std::uint64_t> unsigned_value(const toml::node& node);

/// "a, b, c"
std::string join(std::span<const std::string_view> words);

}  // namespace framefold
