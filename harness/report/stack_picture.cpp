#include "report/stack_picture.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "report/place.hpp"

namespace framefold {

namespace {

using Kind = TraceEvent::Kind;

class Painter {
 public:
  Painter(const Guest& guest, const RunStory& run)
      : guest_(guest), entry_(guest.entry()), run_(run), word_(word_size(entry_.width())) {}

  StackPicture delivery(std::size_t index, const Moment* before) const {
    const Moment& moment = run_.moments[index];
    StackPicture picture = blank(index);
    picture.title = fmt::format("{} delivered at {}", moment.event.vector->description.name,
                                place_text(guest_, moment.event.address));
    for (std::size_t i = 0; i < moment.frames.size(); ++i) {
      const bool youngest = i + 1 == moment.frames.size();
      const GuestAddress low = youngest ? GuestAddress{moment.event.stack_pointer} : above_younger(moment.frames, i);
      picture.frames.push_back(frame(moment, before, i, low, nullptr));
    }
    return picture;
  }

  /// The folded frame and those below it.
  StackPicture fold(const FoldStory& fold) const {
    const Moment& moment = run_.moments[fold.handled];
    StackPicture picture = blank(fold.handled);
    picture.title = title_of(fold);
    Moment after = moment;
    while (!after.frames.empty() && after.frames.back().base != fold.before) {
      after.frames.pop_back();
    }
    if (after.frames.empty()) {
      return picture;
    }
    after.frames.back() = fold.folded;
    for (std::size_t i = 0; i < after.frames.size(); ++i) {
      const bool youngest = i + 1 == after.frames.size();
      const GuestAddress low = youngest ? after.frames[i].base : above_younger(after.frames, i);
      picture.frames.push_back(frame(after, &run_.moments[fold.delivered], i, low, youngest ? &fold : nullptr));
    }
    return picture;
  }

 private:
  std::string title_of(const FoldStory& fold) const {
    const std::string copied = fmt::format("{}, taken at {}; {}", fold.nested.vector->description.name,
                                           place_text(guest_, fold.nested.interrupted), copied_text(fold));
    return fold.wrong.empty() ? "folded: " + copied
                              : fmt::format("wrong frame for a handler: {}, in the frame at {}", copied,
                                            place_text(guest_, fold.folded.base));
  }

  StackPicture blank(std::size_t index) const {
    StackPicture picture;
    picture.moment = index;
    const TraceEvent& event = run_.moments[index].event;
    picture.step = event.step;
    picture.stack_pointer =
        fmt::format("{} = {}", entry_.width() == Width::k64 ? "rsp" : "esp", place_text(guest_, {event.stack_pointer}));
    return picture;
  }

  /// A younger frame on the same stack lies over what the older one had given up already.
  GuestAddress above_younger(const std::vector<LiveFrame>& frames, std::size_t i) const {
    GuestAddress low = frames[i].base;
    for (std::size_t younger = i + 1; younger < frames.size(); ++younger) {
      const GuestAddress end = frames[younger].end_of_gap();
      if (guest_.stack_of(frames[younger].base) == guest_.stack_of(low) && low < end) {
        low = end;
      }
    }
    return low;
  }

  PictureFrame frame(const Moment& moment, const Moment* before, std::size_t i, GuestAddress low,
                     const FoldStory* fold) const {
    const LiveFrame& live = moment.frames[i];
    PictureFrame result;
    result.title = fmt::format("frame {}: {}, interrupted {}", i, live.vector->description.name,
                               place_text(guest_, live.interrupted));
    for (GuestAddress at = live.base + live.size - word_; low <= at && live.base <= at; at = at - word_) {
      if (const std::optional<std::uint64_t> value = moment.word(at, word_)) {
        result.slots.push_back(slot(at, *value, name_of_slot(moment, i, at), before, fold));
      }
    }
    return result;
  }

  PictureSlot slot(GuestAddress at, std::uint64_t value, std::string name, const Moment* before,
                   const FoldStory* fold) const {
    PictureSlot slot;
    slot.address = at;
    slot.place = place_text(guest_, at);
    slot.name = std::move(name);
    slot.value = value;
    slot.meaning = known_place(guest_, {value}).value_or("");
    const std::optional<std::uint64_t> old = before == nullptr ? std::nullopt : before->word(at, word_);
    if (old && *old != value) {
      slot.old = old;
    }
    if (fold != nullptr) {
      for (const CopiedWord& copy : fold->copies) {
        if (copy.to == at) {
          slot.from = source(*fold, copy.from);
        }
      }
      for (const WrongSlot& wrong : fold->wrong) {
        if (fold->folded.base + wrong.offset == at) {
          slot.expected = wrong.expected;
        }
      }
    }
    return slot;
  }

