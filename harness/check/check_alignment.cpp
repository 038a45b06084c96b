#include "check/check_alignment.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "run/execution.hpp"

namespace framefold {

namespace {

constexpr std::uint64_t kMost = 64;
constexpr std::uint32_t kLargestOfAnAbi =
    16;  // System V, i386 and x86-64; what vectors of 32 bytes want is a compiler's

/// The alignment at each handler's first instruction.
class AlignmentWatch : private TraceSink {
 public:
  explicit AlignmentWatch(const Entry& entry) : word_(word_size(entry.width())), execution_(entry) {}

  void run(const Scenario& scenario) {
    execution_.set_trace(this);
    Outcome outcome;
    execution_.run_nested(scenario, 0, outcome);
    execution_.set_trace(nullptr);
  }
  std::uint64_t least() const { return least_; }

 private:
  void record(const TraceEvent& event) override {
    if (event.kind != TraceEvent::Kind::handler) return;
    const std::uint64_t sum = event.stack_pointer + word_;
    while (sum % least_ != 0) least_ /= 2;
  }

  unsigned word_;
  Execution execution_;
  std::uint64_t least_ = kMost;
};

}  // namespace

std::uint32_t check_alignment(const Entry& entry, std::span<const Scenario> plain) {
  AlignmentWatch watch(entry);
  for (const Scenario& scenario : plain) {
    for (unsigned offset = 0; offset < kStackOffsets; offset += word_size(entry.width())) {
      Scenario moved = scenario;
      moved.context.stack_offset = static_cast<std::uint8_t>(offset);
      watch.run(moved);
    }
  }
  const std::uint32_t asked = entry.description.handler.stack_alignment;
  if (asked > kLargestOfAnAbi && asked > watch.least()) {
    throw description_error(entry.description, "handler.stack_alignment",
                            fmt::format("expected at most {}, as the ABI asks, or code that keeps it: handlers are "
                                        "called with the stack at a multiple of {}",
                                        kLargestOfAnAbi, watch.least()));
  }
  return static_cast<std::uint32_t>(watch.least());
}

}  // namespace framefold
