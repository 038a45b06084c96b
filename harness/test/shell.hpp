// Commands, run by the shell.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace framefold::test {

struct Printed {
  int status = -1;   // as a shell says it; -1: a signal ended it
  std::string text;  // both streams
};

inline Printed run_in_shell(const std::string& command) {
  Printed result;
  std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) {
    return result;
  }
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) != 0;) {
    result.text.append(buffer.data(), n);
  }
  const int state = ::pclose(pipe);
  result.status = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
  return result;
}

#ifdef FRAMEFOLD_BINARY
/// The framefold command.
inline Printed framefold(const std::string& arguments) { return run_in_shell("'" FRAMEFOLD_BINARY "' " + arguments); }
#endif

}  // namespace framefold::test
