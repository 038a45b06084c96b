// Reads the line table of an image's debug information (DWARF), by elfutils' libdw.
#pragma once

#include <cstdint>
#include <span>

#include "image/source_lines.hpp"

namespace framefold {

/// Empty where the image has no debug information, or none that can be read: it is only for people.
SourceLines read_source_lines(std::span<const std::uint8_t> elf);

}  // namespace framefold
