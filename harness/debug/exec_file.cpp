#include "debug/exec_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "debug/packet.hpp"

namespace framefold {

namespace {

// "Debugging with GDB", "File-I/O Remote Protocol Extension": errno values and struct stat, big endian.
constexpr std::string_view kNoEntry = "F-1,2";
constexpr std::string_view kBadNumber = "F-1,9";
constexpr std::string_view kBadRequest = "F-1,16";
constexpr std::size_t kStatSize = 64;
constexpr std::size_t kModeAt = 8;
constexpr std::size_t kSizeAt = 28;
constexpr std::uint32_t kRegularFile = 0100444;
constexpr int kDescriptor = 5;

void put_big_endian(std::string& bytes, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    bytes[at + i] = static_cast<char>(value >> (8 * (size - 1 - i)));
  }
}

}  // namespace

std::string ExecFile::answer(std::string_view request) const {
  const std::size_t colon = request.find(':');
  const std::string_view what = request.substr(0, colon);
  std::string_view arguments = colon == std::string_view::npos ? "" : request.substr(colon + 1);
  if (what == "setfs") {
    return "F0";
  }
  if (what == "open") {
    const std::optional<std::string> file = from_hex(arguments.substr(0, arguments.find(',')));
    return file == path() ? fmt::format("F{:x}", kDescriptor) : std::string(kNoEntry);
  }
  if (what == "pread" || what == "fstat" || what == "close") {
    if (take_number(arguments) != kDescriptor) {
      return std::string(kBadNumber);
    }
    return what == "pread" ? read(arguments) : what == "fstat" ? status() : "F0";
  }
  return "";
}

std::string ExecFile::read(std::string_view arguments) const {
  const auto next = [&arguments]() -> std::optional<std::uint64_t> {
    if (arguments.empty() || arguments.front() != ',') {
      return std::nullopt;
    }
    arguments.remove_prefix(1);
    return take_number(arguments);
  };
  const std::optional<std::uint64_t> count = next();
  const std::optional<std::uint64_t> offset = next();
  if (!count || !offset) {
    return std::string(kBadRequest);
  }
  const std::uint64_t begin = std::min<std::uint64_t>(*offset, bytes_.size());
  // Half a packet: every byte may need an escape.
  const std::uint64_t size = std::min({*count, bytes_.size() - begin, std::uint64_t{kMaxPacket / 2 - 16}});
  return fmt::format("F{:x};", size) + std::string(reinterpret_cast<const char*>(bytes_.data()) + begin, size);
}

std::string ExecFile::status() const {
  std::string stat(kStatSize, '\0');
  put_big_endian(stat, kModeAt, kRegularFile, 4);
  put_big_endian(stat, kSizeAt, bytes_.size(), 8);
  return fmt::format("F{:x};", kStatSize) + stat;
}

}  // namespace framefold
