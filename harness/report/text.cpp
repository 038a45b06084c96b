#include "report/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace framefold {

namespace {

constexpr std::size_t kTextWidth = 100;  // columns of a paragraph
constexpr std::size_t kLabelWidth = 12;

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// Bytes that are no UTF-8 become U+FFFD.
std::string valid_utf8(std::string_view text) {
  const std::string written = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(written).get<std::string>();
}

}  // namespace

std::string labelled(std::string_view label, std::string_view text, const Style& style) {
  std::string result = style.paint(Ink::faint, fmt::format("  {:<{}}", label, kLabelWidth));
  std::size_t column = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (column != 0 && column + 1 + word.size() > kTextWidth) {
      result += fmt::format("\n{:{}}", "", kLabelWidth + 2);
      column = 0;
    }
    result += column == 0 ? std::string(word) : fmt::format(" {}", word);
    column += word.size() + (column == 0 ? 0 : 1);
  }
  return result + "\n";
}

std::string printable(std::string name) {
  std::replace_if(name.begin(), name.end(), is_control, '?');
  return name;
}

/// Only what a shell takes as it stands is left without quotes; control characters need bash's $'...'.
std::string shell_word(const std::string& word) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_./+:,@%=-").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) {
    return word;
  }
  const bool control = std::any_of(word.begin(), word.end(), is_control);
  std::string quoted = control ? "$'" : "'";
  for (const char c : word) {
    if (control && (is_control(c) || c == '\'' || c == '\\')) {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
  }
  return quoted + "'";
}

std::string grouped(std::uint64_t number) {
  const std::string digits = fmt::format("{}", number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0) {
      text += ',';
    }
    text += digits[i];
  }
  return text;
}

std::string html_text(std::string_view text) {
  std::string result;
  for (const char c : valid_utf8(text)) {
    switch (c) {
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += is_control(c) && c != '\n' ? '?' : c;
    }
  }
  return result;
}

std::string for_width(std::string_view text, Width width) {
  constexpr std::array<std::array<std::string_view, 2>, 3> kNames{
      {{"RFLAGS", "EFLAGS"}, {"RIP", "EIP"}, {"RSP", "ESP"}}};
  std::string result(text);
  for (const auto& [wide, narrow] : kNames) {
    for (std::size_t at = result.find(wide); width == Width::k32 && at != std::string::npos;
         at = result.find(wide, at)) {
      result.replace(at, wide.size(), narrow);
    }
  }
  return result;
}

}  // namespace framefold
