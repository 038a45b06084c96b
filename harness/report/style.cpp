#include "report/style.hpp"

#include <fmt/format.h>

#include <array>

namespace framefold {

namespace {

/// ECMA-48 "select graphic rendition" parameters, in the order of Ink.
constexpr std::array<std::string_view, 6> kParameters = {"", "1", "2", "32", "1;31", "36"};

}  // namespace

std::string Style::paint(Ink ink, std::string_view text) const {
  if (!colour || ink == Ink::plain) {
    return std::string(text);
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", kParameters[static_cast<std::size_t>(ink)], text);
}

}  // namespace framefold
