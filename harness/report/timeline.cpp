#include "report/timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <vector>

#include "report/place.hpp"
#include "report/recorder.hpp"
#include "run/replay.hpp"

namespace framefold {

namespace {

using Kind = TraceEvent::Kind;

constexpr std::size_t kLastInstructions = 10;
constexpr std::size_t kColumns = 7;

/// One line, before its columns are aligned.
struct Row {
  std::array<std::string, kColumns> cells;
  Ink ink = Ink::plain;
};

/// Both runs of a scenario, or only the nested one.
struct Story {
  std::vector<TraceEvent> nested;
  std::vector<TraceEvent> reference;
};

/// Sets the trace for as long as it lives, so that an error on the way leaves none behind.
class Tracing {
 public:
  Tracing(Execution& execution, Recorder& recorder) : execution_(execution) { execution_.set_trace(&recorder); }
  ~Tracing() { execution_.set_trace(nullptr); }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

 private:
  Execution& execution_;
};

std::vector<TraceEvent> taken(Recorder& recorder) {
  std::vector<TraceEvent> events(recorder.events().begin(), recorder.events().end());
  recorder.clear();
  return events;
}

Story run_again(Oracle& oracle, const Scenario& scenario, std::size_t arrivals, bool with_reference) {
  Recorder recorder;
  const Tracing tracing(oracle.execution(), recorder);
  Outcome nested;
  Story story;
  oracle.execution().run_nested(scenario, arrivals, nested);
  story.nested = taken(recorder);
  if (with_reference && !nested.violations.closed) {
    Outcome reference;
    oracle.execution().run_reference(replay_of(scenario, nested).scenario, reference);
    story.reference = taken(recorder);
  }
  return story;
}

std::string arrival_text(const Arrival& arrival, std::size_t index, const Entry& entry) {
  switch (arrival.kind) {
    case ArrivalKind::event:
      return fmt::format("* arrival {}: event, port {}", index, arrival.port);
    case ArrivalKind::exception:
      return fmt::format("* arrival {}: {}", index, entry.vectors[arrival.vector].description.name);
    case ArrivalKind::tick:
    case ArrivalKind::nmi:
      break;
  }
  return fmt::format("* arrival {}: {}", index, name_of(arrival.kind));
}

/// What the third column says of an event.
std::string event_text(const TraceEvent& event, const Scenario& scenario, const Guest& guest) {
  const std::string name = event.vector == nullptr ? "" : event.vector->description.name;
  switch (event.kind) {
    case Kind::boundary:
      return instruction_text(guest, event.address);
    case Kind::arrival:
      return arrival_text(scenario.arrivals[event.value], event.value, guest.entry());
    case Kind::delivery:
      return fmt::format("> {} delivered, enters {}", name, place_text(guest, event.vector->address));
    case Kind::handler:
      return fmt::format("handler gets the frame at {}", place_text(guest, {event.value}));
    case Kind::fold:
      return fmt::format("= folded: event taken at {}", place_text(guest, {event.value}));
    case Kind::returned:
      return fmt::format("< returns to {}", place_text(guest, {event.value}));
    case Kind::window_open:
      return "window opens: events are unmasked";
    case Kind::window_closed:
      return "window closes";
    case Kind::hypercall:
      return fmt::format("hypercall {}", event.value);
    case Kind::resumption:
      return "context resumes";
    case Kind::violation:
      return fmt::format("! {}", name_of(static_cast<ViolationKind>(event.value)));
  }
  return {};
}

Ink ink_of(Kind kind) {
  switch (kind) {
    case Kind::arrival:
    case Kind::delivery:
    case Kind::window_open:
      return Ink::note;
    case Kind::fold:
    case Kind::resumption:
      return Ink::good;
    case Kind::violation:
      return Ink::bad;
    default:
      return Ink::plain;
  }
}

Row row_of(const TraceEvent& event, const Scenario& scenario, const Guest& guest) {
  const GuestAddress stack{event.stack_pointer};
  return {{fmt::format("{}", event.step), place_text(guest, event.address), event_text(event, scenario, guest),
           fmt::format("{:x}", event.mask), fmt::format("{:x}", event.pending),
           stack_text(guest, stack).value_or(fmt::format("{:#x}", stack.value)), fmt::format("{}", event.depth)},
          ink_of(event.kind)};
}

/// Numbers to the right, words to the left.
constexpr std::array<bool, kColumns> kRightAligned = {true, false, false, true, true, false, true};

std::string layout_rows(std::span<const Row> rows, const Style& style) {
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      widths[i] = std::max(widths[i], row.cells[i].size());
    }
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < kColumns; ++i) {
      const std::string_view gap = i == 0 ? "" : "  ";
      if (kRightAligned[i]) {
        line += fmt::format("{}{:>{}}", gap, row.cells[i], widths[i]);
      } else {
        line += fmt::format("{}{:<{}}", gap, row.cells[i], widths[i]);
      }
    }
    text += style.paint(row.ink, line) + "\n";
  }
  return text;
}

