#include "cli/no_input.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "image/description.hpp"

namespace framefold {

namespace {

constexpr std::size_t kDigits = 40;        // of a SHA-1
constexpr std::size_t kShortestText = 32;  // bytes; a few that are all printed are a fuzzer's now and then

/// libFuzzer's, Centipede's and ClusterFuzz's for a corpus and for what crashes.
bool is_sha1(std::string_view name) {
  return name.size() == kDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_fuzzers_name(std::string_view name) {
  constexpr std::array kPrefixes = {"crash-", "leak-", "timeout-", "oom-", "slow-unit-"};  // libFuzzer's
  const auto named = [name](std::string_view prefix) {
    return name.starts_with(prefix) && is_sha1(name.substr(prefix.size()));
  };
  return is_sha1(name) || name.starts_with("id:") || std::any_of(kPrefixes.begin(), kPrefixes.end(), named);
}

bool is_text(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kControls = "\t\n\r\x1b";
  return bytes.size() >= kShortestText && std::all_of(bytes.begin(), bytes.end(), [kControls](std::uint8_t byte) {
           return (byte >= ' ' && byte <= '~') || kControls.find(static_cast<char>(byte)) != std::string_view::npos;
         });
}

}  // namespace

bool is_passed_over(const std::filesystem::path& file) {
  return file.filename().string().starts_with('.') || file.extension() == ".md";
}

std::optional<std::string> why_no_input(const std::filesystem::path& file, std::span<const std::uint8_t> bytes) {
  const std::string name = file.filename().string();
  if (is_fuzzers_name(name)) return std::nullopt;
  if (file.extension() == ".summary" || file.extension() == ".log") return "expected an input, found a log by its name";
  if (name == "fuzz_bitmap" || name == "fastresume.bin") return "expected an input, found notes of AFL++ by its name";
  if (is_text(bytes)) return "expected an input, found a text";
  return std::nullopt;
}

std::string reason_of(const std::exception& error, const std::string& file) {
  std::string text = error.what();
  if (!text.starts_with(file + ":")) return text;
  const std::size_t reason = file.size() + 1;  // behind it a space, or the line and column of a text
  return text.substr(text[reason] == ' ' ? reason + 1 : reason);
}

void note_skipped(std::span<const Skipped> skipped) {
  for (const auto& [file, reason] : skipped) {
    fmt::print(stderr, "framefold: {}: skipped: {}\n", file, reason);
  }
}

void expect_not_all_skipped(std::size_t inputs, std::span<const Skipped> skipped) {
  if (inputs > 0 || skipped.empty()) return;
  const std::string more =
      skipped.size() == 1 ? "" : fmt::format(" ({} more are no inputs either)", skipped.size() - 1);
  throw InputError(fmt::format("{}: {}{}", skipped.front().file, skipped.front().reason, more));
}

}  // namespace framefold
