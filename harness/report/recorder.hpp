// Keeps what a run reports, in order.
#pragma once

#include <span>
#include <vector>

#include "run/trace.hpp"

namespace framefold {

class Recorder final : public TraceSink {
 public:
  void record(const TraceEvent& event) override { events_.push_back(event); }
  std::span<const TraceEvent> events() const { return events_; }
  void clear() { events_.clear(); }

 private:
  std::vector<TraceEvent> events_;
};

}  // namespace framefold
