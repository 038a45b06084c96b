// The two widths of a PV guest. Everything that differs between them is data that hangs off this type.
#pragma once

#include <cstdint>

namespace framefold {

enum class Width : std::uint8_t { k32, k64 };

/// Bytes in a machine word (a stack slot, a pointer) of a guest of this width.
constexpr unsigned word_size(Width width) { return width == Width::k64 ? 8 : 4; }

}  // namespace framefold
