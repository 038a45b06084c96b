#include "report/story.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "image/description_rules.hpp"
#include "run/replay.hpp"

namespace framefold {

namespace {

using Kind = TraceEvent::Kind;

constexpr std::uint64_t kMostStack = 8192;  // bytes of a stack that are kept: sixteen arrivals need half of that
constexpr std::size_t kLookBack = 4;        // instructions between a load and the store of what it loaded

std::uint32_t offset_of(const Entry& entry, std::string_view slot) {
  for (const FrameSlot& s : entry.description.frame.slots) {
    if (s.name == slot) {
      return s.offset;
    }
  }
  return 0;
}

/// Keeps every event with the machine as it is.
class StoryRecorder final : public TraceSink {
 public:
  explicit StoryRecorder(Guest& guest) : guest_(guest), entry_(guest.entry()), word_(word_size(entry_.width())) {}

  void record(const TraceEvent& event) override {
    if (event.kind == Kind::wrong_frame) {
      note_wrong_frame(event);
      return;
    }
    Moment moment;
    moment.event = event;
    read_registers(event, moment.registers);
    moment.event.registers = nullptr;
    if (event.detail != nullptr) {
      moment.detail = *event.detail;
      moment.event.detail = nullptr;
    }
    follow_frames(event);
    follow_exit(event);
    moment.frames = frames_;
    copy_stacks({event.stack_pointer}, moment);
    story_.moments.push_back(std::move(moment));
  }

  RunStory take() {
    for (FoldStory& fold : story_.folds) {
      find_copies(fold);
    }
    RunStory story = std::move(story_);
    story_ = {};
    frames_.clear();
    popped_.clear();
    lowest_ = {};
    return story;
  }

 private:
  void read_registers(const TraceEvent& event, Registers& registers) const {
    if (event.registers != nullptr) {
      registers = *event.registers;
      return;
    }
    const Cpu& cpu = guest_.cpu();
    cpu.read_general(registers);
    cpu.read_segments(registers);
    registers.gs_base = entry_.gs_base.value;
    registers.fs_base = entry_.fs_base.value;
    registers.rip = event.address.value;
  }

  /// A delivery adds a frame; a fold and a return show in the next event's depth.
  void follow_frames(const TraceEvent& event) {
    const bool delivery = event.kind == Kind::delivery;
    const std::size_t depth = event.depth - (delivery && event.depth != 0 ? 1U : 0U);
    if (frames_.size() > depth) {
      frames_.resize(depth);
    }
    if (folded_to_ && !frames_.empty()) {
      FoldStory& fold = story_.folds.back();
      fold.before = frames_.back().base;
      frames_.back().base = *folded_to_;
      frames_.back().again_low = frames_.back().again_high = {};
      popped_.resize(frames_.size());
      popped_.back() = *folded_to_;
      fold.folded = frames_.back();
    }
    folded_to_.reset();
    if (delivery) {
      frames_.push_back(delivered_frame(event));
      delivered_ = story_.moments.size();
    } else if (event.kind == Kind::handler) {
      handler_frame_ = {event.value};
    } else if (event.kind == Kind::fold && !frames_.empty()) {
      folded_to_ = handler_frame_ == GuestAddress{} ? frames_.back().base : handler_frame_;
      story_.folds.push_back({delivered_, story_.moments.size(), frames_.back(), {}, {}, {}, {}});
    }
  }

  /// Of the handler's moment, the last one: the frame that it got stands where its owner's should.
  void note_wrong_frame(const TraceEvent& event) {
    if (frames_.empty() || event.wrong->owner >= frames_.size() || event.wrong->slots.empty()) {
      return;
    }
    const LiveFrame& owner = frames_[event.wrong->owner];
    FoldStory fold{delivered_, story_.moments.size() - 1, frames_.back(), owner, owner.base, {}, event.wrong->slots};
    fold.folded.base = {event.value};
    fold.folded.again_low = fold.folded.again_high = {};
    story_.folds.push_back(std::move(fold));
  }

  /// The exit has found an event pending and jumps to the callback, which saves the registers once more.
  bool enters_again(const TraceEvent& event) const {
    const auto entered = [&event](const Vector& vector) { return vector.address == event.address; };
    return event.kind == Kind::boundary && std::any_of(entry_.vectors.begin(), entry_.vectors.end(), entered);
  }

  /// Behind its handler, the youngest activation pops its frame. What it pushes then is no slot of it.
  void follow_exit(const TraceEvent& event) {
    popped_.resize(frames_.size());
    if (frames_.empty()) {
      return;
    }
    LiveFrame& frame = frames_.back();
    GuestAddress& popped = popped_.back();
    const GuestAddress pointer{event.stack_pointer};
    if (event.kind == Kind::delivery || enters_again(event)) {
      popped = {};
      frame.again_low = frame.again_high = {};
    } else if (event.kind == Kind::handler) {
      popped = frame.base;
      frame.again_low = frame.again_high = {};
    } else if (event.kind == Kind::boundary && popped != GuestAddress{} && pointer - frame.base <= frame.size) {
      popped = std::max(popped, pointer);
      const bool again = pointer < popped;
      frame.again_low = again ? pointer : GuestAddress{};
      frame.again_high = again ? popped : GuestAddress{};
    }
  }

