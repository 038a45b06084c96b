#include "report/run_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "image/description_rules.hpp"
#include "report/alignment.hpp"
#include "report/place.hpp"
#include "report/timeline.hpp"

namespace framefold {

namespace {

std::string hex(std::uint64_t value) { return fmt::format("{:x}", value); }

class Encoder {
 public:
  Encoder(const Guest& guest, const Scenario& scenario) : guest_(guest), entry_(guest.entry()), scenario_(scenario) {}

  nlohmann::json run(const RunStory& story) {
    last_ = {};
    words_.clear();
    frames_.clear();
    again_.clear();
    std::size_t fold = 0;
    nlohmann::json moments = nlohmann::json::array();
    for (std::size_t i = 0; i < story.moments.size(); ++i) {
      const Moment& moment = story.moments[i];
      const TraceEvent& event = moment.event;
      nlohmann::json row = {static_cast<int>(event.kind),
                            event.step,
                            hex(event.address.value),
                            text(place_text(guest_, event.address)),
                            text(event_text(event, scenario_, guest_)),
                            event.mask,
                            event.pending,
                            event.depth,
                            registers(moment),
                            words(moment),
                            frames(moment),
                            again(moment)};
      if (fold < story.folds.size() && story.folds[fold].handled == i) {
        row.push_back(copies(story.folds[fold++]));
      }
      moments.push_back(std::move(row));
    }
    return moments;
  }

  const std::vector<std::string>& texts() const { return texts_; }

 private:
  /// Each text once.
  std::size_t text(const std::string& words) {
    const auto [at, added] = index_.emplace(words, texts_.size());
    if (added) {
      texts_.push_back(words);
    }
    return at->second;
  }

  /// [index, value, ...] of what changed: the general-purpose registers, RFLAGS, the selectors.
  nlohmann::json registers(const Moment& moment) {
    nlohmann::json changed = nlohmann::json::array();
    const std::size_t gprs = gpr_count(entry_.width());
    std::array<std::optional<std::uint64_t>, kGprCount + 1 + kSegmentCount> now;
    for (std::size_t i = 0; i < gprs; ++i) {
      now[i] = moment.registers.gpr[i];
    }
    now[gprs] = moment.registers.rflags;
    for (std::size_t i = 0; i < kSegmentCount; ++i) {
      now[gprs + 1 + i] = moment.registers.segment[i];
    }
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] && now[i] != last_[i]) {
        changed.push_back(i);
        changed.push_back(hex(*now[i]));
      }
    }
    last_ = now;
    return changed;
  }

  /// [address, value, ...] of live words that the reader does not know yet.
  nlohmann::json words(const Moment& moment) {
    const unsigned size = word_size(entry_.width());
    nlohmann::json changed = nlohmann::json::array();
    for (std::size_t i = 0; i < kStackCount; ++i) {
      const GuestRange& range = guest_.stack_range(static_cast<StackId>(i));
      const GuestAddress pointer{moment.event.stack_pointer};
      const StackCopy& stack = moment.stacks[i];
      GuestAddress at = range.contains(pointer) ? std::max(pointer, stack.low) : stack.low;
      for (; !stack.bytes.empty() && at + size <= range.end - layout::kAboveStack; at = at + size) {
        const std::uint64_t value = *stack.word(at, size);
        const auto [known, added] = words_.emplace(at.value, value);
        if (added || known->second != value) {
          known->second = value;
          changed.push_back(hex(at.value));
          changed.push_back(hex(value));
        }
      }
    }
    return changed;
  }

  /// 0 where they are those of the moment before.
  nlohmann::json frames(const Moment& moment) {
    const auto same = [](const LiveFrame& a, const LiveFrame& b) { return a.is(b); };
    if (std::equal(moment.frames.begin(), moment.frames.end(), frames_.begin(), frames_.end(), same)) {
      return 0;
    }
    frames_ = moment.frames;
    nlohmann::json all = nlohmann::json::array();
    for (const LiveFrame& frame : frames_) {
      all.push_back({frame.vector->description.name, hex(frame.base.value), frame.size,
                     text(place_text(guest_, frame.interrupted))});
    }
    return all;
  }

  /// [[address, text], ...] of the words that are no slots any more; 0 where they are those of the moment before.
  nlohmann::json again(const Moment& moment) {
    std::map<std::uint64_t, std::string> words;
    for (const LiveFrame& frame : moment.frames) {
      for (GuestAddress at = frame.again_low; at < frame.again_high; at = at + word_size(entry_.width())) {
        words[at.value] = word_name(entry_, frame, at);
      }
      for (GuestAddress at = frame.end(); at < frame.end_of_gap(); at = at + word_size(entry_.width())) {
        words[at.value] = {};
      }
    }
    if (words == again_) {
      return 0;
    }
    again_ = words;
    nlohmann::json all = nlohmann::json::array();
    for (const auto& [address, name] : words) {
      all.push_back({hex(address), text(name)});
    }
    return all;
  }

  static nlohmann::json copies(const FoldStory& fold) {
    nlohmann::json all = nlohmann::json::array();
    for (const CopiedWord& copy : fold.copies) {
      all.push_back({hex(copy.from.value), hex(copy.to.value)});
    }
    return all;
  }

  const Guest& guest_;
  const Entry& entry_;
  const Scenario& scenario_;
  std::vector<std::string> texts_;
  std::map<std::string, std::size_t> index_;
  std::array<std::optional<std::uint64_t>, kGprCount + 1 + kSegmentCount> last_;
  std::map<std::uint64_t, std::uint64_t> words_;
  std::vector<LiveFrame> frames_;
  std::map<std::uint64_t, std::string> again_;
};