  std::string source(const FoldStory& fold, GuestAddress from) const {
    const std::uint64_t offset = from - fold.nested.base;
    const std::string name = offset < fold.nested.size ? slot_at(entry_, offset) : std::string();
    return place_text(guest_, from) + (name.empty() ? "" : fmt::format(" (nested {})", name));
  }

  /// What Xen pushes below RIP is not what the entry code keeps there later.
  std::string name_of_slot(const Moment& moment, std::size_t i, GuestAddress at) const {
    const LiveFrame& live = moment.frames[i];
    const bool fresh = moment.event.kind == Kind::delivery && i + 1 == moment.frames.size();
    const std::string name = word_name(entry_, live, at);
    if (!fresh || live.base + rip_offset() <= at) {
      return name.empty() ? "-" : name;
    }
    const std::uint64_t words = (at - GuestAddress{moment.event.stack_pointer}) / word_;
    if (entry_.width() == Width::k64 && words < 2) {
      return words == 0 ? "rcx, by Xen" : "r11, by Xen";
    }
    return "error code";
  }

  std::uint64_t rip_offset() const {
    for (const FrameSlot& s : entry_.description.frame.slots) {
      if (s.name == "rip") {
        return s.offset;
      }
    }
    return 0;
  }

  const Guest& guest_;
  const Entry& entry_;
  const RunStory& run_;
  unsigned word_;
};

/// The number of characters that a terminal shows: UTF-8's continuation bytes are none.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string rule(std::string_view left, std::string_view title, std::size_t width, std::string_view right) {
  std::string line = fmt::format("{}─ {} ", left, title);
  for (std::size_t i = width_of(title) + 3; i < width; ++i) {
    line += "─";
  }
  return line + std::string(right) + "\n";
}

std::string slot_text(const PictureSlot& slot) {
  std::string text = fmt::format("{:<17} {:<12} {:#x}", slot.place, slot.name, slot.value);
  if (!slot.meaning.empty()) {
    text += fmt::format(" = {}", slot.meaning);
  }
  if (slot.old) {
    text += fmt::format(", was {:#x}", *slot.old);
  }
  if (!slot.from.empty()) {
    text += fmt::format("  ◄ {}", slot.from);
  }
  if (slot.expected) {
    text += fmt::format("  ✗ expected {:#x}", *slot.expected);
  }
  return text;
}

Ink ink_of(const PictureSlot& slot) {
  if (slot.expected) {
    return Ink::bad;
  }
  return !slot.from.empty() ? Ink::good : slot.old ? Ink::note : Ink::plain;
}

}  // namespace

std::vector<StackPicture> stack_pictures(const Guest& guest, const RunStory& run) {
  const Painter painter(guest, run);
  std::vector<StackPicture> pictures;
  const Moment* before = nullptr;
  for (std::size_t i = 0; i < run.moments.size(); ++i) {
    const auto fold =
        std::find_if(run.folds.begin(), run.folds.end(), [i](const FoldStory& f) { return f.handled == i; });
    if (run.moments[i].event.kind == Kind::delivery) {
      pictures.push_back(painter.delivery(i, before));
    } else if (fold != run.folds.end()) {
      pictures.push_back(painter.fold(*fold));
    } else {
      continue;
    }
    before = &run.moments[i];
  }
  return pictures;
}

std::string to_text(const StackPicture& picture, const Style& style) {
  std::size_t width = width_of(picture.title) + 8;
  for (const PictureFrame& frame : picture.frames) {
    width = std::max(width, width_of(frame.title) + 4);
    for (const PictureSlot& slot : frame.slots) {
      width = std::max(width, width_of(slot_text(slot)) + 2);
    }
  }
  std::string text = style.paint(Ink::strong, fmt::format("step {}: {}", picture.step, picture.title)) + "\n";
  for (std::size_t i = 0; i < picture.frames.size(); ++i) {
    const PictureFrame& frame = picture.frames[i];
    text += rule(i == 0 ? "┌" : "├", frame.title, width, i == 0 ? "┐" : "┤");
    for (const PictureSlot& slot : frame.slots) {
      const std::string line = slot_text(slot);
      text += fmt::format("│ {}{:{}}│\n", style.paint(ink_of(slot), line), "", width - 1 - width_of(line));
    }
  }
  return text + rule("└", picture.stack_pointer, width, "┘");
}

}  // namespace framefold
