#include "report/figures.hpp"

#include <algorithm>
#include <optional>

#include "scenario/codec.hpp"

namespace framefold {

namespace {

/// The lowest stack pointer on each stack.
class StackGauge : public TraceSink {
 public:
  explicit StackGauge(Oracle& oracle) : guest_(oracle.execution().guest()), execution_(oracle.execution()) {
    execution_.set_trace(this);
  }
  ~StackGauge() override { execution_.set_trace(nullptr); }
  StackGauge(const StackGauge&) = delete;
  StackGauge& operator=(const StackGauge&) = delete;

  void record(const TraceEvent& event) override {
    if (event.kind != TraceEvent::Kind::boundary && event.kind != TraceEvent::Kind::delivery) {
      return;
    }
    const GuestAddress pointer{event.kind == TraceEvent::Kind::delivery ? event.value : event.stack_pointer};
    if (const std::optional<StackId> stack = guest_.stack_of(pointer)) {
      std::optional<GuestAddress>& lowest = lowest_[static_cast<std::size_t>(*stack)];
      lowest = lowest ? std::min(*lowest, pointer) : pointer;
    }
  }

  /// Bytes that one run of the scenario needs at most.
  std::uint64_t measure(const Scenario& scenario, Outcome& outcome) {
    lowest_ = {};
    execution_.run_nested(scenario, kMaxArrivals, outcome);
    std::uint64_t bytes = 0;
    for (const StackId stack : {StackId::thread, StackId::interrupt, StackId::kernel}) {
      if (const std::optional<GuestAddress>& lowest = lowest_[static_cast<std::size_t>(stack)]) {
        bytes += first_pointer(stack, scenario.context) - *lowest;
      }
    }
    return bytes;
  }

 private:
  GuestAddress first_pointer(StackId stack, const Context& context) const {
    const GuestAddress top = guest_.stack_range(stack).end;
    if (stack == StackId::kernel) {
      return top - layout::kAboveStack;
    }
    const StackId own = context.stack == ContextStack::interrupt ? StackId::interrupt : StackId::thread;
    return stack == own ? top - layout::kAboveStack - context.stack_offset : top;
  }

  const Guest& guest_;
  Execution& execution_;
  std::array<std::optional<GuestAddress>, kStackCount> lowest_;
};

std::string_view family_of(const Entry& entry) {
  if (entry.region.size() == 0) {
    return "iret hypercall";
  }
  if (entry.description.nests) {
    return "nests";
  }
  return entry.table ? "byte table" : "single register";
}

bool is_handler(const Entry& entry, GuestAddress address) {
  return std::any_of(entry.vectors.begin(), entry.vectors.end(),
                     [address](const Vector& vector) { return vector.handler == address; });
}

/// Of functions up to the first modelled handler: behind it lie only others, of which an entry need not use all.
std::uint64_t code_bytes(const Entry& entry) {
  std::uint64_t bytes = 0;
  GuestAddress end = entry.text.begin;  // of what is counted: functions may lie in one another
  for (const Symbol& symbol : entry.symbols) {
    if (is_handler(entry, symbol.address)) {
      break;
    }
    const GuestAddress symbol_end = symbol.address + symbol.size;
    if (entry.text.contains(symbol.address) && symbol_end > end) {
      bytes += symbol_end - std::max(end, symbol.address);
      end = symbol_end;
    }
  }
  return bytes;
}

Scenario with_event(Scenario scenario, std::uint16_t distance) {
  Arrival event;
  event.distance = distance;
  event.port = scenario.arrival_count;
  scenario.arrivals[scenario.arrival_count++] = event;
  return scenario;
}

/// With one more event at each boundary, and where that one interrupts something, with the ones behind it.
void measure_nested(StackGauge& gauge, const Scenario& scenario, UpcallFigures& figures) {
  const std::size_t depth = scenario.arrival_count + std::size_t{1};
  Outcome outcome;
  for (std::uint16_t distance = 0;; ++distance) {
    const Scenario longer = with_event(scenario, distance);
    const std::uint64_t bytes = gauge.measure(longer, outcome);
    if (outcome.reached < longer.arrival_count) {
      return;
    }
    figures.stack[depth] = std::max(figures.stack[depth], bytes);
    if (depth + 1 < kNestingDepths && outcome.arrivals[scenario.arrival_count].delivered) {
      measure_nested(gauge, longer, figures);
    }
  }
}

/// The alignment of the context's stack pointer costs its padding once, whatever nests: what is aligned lies below it.
/// So the one that costs most alone costs most.
UpcallFigures measure_upcall(StackGauge& gauge, Scenario scenario, const Entry& entry) {
  UpcallFigures figures;
  const Context& context = scenario.context;
  figures.context = context.mode == GuestMode::user ? "user" : name_of(context.stack);
  Scenario worst = scenario;
  for (unsigned offset = 0; offset < kStackOffsets; ++offset) {
    scenario.context.stack_offset = static_cast<std::uint8_t>(offset);
    canonicalise(scenario, entry);
    Outcome outcome;
    const std::uint64_t bytes = gauge.measure(scenario, outcome);
    figures.instructions = outcome.boundaries - 2 * outcome.handler_calls;  // a handler has two boundaries
    if (bytes > figures.stack[0]) {
      figures.stack[0] = bytes;
      worst = scenario;
    }
  }
  measure_nested(gauge, worst, figures);
  for (std::size_t depth = 1; depth < kNestingDepths; ++depth) {
    figures.stack[depth] = std::max(figures.stack[depth], figures.stack[depth - 1]);
  }
  return figures;
}

/// An event that interrupts each kind of context that the entry has, with tags in all registers.
std::vector<Scenario> upcalls_of(const Entry& entry) {
  std::vector<Scenario> upcalls;
  for (const GuestMode mode : {GuestMode::kernel, GuestMode::user}) {
    for (const ContextStack stack : {ContextStack::thread, ContextStack::interrupt}) {
      Scenario scenario = decode({}, entry);
      scenario.context.mode = mode;
      scenario.context.stack = stack;
      canonicalise(scenario, entry);
      if (std::find(upcalls.begin(), upcalls.end(), scenario) == upcalls.end()) {
        upcalls.push_back(scenario);
      }
    }
  }
  return upcalls;
}

}  // namespace

std::uint64_t EntryFigures::worst_stack(std::size_t more_events) const {
  std::uint64_t worst = 0;
  for (const UpcallFigures& upcall : upcalls) {
    worst = std::max(worst, upcall.stack[more_events]);
  }
  return worst;
}

EntryFigures measure_entry(Oracle& oracle) {
  const Entry& entry = oracle.entry();
  EntryFigures figures;
  figures.family = family_of(entry);
  figures.code_bytes = code_bytes(entry);
  figures.region_bytes = entry.region.size();
  figures.table_bytes = entry.table ? entry.table->size() : 0;
  StackGauge gauge(oracle);
  for (const Scenario& upcall : upcalls_of(entry)) {
    figures.upcalls.push_back(measure_upcall(gauge, upcall, entry));
  }
  return figures;
}

}  // namespace framefold
