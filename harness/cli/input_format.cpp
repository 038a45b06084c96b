#include "cli/input_format.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "image/description.hpp"
#include "scenario/codec.hpp"

namespace framefold {

void NewerFormats::add(const std::string& file, std::uint8_t version) {
  if (version <= kCodecVersion || std::filesystem::path(file).filename().string().starts_with("id:")) return;
  if (count_++ == 0) {
    first_ = file;
    version_ = version;
  }
}

std::string NewerFormats::what() const {
  return fmt::format(
      "{}: format version {}: expected a version up to {}{}: a fuzzer's own, or that of a newer framefold", first_,
      version_, kCodecVersion, count_ == 1 ? "" : fmt::format(" (so {} more)", count_ - 1));
}

void NewerFormats::note() const {
  if (count_ > 0) {
    fmt::print(stderr, "framefold: {}; read as version {}, as fuzz binaries do\n", what(), kCodecVersion);
  }
}

void NewerFormats::refuse() const {
  if (count_ > 0) throw InputError(fmt::format("{}; -f reads it as version {}", what(), kCodecVersion));
}

void note_newer_formats(std::span<const Input> inputs) {
  NewerFormats newer;
  for (const Input& input : inputs) {
    newer.add(input.file, input.version);
  }
  newer.note();
}

NewerFormats newer_formats(const std::string& folder, const std::map<std::string, InputBytes>& inputs) {
  NewerFormats newer;
  for (const auto& [file, bytes] : inputs) {
    newer.add(fmt::format("{}/{}", folder, file), format_version(bytes));
  }
  return newer;
}

}  // namespace framefold
