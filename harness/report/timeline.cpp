#include "report/timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "image/description_rules.hpp"
#include "report/alignment.hpp"
#include "report/place.hpp"
#include "report/stack_picture.hpp"
#include "report/story.hpp"

namespace framefold {

namespace {

using Kind = TraceEvent::Kind;

constexpr std::size_t kLastInstructions = 10;
constexpr std::size_t kShownDifferences = 12;  // of one line, before the rest is only counted

std::string arrival_text(const Arrival& arrival, std::size_t index, const Entry& entry) {
  switch (arrival.kind) {
    case ArrivalKind::event:
      return fmt::format("* arrival {}: event, port {}", index, arrival.port);
    case ArrivalKind::exception:
      return fmt::format("* arrival {}: {}", index, entry.vectors[arrival.vector].description.name);
    case ArrivalKind::tick:
      if (arrival.spurious) {
        return fmt::format("* arrival {}: tick, a spurious upcall", index);
      }
      break;
    case ArrivalKind::nmi:
      break;
  }
  return fmt::format("* arrival {}: {}", index, name_of(arrival.kind));
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

using Row = TimelineRow;

std::size_t first_resumption(const RunStory& run) {
  const auto at = std::find_if(run.moments.begin(), run.moments.end(),
                               [](const Moment& m) { return m.event.kind == Kind::resumption; });
  return static_cast<std::size_t>(at - run.moments.begin());
}

bool shows(const TraceEvent& event, ViolationKind kind) {
  return event.kind == Kind::violation && event.value == static_cast<std::uint64_t>(kind);
}

/// Which moments of a run are worth a line.
class Choice {
 public:
  /// `end`: one behind the last moment that is told; `tail`: behind the last instruction that matters.
  Choice(const RunStory& run, std::size_t end, std::size_t tail, bool everything) : chosen_(run.moments.size(), false) {
    const std::vector<Moment>& moments = run.moments;
    const auto boundary = [](const Moment& m) { return m.event.kind == Kind::boundary; };
    auto instructions = static_cast<std::size_t>(
        std::count_if(moments.begin(), moments.begin() + static_cast<std::ptrdiff_t>(std::min(end, tail)), boundary));
    for (std::size_t i = 0; i < end; ++i) {
      const bool hit = i + 1 < end && moments[i + 1].event.kind == Kind::arrival;
      const bool aside = boundary(moments[i]) && (i >= tail || instructions-- > kLastInstructions) && !hit;
      chosen_[i] = everything || (!aside && moments[i].event.kind != Kind::window_closed && !repeats(moments, i));
    }
  }
  bool operator[](std::size_t i) const { return i < chosen_.size() && chosen_[i]; }

 private:
  /// Judging one state can break one promise in many ways: a register-mismatch a register. The first says it.
  static bool repeats(const std::vector<Moment>& moments, std::size_t i) {
    const TraceEvent& event = moments[i].event;
    return event.kind == Kind::violation &&
           std::any_of(moments.begin(), moments.begin() + static_cast<std::ptrdiff_t>(i), [&](const Moment& other) {
             return other.event.kind == Kind::violation && other.event.value == event.value &&
                    other.event.address == event.address && other.event.step == event.step;
           });
  }

  std::vector<bool> chosen_;
};

class Teller {
 public:
  Teller(const Guest& guest, const Scenario& scenario, const Story& story, const TimelineOptions& options)
      : guest_(guest),
        scenario_(scenario),
        story_(story),
        options_(options),
        beside_(!story.reference.moments.empty()) {
    const bool wide = guest.entry().width() == Width::k64;
    rows_.push_back({{}, Ink::strong, ""});
    std::vector<std::string>& head = rows_.back().cells;
    head.emplace_back("step");
    if (beside_) {
      head.emplace_back("ref");
    }
    head.emplace_back("place");
    if (options_.lines != nullptr) {
      head.emplace_back("source");
    }
    for (const char* name : {"instruction, or what happened", "mask", "pending", wide ? "rsp" : "esp", "depth"}) {
      head.emplace_back(name);
    }
  }

  std::vector<Row> tell(std::size_t nested_end, std::size_t reference_end, bool everything) {
    const Choice nested(story_.nested, nested_end, nested_end, everything);
    const Choice reference(story_.reference, reference_end, first_resumption(story_.reference), everything);
    for (const MomentPair& pair : align(story_)) {
      const bool chosen = nested[pair.nested] || (pair.nested == MomentPair::kNone && reference[pair.reference]);
      if (!chosen) {
        continue;
      }
      announce(pair);
      add(pair);
    }
    return std::move(rows_);
  }

 private:
  enum class Section : std::uint8_t { none, both, nested, reference };

  /// Says where the runs part and meet.
  void announce(const MomentPair& pair) {
    Section section = Section::both;
    if (!pair.both()) {
      section = pair.nested == MomentPair::kNone ? Section::reference : Section::nested;
    }
    if (beside_ && section != section_ && section_ != Section::none) {
      constexpr std::array<std::string_view, 4> kTexts = {"", "-- both runs again", "-- the nested run alone",
                                                          "-- the reference run alone: it holds arrivals back"};
      rows_.push_back({{}, Ink::faint, std::string(kTexts[static_cast<std::size_t>(section)])});
      parted_ = true;
    }
    section_ = section;
  }

  void add(const MomentPair& pair) {
    const bool nested = pair.nested != MomentPair::kNone;
    const Moment& moment = nested ? story_.nested.moments[pair.nested] : story_.reference.moments[pair.reference];
    const TraceEvent& event = moment.event;
    Row row{{nested ? fmt::format("{}", event.step) : ""}, ink_of(event.kind), ""};
    if (beside_) {
      row.cells.push_back(pair.reference == MomentPair::kNone
                              ? ""
                              : fmt::format("{}", story_.reference.moments[pair.reference].event.step));
    }
    row.cells.push_back(place_text(guest_, event.address));
    if (options_.lines != nullptr) {
      row.cells.push_back(source_text(options_.lines, event.address));
    }
    row.cells.push_back(event_text(event, scenario_, guest_) + fold_text(nested, pair.nested));
    row.cells.push_back(fmt::format("{:x}", event.mask));
    row.cells.push_back(fmt::format("{:x}", event.pending));
    row.cells.push_back(place_text(guest_, {event.stack_pointer}));
    row.cells.push_back(fmt::format("{}", event.depth));
    rows_.push_back(std::move(row));
    if (pair.both() && parted_) {
      add_differences(moment, story_.reference.moments[pair.reference]);
    }
    if (nested && shows(moment.event, ViolationKind::stack_smash)) {
      add_smashed(pair.nested);
    }
    if (nested && shows(moment.event, ViolationKind::register_mismatch)) {
      add_mismatches(pair.nested);
    }
  }

  std::string fold_text(bool nested, std::size_t index) const {
    for (const FoldStory& fold : nested ? story_.nested.folds : std::vector<FoldStory>()) {
      if (fold.handled == index) {
        return "; " + copied_text(fold);
      }
    }
    return "";
  }

  /// What differs, where it is not what differed at the line before.
  void add_differences(const Moment& nested, const Moment& reference) {
    const std::vector<Difference> now = differences(guest_, nested, reference);
    if (now == last_) {
      return;
    }
    last_ = now;
    if (now.empty()) {
      rows_.push_back({{}, Ink::good, "   nothing differs here"});
    }
    for (std::size_t i = 0; i < now.size() && i < kShownDifferences; ++i) {
      rows_.push_back({{},
                       Ink::bad,
                       fmt::format("   differs: {}: nested {}, reference {}", now[i].what, value(now[i].nested),
                                   value(now[i].reference))});
    }
    if (now.size() > kShownDifferences) {
      rows_.push_back({{}, Ink::bad, fmt::format("   and {} more", now.size() - kShownDifferences)});
    }
  }

  /// Which words of the context's stacks are not what they were, and what has stored them.
  void add_smashed(std::size_t violation) {
    const std::vector<Moment>& moments = story_.nested.moments;
    for (const SmashedWord& word : smashed_words(guest_, story_.nested, violation)) {
      const TraceEvent& by = moments[word.stored].event;
      rows_.push_back({{},
                       Ink::bad,
                       fmt::format("   changed: {}: {}, was {}; by {}, step {}", place_text(guest_, word.address),
                                   value(word.value), value(word.old), place_text(guest_, by.address), by.step)});
    }
  }

  /// Each register: the violations that Choice leaves out.
  void add_mismatches(std::size_t violation) {
    const std::vector<Moment>& moments = story_.nested.moments;
    const Width width = guest_.entry().width();
    for (std::size_t i = violation; i < moments.size() && shows(moments[i].event, ViolationKind::register_mismatch);
         ++i) {
      const ViolationDetail& detail = moments[i].detail;
      rows_.push_back({{},
                       Ink::bad,
                       fmt::format("   wrong: {}: expected {}, found {}", written_slot_name(detail.what, width),
                                   value(detail.expected), value(detail.found))});
    }
  }

  std::string value(std::uint64_t number) const {
    const std::optional<std::string> place = known_place(guest_, {number});
    return place ? fmt::format("{:#x} ({})", number, *place) : fmt::format("{:#x}", number);
  }

  const Guest& guest_;
  const Scenario& scenario_;
  const Story& story_;
  const TimelineOptions& options_;
  bool beside_;
  bool parted_ = false;
  Section section_ = Section::none;
  std::vector<Row> rows_;
  std::vector<Difference> last_;
};

/// One behind the violation of this kind; the end where the run shows none. Where a run may show the kind at several
/// arrivals it is the last: the scenario is cut behind the arrival that brings it about, those before it are others.
std::size_t end_of(const RunStory& run, ViolationKind violation) {
  const auto is_shown = [violation](const Moment& moment) { return shows(moment.event, violation); };
  const std::vector<Moment>& all = run.moments;
  if (is_judged_in_flight(violation)) {
    const auto behind = std::find_if(all.rbegin(), all.rend(), is_shown).base();
    return static_cast<std::size_t>((behind == all.begin() ? all.end() : behind) - all.begin());
  }
  const auto at = std::find_if(all.begin(), all.end(), is_shown);
  return static_cast<std::size_t>(at - all.begin()) + (at == all.end() ? 0 : 1);
}

/// Whether the nested run shows it before the context resumes: the reference run has nothing to add then.
bool shows_early(const RunStory& nested, ViolationKind violation) {
  const auto before = nested.moments.begin() + static_cast<std::ptrdiff_t>(first_resumption(nested));
  return std::any_of(nested.moments.begin(), before,
                     [violation](const Moment& m) { return shows(m.event, violation); });
}

/// Numbers to the right, words to the left.
std::string aligned(const std::vector<Row>& rows, const Style& style) {
  const std::vector<std::string>& head = rows.front().cells;
  std::vector<std::size_t> widths(head.size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], row.cells[i].size());
    }
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = row.text;
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      const bool word = head[i] == "place" || head[i] == "source" || head[i] == "rsp" || head[i] == "esp" ||
                        head[i] == "instruction, or what happened";
      line += i == 0 ? "" : "  ";
      line += word ? fmt::format("{:<{}}", row.cells[i], widths[i]) : fmt::format("{:>{}}", row.cells[i], widths[i]);
    }
    text += style.paint(row.ink, line) + "\n";
  }
  return text;
}

