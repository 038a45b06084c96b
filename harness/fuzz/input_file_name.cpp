#include "fuzz/input_file_name.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <filesystem>
#include <string_view>

namespace fuzzer {
// libFuzzer's own, by which it names artifacts. Weak: other engines have none.
// NOLINTNEXTLINE(readability-identifier-naming)
[[gnu::weak]] void ComputeSHA1(const std::uint8_t* data, std::size_t size, std::uint8_t* digest);
}  // namespace fuzzer

namespace framefold {

namespace {

bool take_option(std::string_view argument, std::string_view option, std::string& value) {
  if (argument.substr(0, option.size()) != option) {
    return false;
  }
  value = argument.substr(option.size());
  return true;
}

}  // namespace

InputFileName::InputFileName(std::span<const char* const> arguments) {
  for (const std::string_view argument : arguments) {
    // What is asked for, and what libFuzzer asks its own child processes for, one a step.
    minimising_ = minimising_ || argument == "-minimize_crash=1" || argument == "-minimize_crash_internal_step=1";
    if (take_option(argument, "-artifact_prefix=", artifact_prefix_) ||
        take_option(argument, "-exact_artifact_path=", exact_path_) || argument.substr(0, 1) == "-") {
      continue;
    }
    // A folder is a corpus; files are replayed one by one, and libFuzzer then writes no artifact.
    std::error_code error;
    if (std::filesystem::is_regular_file(argument, error)) {
      replayed_ = argument;
      ++replayed_count_;
    }
  }
}

std::optional<std::string> InputFileName::minimised() const {
  return minimising_ && replayed_count_ == 1 ? std::optional(replayed_) : std::nullopt;
}

std::optional<std::string> InputFileName::of(std::span<const std::uint8_t> input) const {
  if (!exact_path_.empty()) {
    return exact_path_;
  }
  if (replayed_count_ > 0) {
    return replayed_count_ == 1 ? std::optional(replayed_) : std::nullopt;
  }
  if (fuzzer::ComputeSHA1 == nullptr) {
    return std::nullopt;
  }
  constexpr std::size_t kSha1Size = 20;
  std::array<std::uint8_t, kSha1Size> digest{};
  fuzzer::ComputeSHA1(input.data(), input.size(), digest.data());
  return fmt::format("{}crash-{:02x}", artifact_prefix_, fmt::join(digest, ""));
}

}  // namespace framefold
