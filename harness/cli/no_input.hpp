// What lies beside a fuzzer's inputs and is none: logs, summaries, notes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace framefold {

/// Bytes of a file that may be an input: AFL++'s limit (MAX_FILE). libFuzzer's is 4,096 unless told otherwise.
inline constexpr std::size_t kMaxInputFile = std::size_t{1} << 20;

struct Skipped {
  std::string file;
  std::string reason;
};

/// Hidden files and *.md, of which nobody would think that they are inputs.
bool is_passed_over(const std::filesystem::path& file);

/// Why a file with these bytes is no input; nothing where it may be one. Every string of bytes can be one, so what has
/// a name that fuzzers give to inputs is one; of others, what they write beside them by its name, and text is none: 32
/// bytes or more with nothing but what is printed.
std::optional<std::string> why_no_input(const std::filesystem::path& file, std::span<const std::uint8_t> bytes);

/// What an error of reading `file` says, without its name.
std::string reason_of(const std::exception& error, const std::string& file);

/// A line each on standard error.
void note_skipped(std::span<const Skipped> skipped);

/// Throws InputError, with the first of the reasons, where every file was skipped.
void expect_not_all_skipped(std::size_t inputs, std::span<const Skipped> skipped);

}  // namespace framefold
