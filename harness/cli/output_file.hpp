// Files that we write.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace framefold {

/// Writes all of the file or nothing: into a new file beside it, which then takes its name. Throws InputError where
/// that cannot be done, and, without `force`, where `path` is a file with other contents.
void write_output_file(const std::string& path, std::span<const std::uint8_t> bytes, bool force);

}  // namespace framefold
