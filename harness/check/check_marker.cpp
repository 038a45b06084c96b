#include "check/check_marker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "run/execution.hpp"
#include "survey/code_clues.hpp"

namespace framefold {

namespace {

/// A run in which the handler marks its frame, or not.
struct MarkedRun : private TraceSink {
  MarkedRun(const Entry& entry, const Scenario& scenario, bool marks) {
    Entry copy = entry;
    for (Vector& vector : copy.vectors) {
      if (vector.description.kind == DeliveryKind::nmi) vector.description.marks = marks;
    }
    Execution execution(copy);
    execution.set_trace(this);
    Outcome outcome;
    execution.run_nested(scenario, 0, outcome);
    unmasks = outcome.resumed && !outcome.violations.contains(ViolationKind::nmi_masked);
  }

  std::vector<GuestAddress> path;
  bool unmasks = false;

 private:
  void record(const TraceEvent& event) override {
    if (event.kind == TraceEvent::Kind::boundary) path.push_back(event.address);
  }
};

/// Code may set the mark itself, or look at it on another way than this one.
bool mentions_mark(const Entry& entry) {
  constexpr std::uint64_t kMark = 0x80000000;
  constexpr std::uint64_t kExtended = 0xffffffff80000000;
  return mentions(entry.instructions, entry.width(), kMark) || mentions(entry.instructions, entry.width(), kExtended);
}

}  // namespace

void check_marker(const Entry& entry, const Scenario& plain) {
  const VectorDescription& vector = entry.vectors[plain.context.vector].description;
  if (vector.kind != DeliveryKind::nmi) return;
  const MarkedRun marked(entry, plain, true);
  const MarkedRun unmarked(entry, plain, false);
  constexpr const char* kKey = "nmi.marks";
  if (vector.marks && marked.path == unmarked.path && !mentions_mark(entry)) {
    throw description_error(entry.description, kKey,
                            "expected false: no instruction looks at bit 31 of the saved flags");
  }
  if (!vector.marks && marked.unmasks && !unmarked.unmasks) {
    throw description_error(
        entry.description, kKey,
        "expected true: without bit 31 in the saved flags the code leaves NMIs masked, with it not");
  }
}

}  // namespace framefold
