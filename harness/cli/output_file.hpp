// Files that we write.
#pragma once

#include <csignal>
#include <cstdint>
#include <span>
#include <string>

namespace framefold {

/// Writes all of the file or nothing: into a new file beside it, which then takes its name. Throws InputError where
/// that cannot be done, and, without `force`, where `path` is a file with other contents.
void write_output_file(const std::string& path, std::span<const std::uint8_t> bytes, bool force);

/// Throws InputError where write_output_file() could not make a file there, or, without `force`, where there is one
/// already: said before the work whose result is to be written, and nothing is left behind.
void expect_output_place(const std::string& path, bool force);

/// The same of a folder for files, which is made with those above it when the first is written.
void expect_output_folder(const std::string& folder);

/// Throws InputError where `output` is, under whatever name, one of the files or folders that a command reads.
void expect_no_input(const std::string& output, std::span<const std::string> inputs);

/// Signals that end the program wait for as long as this lives: it leaves no half of what it writes.
class SignalsHeld {
 public:
  SignalsHeld();
  ~SignalsHeld();
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace framefold
