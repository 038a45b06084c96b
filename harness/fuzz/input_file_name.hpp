// The name of the file that holds an input, known before the fuzzing engine has written it, so that a report can end
// with a command that works as it stands.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace framefold {

class InputFileName {
 public:
  InputFileName() = default;
  /// From the arguments that libFuzzer gets.
  explicit InputFileName(std::span<const char* const> arguments);

  /// Where `input` lies or will lie. Nothing where that cannot be told: several files are replayed, or the engine is
  /// not libFuzzer.
  std::optional<std::string> of(std::span<const std::uint8_t> input) const;

  /// The file that libFuzzer is asked to make smaller; nothing where it does something else.
  std::optional<std::string> minimised() const;

 private:
  std::string artifact_prefix_ = "./";
  std::string exact_path_;
  std::string replayed_;
  std::size_t replayed_count_ = 0;
  bool minimising_ = false;
};

}  // namespace framefold
