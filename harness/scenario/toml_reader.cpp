#include "scenario/toml_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "image/description.hpp"

namespace framefold {

namespace {

std::optional<std::uint64_t> hex_number(std::string_view text) {
  if (text.size() < 3 || text.substr(0, 2) != "0x") return std::nullopt;
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data() + 2, end, value, 16);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

}  // namespace

void fail_at(const std::string& file, const toml::source_position& at, std::string_view key, std::string_view what) {
  throw InputError(fmt::format("{}:{}:{}: {}{}{}", file, at.line, at.column, key, key.empty() ? "" : ": ", what));
}

void TomlReader::allow(std::span<const std::string_view> keys) const {
  for_each_key([&](std::string_view key) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) return;
    refuse(key, fmt::format("unknown key; expected one of {}", join(keys)));
  });
}

void TomlReader::refuse(std::string_view key, std::string_view what) const {
  const toml::node* node = table_.get(key);
  const toml::source_position at = node == nullptr ? table_.source().begin : node->source().begin;
  fail_at(file_, at, prefix_ + std::string(key), what);
}

std::optional<std::string> TomlReader::text(std::string_view key, std::string_view expected) const {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_string()) refuse(key, fmt::format("expected {}", expected));
  return node->as_string()->get();
}

std::optional<bool> TomlReader::boolean(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_boolean()) refuse(key, "expected true or false");
  return node->as_boolean()->get();
}

std::optional<std::uint64_t> TomlReader::integer(std::string_view key, std::uint64_t maximum) const {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  const std::optional<std::uint64_t> value = unsigned_value(*node);
  if (value && *value <= maximum) return value;
  constexpr std::uint64_t kReadableInDecimal = 0xffff;
  refuse(key, maximum <= kReadableInDecimal
                  ? fmt::format("expected an integer from 0 to {}", maximum)
                  : fmt::format("expected an integer from 0 to {:#x}; above 2^63 - 1 as a string \"0x...\"", maximum));
}

std::optional<std::size_t> TomlReader::word(std::string_view key, std::span<const std::string_view> words) const {
  const std::string expected = fmt::format("one of {}", join(words));
  const std::optional<std::string> value = text(key, expected);
  if (!value) return std::nullopt;
  const auto found = std::find(words.begin(), words.end(), *value);
  if (found == words.end()) refuse(key, fmt::format("expected {}", expected));
  return static_cast<std::size_t>(found - words.begin());
}

std::optional<TomlReader> TomlReader::table(std::string_view key) const {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_table()) refuse(key, "expected a table");
  return TomlReader(*node->as_table(), fmt::format("{}{}.", prefix_, key), file_, positions_);
}

const toml::array* TomlReader::array(std::string_view key, std::string_view expected) const {
  const toml::node* node = find(key);
  if (node != nullptr && !node->is_array()) refuse(key, fmt::format("expected {}", expected));
  return node == nullptr ? nullptr : node->as_array();
}

const toml::node* TomlReader::find(std::string_view key) const {
  const toml::node* node = table_.get(key);
  if (node != nullptr) positions_[prefix_ + std::string(key)] = node->source().begin;
  return node;
}

TomlReader TomlReader::element(std::string_view key, const toml::array& array, std::size_t index) const {
  const std::string name = fmt::format("{}{}[{}]", prefix_, key, index);
  const toml::node& node = array[index];
  if (!node.is_table()) fail_at(file_, node.source().begin, name, "expected a table");
  positions_[name] = node.source().begin;
  return {*node.as_table(), name + ".", file_, positions_};
}

void TomlReader::for_each_key(const std::function<void(std::string_view)>& visit) const {
  for (const auto& [key, node] : table_) visit(key.str());
}

std::optional<std::uint64_t> unsigned_value(const toml::node& node) {
  if (const auto* text = node.as_string()) return hex_number(text->get());
  const auto* value = node.as_integer();
  if (value == nullptr || value->get() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(value->get());
}

std::string join(std::span<const std::string_view> words) {
  std::string list;
  for (const std::string_view word : words) list += fmt::format("{}{}", list.empty() ? "" : ", ", word);
  return list;
}

}  // namespace framefold
