#include "cli/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace framefold {

namespace {

constexpr std::chrono::milliseconds kFirst{2000};  // what is over sooner needs no counter
constexpr std::chrono::milliseconds kAgain{200};
constexpr std::string_view kWipe = "\r\x1b[K";  // ECMA-48: erase to the end of the line

}  // namespace

Progress::Progress(std::string noun, std::size_t total)
    : noun_(std::move(noun)), total_(total), next_(Clock::now() + kFirst), watched_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { clear(); }

void Progress::show(std::size_t done) {
  if (!watched_ || Clock::now() < next_) {
    return;
  }
  next_ = Clock::now() + kAgain;
  shown_ = true;
  const std::string of = total_ == 0 ? std::string() : fmt::format(" of {}", total_);
  fmt::print(stderr, "{}framefold: {}{} {}", kWipe, done, of, noun_);
  std::fflush(stderr);
}

void Progress::clear() {
  if (std::exchange(shown_, false)) {
    std::fwrite(kWipe.data(), 1, kWipe.size(), stderr);
    std::fflush(stderr);
  }
}

}  // namespace framefold
