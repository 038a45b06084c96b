#include "image/toml_text.hpp"

#include <fmt/format.h>

#include <optional>

#include "image/description.hpp"

namespace framefold {

namespace {

// Far above any description or scenario; a bound on the time that a bad one can take.
constexpr std::size_t kMaxText = 1 << 20;
// toml++ 3.3 bounds how deep values nest, but not how many parts a dotted key has, and takes a level of its stack for
// each.
constexpr std::size_t kMostKeyParts = 32;

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '"' || c == '\'';
}

/// The line of a key that has more parts than that, from 1. (Or of such a word in a text: nobody writes one.)
std::optional<std::size_t> line_of_deep_key(std::string_view text) {
  std::size_t line = 1;
  std::size_t dots = 0;
  char before = '\n';  // without spaces
  bool spaced = false;
  for (const char c : text) {
    if (c == ' ' || c == '\t') {
      spaced = true;
      continue;
    }
    const bool next_word = spaced && is_key_character(before) && is_key_character(c);
    spaced = false;
    if (c == '\n') {
      ++line;
    }
    if (c == '.' && is_key_character(before)) {
      if (++dots >= kMostKeyParts) {
        return line;
      }
    } else if (next_word || !is_key_character(c)) {
      dots = 0;
    }
    before = c;
  }
  return std::nullopt;
}

}  // namespace

toml::table parse_toml(std::string_view text, const std::string& file) {
  if (text.size() > kMaxText) {
    throw InputError(fmt::format("{}:1:1: expected at most {} bytes", file, kMaxText));
  }
  if (const std::optional<std::size_t> line = line_of_deep_key(text)) {
    throw InputError(fmt::format("{}:{}:1: expected keys of at most {} parts", file, *line, kMostKeyParts));
  }
  try {
    return toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    const toml::source_position& place = error.source().begin;
    throw InputError(fmt::format("{}:{}:{}: expected TOML: {}", file, place.line, place.column, error.description()));
  }
}

bool is_toml_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string toml_escaped(std::string_view text, bool lines) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (is_toml_control(c) && !(lines && c == '\n')) {
      result += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace framefold