  /// Xen pushes, from the top: SS and RSP (32-bit: only for user mode), RFLAGS, CS, RIP, an error code where the vector
  /// has one; 64-bit: R11, RCX.
  LiveFrame delivered_frame(const TraceEvent& event) const {
    const GuestAddress pushed{event.value};
    const GuestAddress rip_slot = pushed + below_return_frame(entry_.width(), event.vector->description.error_code);
    LiveFrame frame;
    frame.vector = event.vector;
    frame.base = rip_slot - offset_of(entry_, "rip");
    frame.size = entry_.description.frame.size;
    const std::uint8_t* host = guest_.memory().find(rip_slot, std::uint64_t{2} * word_);
    const std::uint8_t* rsp = guest_.memory().find(rip_slot + std::uint64_t{3} * word_, word_);
    if (entry_.width() == Width::k64 && rsp != nullptr) {
      frame.pointer = {load_word(rsp, word_)};
    }
    if (host != nullptr) {
      frame.interrupted = {load_word(host, word_)};
      const bool user = (load_word(host + word_, word_) & 3) == 3;
      if (entry_.width() == Width::k32 && !user && offset_of(entry_, "rsp") != 0) {
        frame.size = offset_of(entry_, "rsp");
      }
    }
    return frame;
  }

  void copy_stacks(GuestAddress stack_pointer, Moment& moment) {
    for (std::size_t i = 0; i < kStackCount; ++i) {
      const auto id = static_cast<StackId>(i);
      const GuestRange& range = guest_.stack_range(id);
      if (!guest_.has_stack(id)) {
        continue;
      }
      GuestAddress& low = lowest_[i];
      if (low == GuestAddress{}) {
        low = range.end;
      }
      if (range.contains(stack_pointer)) {
        low = std::min(low, stack_pointer);
      }
      low = std::max(low, range.end - std::min(kMostStack, range.size()));
      const std::uint8_t* host = guest_.memory().find(low, range.end - low);
      if (host != nullptr && low < range.end) {
        moment.stacks[i] = {low, {host, host + (range.end - low)}};
      }
    }
  }

  /// Stores to the folded frame of what was loaded from the nested one just before; where the frame is wrong, from
  /// anywhere.
  void find_copies(FoldStory& fold) const {
    if (fold.folded.base == fold.nested.base) {
      return;  // the nested one itself: what its prologue moves is no copy
    }
    for (std::size_t i = fold.delivered; i < fold.handled; ++i) {
      const Moment& moment = story_.moments[i];
      if (moment.event.kind != Kind::boundary) {
        continue;
      }
      const std::optional<GuestAddress> to = stored_to(moment);
      const std::optional<GuestAddress> from = to ? loaded_from(i, *to) : std::nullopt;
      const bool source = from && (fold.wrong.empty() ? *from - fold.nested.base < fold.nested.size : *from != *to);
      if (source && *to - fold.folded.base < fold.folded.size) {
        // The two frames may overlap: what the prologue moved inside the nested one is overwritten.
        const auto same = [&to](const CopiedWord& copy) { return copy.to == *to; };
        fold.copies.erase(std::remove_if(fold.copies.begin(), fold.copies.end(), same), fold.copies.end());
        fold.copies.push_back({*from, *to});
      }
    }
  }

  std::optional<GuestAddress> operand(const Moment& moment, bool written) const {
    const Instruction* instruction = find_instruction(entry_, moment.event.address);
    if (instruction == nullptr) {
      return std::nullopt;
    }
    for (const MemoryOperand& access : instruction->accesses()) {
      const GuestAddress address = effective_address(access, moment.registers, instruction->next());
      if (access.size == word_ && (written ? access.write : access.read) && guest_.stack_of(address)) {
        return address;
      }
    }
    return std::nullopt;
  }

  std::optional<GuestAddress> stored_to(const Moment& moment) const {
    const Instruction* instruction = find_instruction(entry_, moment.event.address);
    if (instruction != nullptr && instruction->memory_count != 0 && instruction->text.starts_with("push")) {
      return GuestAddress{moment.registers[Gpr::rsp] - word_};
    }
    return operand(moment, true);
  }

  /// The same instruction's other operand, or that of one of the last few: what it read is what was stored.
  std::optional<GuestAddress> loaded_from(std::size_t store, GuestAddress to) const {
    const std::optional<std::uint64_t> value = word_behind(store, to);
    for (std::size_t back = 0; value && back <= kLookBack && back <= store; ++back) {
      const Moment& moment = story_.moments[store - back];
      const std::optional<GuestAddress> from =
          moment.event.kind == Kind::boundary ? operand(moment, false) : std::nullopt;
      if (from && moment.word(*from, word_) == value) {
        return from;
      }
    }
    return std::nullopt;
  }