std::string table_of(std::span<const TraceEvent> events, const Scenario& scenario, const Guest& guest,
                     const Style& style) {
  const bool wide = guest.entry().width() == Width::k64;
  std::vector<Row> rows{
      {{"step", "place", "instruction, or what happened", "mask", "pending", wide ? "rsp" : "esp", "depth"},
       Ink::strong}};
  for (const TraceEvent& event : events) {
    rows.push_back(row_of(event, scenario, guest));
  }
  return layout_rows(rows, style);
}

/// Judging one state can break one promise in many ways: a register-mismatch a register. The first says it.
bool repeats(const TraceEvent& event, std::span<const TraceEvent> before) {
  return event.kind == Kind::violation && std::any_of(before.begin(), before.end(), [&](const TraceEvent& other) {
           return other.kind == Kind::violation && other.value == event.value && other.address == event.address &&
                  other.step == event.step;
         });
}

/// What matters up to the violation of this kind, or to the end where the run shows none.
std::vector<TraceEvent> story_of(std::span<const TraceEvent> events, std::optional<ViolationKind> violation) {
  const auto shows = [violation](const TraceEvent& event) {
    return event.kind == Kind::violation && violation && event.value == static_cast<std::uint64_t>(*violation);
  };
  const auto last = std::find_if(events.begin(), events.end(), shows);
  const auto end = last == events.end() ? last : std::next(last);
  auto instructions = static_cast<std::size_t>(
      std::count_if(events.begin(), end, [](const TraceEvent& event) { return event.kind == Kind::boundary; }));
  std::vector<TraceEvent> story;
  for (auto event = events.begin(); event != end; ++event) {
    const bool instruction = event->kind == Kind::boundary;
    const bool hit = std::next(event) != end && std::next(event)->kind == Kind::arrival;
    const bool too_early = instruction && instructions-- > kLastInstructions && !hit;
    if (!too_early && event->kind != Kind::window_closed && !repeats(*event, story)) {
      story.push_back(*event);
    }
  }
  return story;
}

std::string heading(std::string_view run, std::size_t arrivals, const Scenario& scenario, const Style& style) {
  const std::size_t all = scenario.arrival_count;
  const std::string cut = arrivals < all ? fmt::format(", cut after {} of {} arrivals", arrivals, all) : std::string();
  return style.paint(Ink::strong, fmt::format("{}{}:", run, cut)) + "\n";
}

constexpr std::string_view kNestedRun = "nested run";
constexpr std::string_view kReferenceRun = "reference run (arrivals held back until the context has resumed)";

}  // namespace

std::string short_timeline(Oracle& oracle, const Scenario& scenario, const Finding& finding, const Style& style) {
  const std::size_t arrivals = finding.arrivals;
  const bool with_reference = finding.source != ViolationSource::nested;
  const Story story = run_again(oracle, scenario, arrivals, with_reference);
  const Guest& guest = oracle.execution().guest();
  std::string text;
  if (finding.source != ViolationSource::reference) {
    text += heading(kNestedRun, arrivals, scenario, style) +
            table_of(story_of(story.nested, finding.kind), scenario, guest, style);
  }
  if (with_reference) {
    text += heading(kReferenceRun, arrivals, scenario, style) +
            table_of(story_of(story.reference, finding.kind), scenario, guest, style);
  }
  return text;
}

std::string short_timeline(Oracle& oracle, const Scenario& scenario, const Style& style) {
  const Story story = run_again(oracle, scenario, kMaxArrivals, false);
  return heading(kNestedRun, kMaxArrivals, scenario, style) +
         table_of(story_of(story.nested, std::nullopt), scenario, oracle.execution().guest(), style);
}

std::string full_timeline(Oracle& oracle, const Scenario& scenario, const Style& style) {
  const Story story = run_again(oracle, scenario, kMaxArrivals, true);
  const Guest& guest = oracle.execution().guest();
  std::string text =
      heading(kNestedRun, kMaxArrivals, scenario, style) + table_of(story.nested, scenario, guest, style);
  if (!story.reference.empty()) {
    text += heading(kReferenceRun, kMaxArrivals, scenario, style) + table_of(story.reference, scenario, guest, style);
  }
  return text;
}

std::string arrival_label(const Guest& guest, const ArrivalRecord& arrival) {
  if (!arrival.reached) {
    return "not reached";
  }
  const std::string instruction = instruction_text(guest, arrival.boundary);
  return fmt::format("{}{}, {}", place_text(guest, arrival.boundary),
                     instruction.empty() ? "" : fmt::format(" ({})", instruction),
                     arrival.delivered ? "delivered" : "not delivered");
}

}  // namespace framefold
