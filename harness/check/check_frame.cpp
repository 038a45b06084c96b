#include "check/check_frame.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "image/description_rules.hpp"
#include "run/frame.hpp"

namespace framefold {

namespace {

/// A slot whose value in a right frame is known.
struct Expected {
  std::string name;
  std::uint32_t offset = 0;
  std::uint64_t value = 0;
  std::uint64_t mask = ~std::uint64_t{0};
};

std::optional<Expected> expected_in(const FrameSlot& slot, const Entry& entry, const Activation& owner) {
  const bool user = owner.mode == GuestMode::user;
  const bool pushed = user || entry.width() == Width::k64;
  const Registers& state = owner.interrupted;
  Expected expected{slot.name, slot.offset, 0};
  if (slot.name == "rip") {
    expected.value = state.rip;
  } else if (slot.name == "rsp") {
    if (!pushed) return std::nullopt;
    expected.value = state[Gpr::rsp];
  } else if (slot.name == "rflags") {
    expected.value = rflags::kIf | (state.rflags & kContextFlags);
    expected.mask = rflags::kIf | kContextFlags;
  } else if (slot.name == "cs") {
    expected.value = state[Segment::cs] & 0xfffcU;
    expected.mask = 0xfffc;
  } else if (slot.name == "ss") {
    if (!pushed) return std::nullopt;
    expected.value = state[Segment::ss];
    expected.mask = 0xffff;
  } else if (const std::optional<Gpr> gpr = gpr_from_name(slot.name, entry.width())) {
    expected.value = state[*gpr];
  } else {
    for (std::size_t i = 0; i < kSegmentCount; ++i) {
      if (name_of(static_cast<Segment>(i)) == slot.name) {
        expected.value = state[static_cast<Segment>(i)];
        expected.mask = 0xffff;
        return expected;
      }
    }
    return std::nullopt;
  }
  return expected;
}

class FrameReader {
 public:
  FrameReader(Guest& guest, const Activation& owner)
      : guest_(guest), entry_(guest.entry()), owner_(owner), word_(word_size(entry_.width())) {
    for (const FrameSlot& slot : entry_.description.frame.slots) {
      if (const std::optional<Expected> expected = expected_in(slot, entry_, owner)) expected_.push_back(*expected);
    }
  }

  std::optional<std::uint64_t> word_at(std::uint64_t address) const {
    if (!guest_.stack_of({address}) || !guest_.stack_of({address + word_ - 1})) return std::nullopt;
    return load_word(guest_.memory().find({address}, word_), word_);
  }

  std::size_t matching(std::uint64_t frame) const {
    return static_cast<std::size_t>(std::count_if(expected_.begin(), expected_.end(),
                                                  [&](const Expected& e) { return shows(frame + e.offset, e); }));
  }
  std::size_t count() const { return expected_.size(); }

  /// A register that the frame holds where no other one is described, and that no slot is described of. A name of the
  /// writer's own may stand there.
  void find_unsaid(FrameSeen& seen) const {
    const auto& slots = entry_.description.frame.slots;
    for (const FrameSlot& wanted : all_registers()) {
      const auto same = [&](const FrameSlot& slot) { return slot.name == wanted.name; };
      const std::optional<Expected> expected = expected_in(wanted, entry_, owner_);
      if (!expected || std::any_of(slots.begin(), slots.end(), same)) continue;
      // What Xen pushed last; elsewhere the same selector may be another register's.
      const std::uint32_t last = entry_.description.frame.size - word_;
      for (std::uint32_t at = wanted.name == "ss" ? last : 0; at <= last; at += word_) {
        const bool taken =
            std::any_of(expected_.begin(), expected_.end(), [=](const Expected& e) { return e.offset == at; });
        if (taken || !shows(seen.frame.value + at, *expected)) continue;
        seen.unsaid = written_slot_name(wanted.name, entry_.width());
        seen.unsaid_at = at;
        return;
      }
    }
  }

  /// The first slot that is wrong, and where its value is; and how many values are nowhere.
  void explain(FrameSeen& seen) const {
    const std::uint64_t frame = seen.frame.value;
    for (const Expected& e : expected_) {
      if (shows(frame + e.offset, e)) continue;
      if (!find(frame, e)) ++seen.missing;
      if (!seen.wrong.empty()) continue;
      const std::optional<std::uint64_t> found = word_at(frame + e.offset);
      seen.wrong = written_slot_name(e.name, entry_.width());
      seen.why = found ? fmt::format("{:#x} is at {}", *found, e.offset) : fmt::format("no stack has {}", e.offset);
      if (const std::optional<std::uint32_t> at = find(frame, e))
        seen.why += fmt::format(", it is at {}{}", *at, who_is_at(*at));
    }
  }

 private:
  /// Of two slots that are exchanged, either line may be the wrong one.
  std::string who_is_at(std::uint32_t offset) const {
    const std::vector<FrameSlot>& slots = entry_.description.frame.slots;
    const auto there = std::find_if(slots.begin(), slots.end(), [=](const FrameSlot& s) { return s.offset == offset; });
    return there == slots.end() ? "" : fmt::format(", where {} is", slot_and_line(entry_.description, there->name));
  }

  /// Those that a frame may hold and that can be told apart.
  std::vector<FrameSlot> all_registers() const {
    std::vector<FrameSlot> registers = {{"ss", 0}};
    for (const Segment segment : {Segment::ds, Segment::es, Segment::fs, Segment::gs}) {
      if (entry_.width() == Width::k32) registers.push_back({std::string(name_of(segment)), 0});
    }
    for (std::size_t i = 0; i < gpr_count(entry_.width()); ++i) {
      const auto gpr = static_cast<Gpr>(i);
      registers.push_back({gpr == Gpr::rsp ? "rsp" : std::string(name_of(gpr, entry_.width())), 0});
    }
    return registers;
  }