std::string heading(std::string_view run, std::size_t arrivals, const Scenario& scenario) {
  const std::size_t all = scenario.arrival_count;
  const std::string cut = arrivals < all ? fmt::format(", cut after {} of {} arrivals", arrivals, all) : std::string();
  return fmt::format("{}{}:", run, cut);
}

constexpr std::string_view kNestedRun = "nested run";
constexpr std::string_view kReferenceRun = "reference run (arrivals held back until the context has resumed)";
constexpr std::string_view kBothRuns =
    "nested run, and reference run (arrivals held back until the context has resumed)";

std::vector<StackPicture> pictures(const Guest& guest, const RunStory& run, std::size_t end,
                                   const TimelineOptions& options) {
  std::vector<StackPicture> all = options.stacks ? stack_pictures(guest, run) : std::vector<StackPicture>();
  all.erase(std::remove_if(all.begin(), all.end(), [end](const StackPicture& p) { return p.moment >= end; }),
            all.end());
  return all;
}

Timeline timeline_of_finding(Oracle& oracle, const Scenario& scenario, const Finding& finding,
                             const TimelineOptions& options) {
  const Guest& guest = oracle.execution().guest();
  Story story = tell_story(oracle, scenario, finding.arrivals, true);
  std::string_view runs = kBothRuns;
  if (finding.source == ViolationSource::reference) {
    runs = kReferenceRun;
    story.nested = std::move(story.reference);
    story.reference = {};
  } else if (finding.source == ViolationSource::nested && shows_early(story.nested, finding.kind)) {
    runs = kNestedRun;
    story.reference = {};
  }
  const std::size_t end = end_of(story.nested, finding.kind);
  return {heading(runs, finding.arrivals, scenario),
          Teller(guest, scenario, story, options).tell(end, end_of(story.reference, finding.kind), false),
          pictures(guest, story.nested, end, options)};
}

}  // namespace

