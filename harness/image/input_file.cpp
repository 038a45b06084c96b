#include "image/input_file.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "image/description.hpp"

namespace framefold {

std::vector<std::uint8_t> read_input_file(const std::string& path, std::size_t limit) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw InputError(fmt::format("{}: expected a file: {}", path, error.message()));
  if (!std::filesystem::is_regular_file(status)) throw InputError(fmt::format("{}: expected a regular file", path));
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) throw InputError(fmt::format("{}: expected a readable file: {}", path, error.message()));
  if (size > limit) throw InputError(fmt::format("{}: expected at most {} bytes, found {}", path, limit, size));
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) throw InputError(fmt::format("{}: expected a readable file: {}", path, std::strerror(errno)));
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (static_cast<std::size_t>(in.gcount()) != bytes.size()) {
    throw InputError(fmt::format("{}: expected {} bytes, read {}", path, size, in.gcount()));
  }
  // Files of /proc are regular ones of no size, whatever is in them, and some cannot be read.
  const bool more = in.peek() != std::ifstream::traits_type::eof();
  if (more) throw InputError(fmt::format("{}: expected a regular file of {} bytes, found more", path, size));
  if (in.bad()) throw InputError(fmt::format("{}: expected a readable file: {}", path, std::strerror(errno)));
  return bytes;
}

}  // namespace framefold
