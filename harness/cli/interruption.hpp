// SIGINT and SIGTERM for commands that report what they have when they are interrupted.
#pragma once

#include <atomic>
#include <csignal>

namespace framefold {

/// Set by the signals while a guard lives, and from then on.
extern std::atomic<bool> interrupted;

inline constexpr int kExitInterrupted = 130;  // 128 + SIGINT, as shells have it

/// While it lives, SIGINT and SIGTERM set `interrupted`; a second one ends the process.
class InterruptionGuard {
 public:
  InterruptionGuard();
  ~InterruptionGuard();
  InterruptionGuard(const InterruptionGuard&) = delete;
  InterruptionGuard& operator=(const InterruptionGuard&) = delete;

 private:
  struct sigaction interrupt_ {};
  struct sigaction terminate_ {};
};

}  // namespace framefold
