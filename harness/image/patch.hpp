// Changes bytes of an image in its ELF file: for images with one thing wrong.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "image/guest_address.hpp"

namespace framefold {

/// Overwrites what the file loads at `address`. Throws InputError where it holds no such bytes.
void patch_image(std::vector<std::uint8_t>& elf, GuestAddress address, std::span<const std::uint8_t> bytes);

}  // namespace framefold
