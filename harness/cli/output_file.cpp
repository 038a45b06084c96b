#include "cli/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "image/description.hpp"

namespace framefold {

namespace {

constexpr unsigned kFileMode = 0666;  // less the umask

[[noreturn]] void cannot_write(const std::string& path) {
  throw InputError(fmt::format("{}: expected a place that can be written: {}", path, std::strerror(errno)));
}

bool same_contents(const std::string& path, std::span<const std::uint8_t> bytes) {
  std::ifstream in(path, std::ios::binary);
  const std::string old{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  return in && std::equal(old.begin(), old.end(), bytes.begin(), bytes.end(),
                          [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

bool write_all(int file, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) {
      return false;
    }
    bytes = bytes.subspan(written < 0 ? 0 : static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

void write_output_file(const std::string& path, std::span<const std::uint8_t> bytes, bool force) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status)) {
    if (!std::filesystem::is_regular_file(status)) {
      throw InputError(fmt::format("{}: expected a regular file to write to", path));
    }
    if (same_contents(path, bytes)) {
      return;
    }
    if (!force) {
      throw InputError(fmt::format("{}: expected no file with other contents; -f overwrites it", path));
    }
  }
  const std::string fresh = fmt::format("{}.{}.new", path, ::getpid());
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode);
  if (file < 0) {
    cannot_write(path);
  }
  const bool written = write_all(file, bytes);
  const int write_error = errno;
  const bool closed = ::close(file) == 0;
  if (!written || !closed || ::rename(fresh.c_str(), path.c_str()) != 0) {
    errno = written ? errno : write_error;
    const int reason = errno;
    ::unlink(fresh.c_str());
    errno = reason;
    cannot_write(path);
  }
}

}  // namespace framefold
