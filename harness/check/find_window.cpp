#include "check/find_window.hpp"

#include <algorithm>
#include <set>

#include "check/longest_run.hpp"
#include "run/execution.hpp"
#include "scenario/enumerate.hpp"

namespace framefold {

namespace {

/// Collects the instructions of the entry's own at which a window is open.
class Windows : private TraceSink {
 public:
  explicit Windows(const Entry& entry) : entry_(entry), execution_(entry) {
    ExecutionOptions options;
    options.runaway_limit = kLongestRun;
    execution_.set_options(options);
    execution_.set_trace(this);
  }

  void look(const Scenario& scenario) {
    Outcome outcome;
    execution_.run_nested(scenario, 0, outcome);
  }

  const std::set<GuestAddress>& seen() const { return seen_; }

 private:
  void record(const TraceEvent& event) override {
    if (event.kind != TraceEvent::Kind::boundary || execution_.activations().empty()) return;
    const bool open = execution_.activations().youngest().window;
    if (open && find_instruction(entry_, event.address) != nullptr) seen_.insert(event.address);
  }

  const Entry& entry_;
  Execution execution_;
  std::set<GuestAddress> seen_;
};

GuestAddress end_of(const Entry& entry, GuestAddress address) {
  return address + find_instruction(entry, address)->length;
}

/// All of them; or the longest of the parts of at most kMostCritical bytes that they fall into, from the first on.
GuestRange range_around(const Entry& entry, const std::set<GuestAddress>& seen) {
  GuestRange longest{entry.text.begin, entry.text.begin};
  GuestRange part = longest;
  for (const GuestAddress address : seen) {
    const GuestAddress end = end_of(entry, address);
    if (part.size() == 0 || end - part.begin > kMostCritical) part.begin = address;
    part.end = end;
    if (part.size() > longest.size()) longest = part;
  }
  return longest;
}

}  // namespace

std::unique_ptr<const Entry> with_window(std::unique_ptr<Entry> entry) {
  if (entry->critical.size() != 0) return entry;
  Windows windows(*entry);
  for (const Scenario& plain : plain_contexts(*entry)) windows.look(plain);
  entry->critical = range_around(*entry, windows.seen());
  return entry;
}

}  // namespace framefold
