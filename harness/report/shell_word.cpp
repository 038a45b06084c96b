#include "report/shell_word.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace framefold {

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

}  // namespace framefold
