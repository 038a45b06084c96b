// The entry's image, served to the debugger through the protocol's file requests, so that it knows the symbols of a
// bundled entry, of which there is no file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace framefold {

class ExecFile {
 public:
  ExecFile(std::string name, std::span<const std::uint8_t> bytes) : name_(std::move(name)), bytes_(bytes) {}

  /// Absolute, as GDB asks for it back.
  std::string path() const { return "/" + name_; }
  /// The answer to a "vFile:" request.
  std::string answer(std::string_view request) const;

 private:
  std::string read(std::string_view arguments) const;
  std::string status() const;

  std::string name_;
  std::span<const std::uint8_t> bytes_;
};

}  // namespace framefold