/// The instructions that either run passes, or an event in the scenario's context.
nlohmann::json code_of(const Guest& guest, const Story& story, const BoundaryColumn& outcomes,
                       const SourceLines* lines) {
  nlohmann::json code = nlohmann::json::array();
  std::set<GuestAddress> passed;
  for (const RunStory* run : {&story.nested, &story.reference}) {
    for (const Moment& moment : run->moments) {
      passed.insert(moment.event.address);
    }
  }
  const auto add = [&](const Instruction& instruction) {
    const auto found = outcomes.results.find(instruction.address);
    if (found == outcomes.results.end() && passed.count(instruction.address) == 0) {
      return;
    }
    const BoundaryResult result = found == outcomes.results.end() ? BoundaryResult{} : found->second;
    code.push_back({hex(instruction.address.value), place_text(guest, instruction.address),
                    instruction_text(guest, instruction.address), source_text(lines, instruction.address),
                    static_cast<int>(result.outcome), result.signature});
  };
  for (const Instruction& instruction : guest.entry().instructions) {
    add(instruction);
  }
  for (const Instruction& instruction : guest.stub()) {
    add(instruction);
  }
  return code;
}

nlohmann::json register_names(Width width) {
  nlohmann::json names = nlohmann::json::array();
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    names.push_back(name_of(static_cast<Gpr>(i), width));
  }
  names.push_back(width == Width::k64 ? "rflags" : "eflags");
  for (std::size_t i = 0; i < kSegmentCount; ++i) {
    names.push_back(name_of(static_cast<Segment>(i)));
  }
  return names;
}

}  // namespace

nlohmann::json run_data(const Guest& guest, const Scenario& scenario, const Story& story,
                        const BoundaryColumn& outcomes, const SourceLines* lines) {
  const Entry& entry = guest.entry();
  Encoder encoder(guest, scenario);
  nlohmann::json stacks = nlohmann::json::array();
  constexpr std::array<std::string_view, kStackCount> kNames = {"thread", "interrupt", "kernel", "user"};
  for (std::size_t i = 0; i < kStackCount; ++i) {
    const auto id = static_cast<StackId>(i);
    if (guest.has_stack(id)) {
      stacks.push_back({kNames[i], hex(guest.stack_range(id).begin.value), hex(guest.stack_range(id).end.value)});
    }
  }
  nlohmann::json slots = nlohmann::json::array();
  for (const FrameSlot& slot : entry.description.frame.slots) {
    slots.push_back({slot.offset, written_slot_name(slot.name, entry.width())});
  }
  nlohmann::json pairs = nlohmann::json::array();
  const auto index = [](std::size_t i) { return i == MomentPair::kNone ? -1 : static_cast<int>(i); };
  for (const MomentPair& pair : align(story)) {
    pairs.push_back({index(pair.nested), index(pair.reference)});
  }
  nlohmann::json nested = encoder.run(story.nested);
  nlohmann::json reference = encoder.run(story.reference);
  return {{"wide", entry.width() == Width::k64},
          {"registers", register_names(entry.width())},
          {"stacks", std::move(stacks)},
          {"slots", std::move(slots)},
          {"code", code_of(guest, story, outcomes, lines)},
          {"texts", encoder.texts()},
          {"runs", {{"nested", std::move(nested)}, {"reference", std::move(reference)}}},
          {"pairs", std::move(pairs)}};
}

}  // namespace framefold
