// Colour in text for people. Off unless a caller has found a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace framefold {

enum class Ink : std::uint8_t { plain, strong, faint, good, bad, note };

struct Style {
  bool colour = false;

  /// `text` in an ink; `text` itself where colour is off.
  std::string paint(Ink ink, std::string_view text) const;
};

}  // namespace framefold
