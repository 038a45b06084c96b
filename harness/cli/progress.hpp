// A counter on standard error for work that takes a while. Silent where nobody watches.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace framefold {

class Progress {
 public:
  /// `noun`: what is counted, "files". A `total` of 0: nobody knows how many there will be.
  explicit Progress(std::string noun, std::size_t total = 0);
  /// Wipes its line away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::size_t done);
  /// Before other output, so that it does not land behind the counter.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string noun_;
  std::size_t total_;
  Clock::time_point next_;  // not before
  bool watched_;
  bool shown_ = false;
};

}  // namespace framefold