  /// What lies at an address behind the instruction.
  std::optional<std::uint64_t> word_behind(std::size_t index, GuestAddress address) const {
    return index + 1 < story_.moments.size() ? story_.moments[index + 1].word(address, word_) : std::nullopt;
  }

  Guest& guest_;
  const Entry& entry_;
  unsigned word_;
  RunStory story_;
  std::vector<LiveFrame> frames_;
  std::array<GuestAddress, kStackCount> lowest_{};
  std::size_t delivered_ = 0;
  GuestAddress handler_frame_;
  /// Of each frame: the highest stack pointer in it since its handler was entered; nothing before.
  std::vector<GuestAddress> popped_;
  std::optional<GuestAddress> folded_to_;
};

/// Sets the trace for as long as it lives, so that an error on the way leaves none behind.
class Tracing {
 public:
  Tracing(Execution& execution, TraceSink& sink) : execution_(execution) { execution_.set_trace(&sink); }
  ~Tracing() { execution_.set_trace(nullptr); }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

 private:
  Execution& execution_;
};

}  // namespace

std::optional<std::uint64_t> StackCopy::word(GuestAddress address, unsigned size) const {
  const std::uint64_t offset = address - low;
  if (offset >= bytes.size() || bytes.size() - offset < size) {
    return std::nullopt;
  }
  return load_word(bytes.data() + offset, size);
}

std::optional<std::uint64_t> Moment::word(GuestAddress address, unsigned size) const {
  for (const StackCopy& stack : stacks) {
    if (const std::optional<std::uint64_t> value = stack.word(address, size)) {
      return value;
    }
  }
  return std::nullopt;
}

Story tell_story(Oracle& oracle, const Scenario& scenario, std::size_t arrivals, bool with_reference) {
  StoryRecorder recorder(oracle.execution().guest());
  const Tracing tracing(oracle.execution(), recorder);
  Story story;
  story.arrivals = arrivals;
  Outcome nested;
  oracle.execution().run_nested(scenario, arrivals, nested);
  story.nested = recorder.take();
  if (with_reference) {
    Outcome reference;
    oracle.execution().run_reference(oracle.replay(scenario, nested).scenario, reference);
    story.reference = recorder.take();
  }
  return story;
}

std::vector<SmashedWord> smashed_words(const Guest& guest, const RunStory& run, std::size_t index) {
  std::vector<SmashedWord> words;
  const Moment& first = run.moments.front();
  if (first.frames.empty()) {
    return words;
  }
  const GuestAddress above = first.frames.front().end_of_gap();
  const unsigned size = word_size(guest.entry().width());
  for (const StackCopy& stack : first.stacks) {
    if (stack.bytes.size() < above - stack.low) {
      continue;  // another stack, of which nothing is kept before it is used
    }
    for (GuestAddress at = above; stack.word(at, size); at = at + size) {
      const auto differs = [&](std::size_t i) { return run.moments[i].word(at, size) != stack.word(at, size); };
      if (!differs(index)) {
        continue;
      }
      std::size_t stored = index;
      while (stored > 0 && run.moments[stored - 1].word(at, size) == run.moments[index].word(at, size)) {
        --stored;
      }
      words.push_back({at, *run.moments[index].word(at, size), *stack.word(at, size), stored == 0 ? 0 : stored - 1});
    }
  }
  return words;
}

std::string slot_at(const Entry& entry, std::uint64_t offset) {
  for (const FrameSlot& slot : entry.description.frame.slots) {
    if (slot.offset == offset) {
      return written_slot_name(slot.name, entry.width());
    }
  }
  return {};
}

std::string copied_text(const FoldStory& fold) {
  const auto counted = [](std::size_t count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
  };
  const std::string copied = counted(fold.copies.size(), "word") + " copied";
  return fold.wrong.empty() ? copied : fmt::format("{}, {} wrong", copied, counted(fold.wrong.size(), "slot"));
}

std::string word_name(const Entry& entry, const LiveFrame& frame, GuestAddress address) {
  if (address < frame.again_low || frame.again_high <= address) {
    return slot_at(entry, address - frame.base);
  }
  // xen/include/public/arch-x86/xen-x86_64.h, struct iret_context; for 32-bit guests EAX alone lies below the frame.
  constexpr std::array<std::string_view, 4> kWide = {"iret flags", "iret rcx", "iret r11", "iret rax"};
  const std::uint64_t below = (frame.base + offset_of(entry, "rip") - address) / word_size(entry.width());
  const bool wide = entry.width() == Width::k64;
  if (below == 0 || below > (wide ? kWide.size() : 1)) {
    return {};
  }
  return std::string(wide ? kWide[below - 1] : "iret eax");
}

std::string slot_name(const Entry& entry, const Moment& moment, GuestAddress address) {
  for (std::size_t i = moment.frames.size(); i-- > 0;) {
    const LiveFrame& frame = moment.frames[i];
    if (address - frame.base < frame.size) {
      const std::string slot = word_name(entry, frame, address);
      return fmt::format("{} frame{}{}", frame.vector->description.name, slot.empty() ? "" : ": ", slot);
    }
  }
  return {};
}

}  // namespace framefold
