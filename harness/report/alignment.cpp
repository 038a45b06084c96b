#include "report/alignment.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "report/place.hpp"

namespace framefold {

namespace {

using Kind = TraceEvent::Kind;

bool same_event(const TraceEvent& a, const TraceEvent& b) {
  return a.kind == b.kind && a.address == b.address && a.vector == b.vector;
}

std::size_t first_resumption(const RunStory& run) {
  const auto at = std::find_if(run.moments.begin(), run.moments.end(),
                               [](const Moment& m) { return m.event.kind == Kind::resumption; });
  return static_cast<std::size_t>(at - run.moments.begin());
}

class Differ {
 public:
  Differ(const Guest& guest, const Moment& nested, const Moment& reference)
      : guest_(guest), width_(guest.entry().width()), nested_(nested), reference_(reference) {}

  std::vector<Difference> run() {
    compare_registers();
    compare("event mask", nested_.event.mask, reference_.event.mask);
    compare("pending byte", nested_.event.pending, reference_.event.pending);
    compare("async_exception_mask", nested_.event.async_exception_mask, reference_.event.async_exception_mask);
    compare("work flag", nested_.event.work_flag, reference_.event.work_flag);
    for (std::size_t i = 0; i < kStackCount; ++i) {
      compare_stack(i);
    }
    return std::move(found_);
  }

 private:
  void compare(std::string what, std::uint64_t nested, std::uint64_t reference) {
    if (nested != reference) {
      found_.push_back({std::move(what), nested, reference});
    }
  }

  void compare_registers() {
    const Registers& a = nested_.registers;
    const Registers& b = reference_.registers;
    for (std::size_t i = 0; i < gpr_count(width_); ++i) {
      compare(std::string(name_of(static_cast<Gpr>(i), width_)), a.gpr[i], b.gpr[i]);
    }
    compare(width_ == Width::k64 ? "rip" : "eip", a.rip, b.rip);
    compare(width_ == Width::k64 ? "rflags" : "eflags", a.rflags & kContextFlags, b.rflags & kContextFlags);
    for (std::size_t i = 0; i < kSegmentCount; ++i) {
      compare(std::string(name_of(static_cast<Segment>(i))), a.segment[i], b.segment[i]);
    }
  }

  /// From the stack pointer up on the current stack; of others what both runs have used.
  void compare_stack(std::size_t i) {
    const unsigned word = word_size(width_);
    const StackCopy& a = nested_.stacks[i];
    const StackCopy& b = reference_.stacks[i];
    if (a.bytes.empty() || b.bytes.empty()) {
      return;
    }
    const GuestRange& range = guest_.stack_range(static_cast<StackId>(i));
    GuestAddress low = std::max(a.low, b.low);
    for (const std::uint64_t pointer : {nested_.event.stack_pointer, reference_.event.stack_pointer}) {
      if (range.contains({pointer})) {
        low = std::max(low, GuestAddress{pointer});
      }
    }
    if (!is_live(i)) {
      return;
    }
    for (GuestAddress at = low; at < range.end; at = at + word) {
      const std::string slot = slot_name(guest_.entry(), nested_, at);
      compare(place_text(guest_, at) + (slot.empty() ? "" : fmt::format(" ({})", slot)), a.word(at, word).value_or(0),
              b.word(at, word).value_or(0));
    }
  }

  /// What was left on a stack that nobody is on is dead, unless a frame lies there that has not been returned from.
  bool is_live(std::size_t i) const {
    const GuestRange& range = guest_.stack_range(static_cast<StackId>(i));
    const bool returned = nested_.event.kind == Kind::returned && !nested_.frames.empty();
    const bool framed = std::any_of(nested_.frames.begin(), nested_.frames.end() - (returned ? 1 : 0),
                                    [&](const LiveFrame& frame) { return range.contains(frame.base); });
    return framed || range.contains({nested_.event.stack_pointer});
  }

  const Guest& guest_;
  Width width_;
  const Moment& nested_;
  const Moment& reference_;
  std::vector<Difference> found_;
};

}  // namespace

std::vector<MomentPair> align(const Story& story) {
  const std::vector<Moment>& nested = story.nested.moments;
  const std::vector<Moment>& reference = story.reference.moments;
  std::vector<MomentPair> pairs;
  std::size_t start = 0;
  while (start < nested.size() && start < reference.size() && same_event(nested[start].event, reference[start].event)) {
    pairs.push_back({start, start});
    ++start;
  }
  std::size_t nested_end = std::min(first_resumption(story.nested) + 1, nested.size());
  std::size_t reference_end = std::min(first_resumption(story.reference) + 1, reference.size());
  std::size_t together = 0;
  while (start + together < nested_end && start + together < reference_end &&
         same_event(nested[nested_end - 1 - together].event, reference[reference_end - 1 - together].event)) {
    ++together;
  }
  const auto alone = [&pairs](std::size_t MomentPair::*run, std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      pairs.emplace_back();
      pairs.back().*run = i;
    }
  };
  // Where one of them has all its moments in common with the other already, nothing is left of it.
  nested_end = std::max(nested_end, start);
  reference_end = std::max(reference_end, start);
  alone(&MomentPair::nested, start, nested_end - together);
  alone(&MomentPair::reference, start, reference_end - together);
  for (std::size_t i = together; i > 0; --i) {
    pairs.push_back({nested_end - i, reference_end - i});
  }
  alone(&MomentPair::nested, nested_end, nested.size());
  alone(&MomentPair::reference, reference_end, reference.size());
  return pairs;
}

std::vector<Difference> differences(const Guest& guest, const Moment& nested, const Moment& reference) {
  return Differ(guest, nested, reference).run();
}

}  // namespace framefold