  bool shows(std::uint64_t address, const Expected& e) const {
    const std::optional<std::uint64_t> found = word_at(address);
    return found && (*found & e.mask) == (e.value & e.mask);
  }

  /// Where else in the frame's neighbourhood a value stands that no other slot is described at.
  std::optional<std::uint32_t> find(std::uint64_t frame, const Expected& wanted) const {
    const std::uint32_t end = entry_.description.frame.size + 8 * word_;
    for (std::uint32_t at = 0; at < end; at += word_) {
      if (shows(frame + at, wanted)) return at;
    }
    return std::nullopt;
  }

  Guest& guest_;
  const Entry& entry_;
  const Activation& owner_;
  unsigned word_;
  std::vector<Expected> expected_;
};

/// Another place that a C function may get its argument in, with a frame that is all right.
std::string better_argument(const FrameReader& reader, const Entry& entry, const Registers& registers,
                            std::uint64_t given, std::size_t matching) {
  std::string better;
  std::size_t most = std::max(matching, reader.count() / 2);
  const auto consider = [&](std::uint64_t frame, std::string_view name) {
    if (frame != given && reader.matching(frame) > most) {
      most = reader.matching(frame);
      better = name;
    }
  };
  for (std::size_t i = 0; i < (entry.width() == Width::k64 ? kGprCount : 8); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    if (gpr != Gpr::rsp) consider(registers[gpr], name_of(gpr, entry.width()));
  }
  const std::optional<std::uint64_t> slot = reader.word_at(registers[Gpr::rsp] + word_size(entry.width()));
  if (slot) consider(*slot, "stack");
  return better;
}

/// System V: the first argument is in RDI; on 32-bit on the stack, or, with regparm, in EAX.
std::string usual_argument(const FrameReader& reader, const Entry& entry, const Registers& registers,
                           std::uint64_t given) {
  const std::optional<Gpr> described = entry.description.handler.argument;
  if (entry.width() == Width::k64) {
    return described != Gpr::rdi && registers[Gpr::rdi] == given ? "rdi" : "";
  }
  if (!described || described == Gpr::rax) return "";
  if (registers[Gpr::rax] == given) return "eax";
  return reader.word_at(registers[Gpr::rsp] + word_size(entry.width())) == given ? "stack" : "";
}

}  // namespace

FrameSeen frame_seen(Guest& guest, const Activation& owner, const Registers& registers, std::uint64_t given) {
  const Entry& entry = guest.entry();
  const FrameReader reader(guest, owner);
  FrameSeen seen;
  seen.frame = {given};
  seen.stack = {registers[Gpr::rsp]};
  seen.slots = reader.matching(given);
  seen.inside = guest.stack_of(seen.frame).has_value();
  if (seen.slots < reader.count()) {
    reader.explain(seen);
    seen.better = better_argument(reader, entry, registers, given, seen.slots);
  }
  if (seen.slots == reader.count()) reader.find_unsaid(seen);
  seen.usual = usual_argument(reader, entry, registers, given);
  // Xen pushes from the interrupted stack pointer, aligned to 16 on 64-bit; in 32-bit kernel mode without SS and ESP.
  if (owner.mode == GuestMode::user && entry.kernel_stack) {
    seen.end_offset = entry.kernel_stack->range.end.value - layout::kAboveStack - given;
  } else if (entry.width() == Width::k64) {
    seen.end_offset = (owner.interrupted[Gpr::rsp] & ~std::uint64_t{15}) - given;
  }
  return seen;
}

void FrameSeen::check(const Entry& entry, const VectorDescription& vector, const std::string& context) const {
  const Description& description = entry.description;
  if (!better.empty()) {
    throw description_error(description, "handler.argument",
                            fmt::format("expected \"{}\": there the handler of {} finds its frame", better, context));
  }
  if (!usual.empty()) {
    throw description_error(
        description, "handler.argument",
        fmt::format("expected \"{}\": in {} it holds the frame's address as well, and is where C functions get it",
                    usual, context));
  }
  if (!inside) {
    throw description_error(
        description, "handler.argument",
        fmt::format("expected what holds the frame's address: in {} it holds {:#x}, which is in none "
                    "of the stacks that `stacks` names",
                    context, frame.value));
  }
  if (missing > slots) {
    throw description_error(description, vector.key + ".symbol",
                            fmt::format("expected where Xen enters: the frame that {} gets in {} shows {} slots of the "
                                        "context, and {} are nowhere in it",
                                        vector.handler, context, slots, missing));
  }
  if (!wrong.empty()) {
    throw description_error(description, "frame.slots." + wrong,
                            fmt::format("expected the offset at which the frame of {} holds it: {}", context, why));
  }
  if (!unsaid.empty()) {
    const auto& slots = description.frame.slots;
    const auto there =
        std::find_if(slots.begin(), slots.end(), [this](const FrameSlot& slot) { return slot.offset == unsaid_at; });
    throw description_error(description, there == slots.end() ? "frame.slots" : "frame.slots." + there->name,
                            fmt::format("expected {} = {}: there the frame of {} holds it, and no slot says so", unsaid,
                                        unsaid_at, context));
  }
  if (end_offset && *end_offset != description.frame.size) {
    throw description_error(
        description, "frame.size",
        fmt::format("expected {}: there the words end that Xen pushed for {}", *end_offset, context));
  }
}

}  // namespace framefold