Timeline make_timeline(Oracle& oracle, const Scenario& scenario, const Finding* finding,
                       const TimelineOptions& options) {
  if (finding != nullptr && !options.full) {
    return timeline_of_finding(oracle, scenario, *finding, options);
  }
  const Story story = tell_story(oracle, scenario, kMaxArrivals, options.full);
  const Guest& guest = oracle.execution().guest();
  const std::size_t end = story.nested.moments.size();
  return {heading(options.full ? kBothRuns : kNestedRun, kMaxArrivals, scenario),
          Teller(guest, scenario, story, options).tell(end, story.reference.moments.size(), options.full),
          pictures(guest, story.nested, end, options)};
}

std::string to_text(const Timeline& timeline, const Style& style) {
  std::string text = style.paint(Ink::strong, timeline.heading) + "\n" + aligned(timeline.rows, style);
  for (const StackPicture& picture : timeline.pictures) {
    text += "\n" + to_text(picture, style);
  }
  return text;
}

std::string short_timeline(Oracle& oracle, const Scenario& scenario, const Finding& finding, const Style& style) {
  return to_text(make_timeline(oracle, scenario, &finding, {}), style);
}

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
    case Kind::wrong_frame:  // the handler's moment tells it
      return {};
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

std::string source_text(const SourceLines* lines, GuestAddress address) {
  const SourceLine line = lines == nullptr ? SourceLine{} : lines->find(address);
  return line.line == 0 ? std::string() : fmt::format("{}:{}", line.file->substr(line.file->rfind('/') + 1), line.line);
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
