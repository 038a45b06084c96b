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

/// A file of its own beside `path`, which takes its name when it is whole.
std::string fresh_beside(const std::string& path) { return fmt::format("{}.{}.new", path, ::getpid()); }

/// Throws InputError where that cannot be had.
int create(const std::string& fresh, const std::string& path) {
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode);
  if (file < 0) {
    cannot_write(path);
  }
  return file;
}

/// Whether there is a file.
bool is_taken(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw InputError(fmt::format("{}: expected a regular file to write to", path));
  }
  return std::filesystem::exists(status);
}

[[noreturn]] void refuse_taken(const std::string& path, std::string_view what) {
  throw InputError(fmt::format("{}: expected no file{}; -f overwrites it", path, what));
}

}  // namespace

SignalsHeld::SignalsHeld() {
  sigset_t ending;
  sigemptyset(&ending);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    sigaddset(&ending, signal);
  }
  ::pthread_sigmask(SIG_BLOCK, &ending, &before_);
}

SignalsHeld::~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

void write_output_file(const std::string& path, std::span<const std::uint8_t> bytes, bool force) {
  if (is_taken(path)) {
    if (same_contents(path, bytes)) {
      return;
    }
    if (!force) {
      refuse_taken(path, " with other contents");
    }
  }
  const SignalsHeld held;
  const std::string fresh = fresh_beside(path);
  const int file = create(fresh, path);
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

void expect_output_place(const std::string& path, bool force) {
  if (is_taken(path) && !force) {
    refuse_taken(path, " there");
  }
  const SignalsHeld held;
  const std::string fresh = fresh_beside(path);
  ::close(create(fresh, path));
  ::unlink(fresh.c_str());
}

void expect_output_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::path there = std::filesystem::absolute(folder, error);
  while (!std::filesystem::exists(there, error) && there != there.parent_path()) {
    there = there.parent_path();
  }
  if (!std::filesystem::is_directory(there, error)) {
    throw InputError(fmt::format("{}: expected a folder that can be made: {} is none", folder, there.string()));
  }
  const SignalsHeld held;
  const std::string fresh = fresh_beside((there / "framefold").string());
  ::close(create(fresh, folder));
  ::unlink(fresh.c_str());
}

void expect_no_input(const std::string& output, std::span<const std::string> inputs) {
  for (const std::string& input : inputs) {
    std::error_code error;  // what does not exist is nothing else
    if (std::filesystem::equivalent(output, input, error)) {
      throw InputError(fmt::format("{}: expected another place than {}, which is read", output, input));
    }
  }
}

}  // namespace framefold
