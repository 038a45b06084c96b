#include "cli/input_format.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <utility>

#include "image/description.hpp"
#include "scenario/codec.hpp"

namespace framefold {

namespace {

constexpr std::string_view kFuzzerOrNewer = "a fuzzer's own, or that of a newer framefold";
constexpr std::string_view kAfl = "AFL++'s own, or that of a newer framefold's queue";

}  // namespace

void NewerFormats::add(const std::string& file, std::uint8_t version) {
  if (version <= kCodecVersion) return;
  Tally& tally = std::filesystem::path(file).filename().string().starts_with("id:") ? afl_ : others_;
  if (tally.count++ == 0) {
    tally.first = file;
    tally.version = version;
  }
}

std::string NewerFormats::Tally::text() const {
  return fmt::format("{}: format version {}: expected a version up to {}{}", first, version, kCodecVersion,
                     count == 1 ? "" : fmt::format(" (so {} more)", count - 1));
}

void NewerFormats::note() const {
  for (const auto& [tally, writer] : {std::pair(&others_, kFuzzerOrNewer), std::pair(&afl_, kAfl)}) {
    if (tally->count > 0) {
      fmt::print(stderr, "framefold: {}: {}; read as version {}, as fuzz binaries do\n", tally->text(), writer,
                 kCodecVersion);
    }
  }
}

void NewerFormats::refuse() const {
  if (others_.count > 0) {
    throw InputError(fmt::format("{}: {}; -f reads it as version {}", others_.text(), kFuzzerOrNewer, kCodecVersion));
  }
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
