// Stands in for a fuzzing engine where there is none: runs the last argument, a file, once. An abort says in which
// functions.
#include <execinfo.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <iterator>
#include <span>
#include <vector>

#include "fuzz/fuzz_target.hpp"

namespace {

constexpr std::size_t kFrames = 64;

void print_stack(int signal) {
  std::array<void*, kFrames> frames;
  const int count = backtrace(frames.data(), static_cast<int>(frames.size()));
  // The addresses are those behind the calls; behind one that never returns lies another function.
  for (void*& frame : std::span(frames).first(static_cast<std::size_t>(count))) {
    frame = static_cast<char*>(frame) - 1;
  }
  backtrace_symbols_fd(frames.data(), count, STDERR_FILENO);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGABRT, print_stack);
  LLVMFuzzerInitialize(&argc, &argv);
  std::ifstream file(argv[argc - 1], std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  return 0;
}
