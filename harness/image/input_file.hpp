// Files that a person hands us.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace framefold {

/// The whole of the file at `path`. Throws InputError where it is not a regular file, cannot be read, holds more than
/// its size says, or is larger than `limit` bytes.
std::vector<std::uint8_t> read_input_file(const std::string& path, std::size_t limit);

}  // namespace framefold
