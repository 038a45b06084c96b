#include "run/frame.hpp"

#include <algorithm>

#include "scenario/scenario.hpp"
#include "xen/abi.hpp"

namespace framefold {

namespace {

std::optional<Segment> segment_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kSegmentCount; ++i) {
    if (name_of(static_cast<Segment>(i)) == name) {
      return static_cast<Segment>(i);
    }
  }
  return std::nullopt;
}

/// What a slot's name means; nothing for slots that are kept but not compared (orig_rax, padding).
std::optional<FrameField> field_of(const FrameSlot& slot, Width width) {
  FrameField field;
  field.offset = slot.offset;
  field.name = slot.name;
  if (slot.name == "rip") {
    field.kind = FrameField::Kind::rip;
  } else if (slot.name == "cs") {
    field.kind = FrameField::Kind::cs;
  } else if (slot.name == "rflags") {
    field.kind = FrameField::Kind::rflags;
  } else if (slot.name == "rsp") {
    field.kind = FrameField::Kind::rsp;
    field.user_only = width == Width::k32;
  } else if (slot.name == "ss") {
    field.kind = FrameField::Kind::ss;
    field.user_only = width == Width::k32;
  } else if (const std::optional<Segment> segment = segment_from_name(slot.name)) {
    field.kind = FrameField::Kind::segment;
    field.segment = *segment;
  } else if (const std::optional<Gpr> gpr = gpr_from_name(slot.name, width)) {
    field.gpr = *gpr;
  } else {
    return std::nullopt;
  }
  return field;
}

}  // namespace

bool same_flags(std::uint64_t a, std::uint64_t b) { return ((a ^ b) & kContextFlags) == 0; }

FrameLayout::FrameLayout(const Entry& entry)
    : width_(entry.width()),
      word_(word_size(entry.width())),
      size_(entry.description.frame.size),
      kernel_size_(entry.description.frame.size) {
  for (const FrameSlot& slot : entry.description.frame.slots) {
    const std::optional<FrameField> field = field_of(slot, width_);
    if (!field) {
      continue;
    }
    fields_.push_back(*field);
    (field->kind == FrameField::Kind::gpr ? general_ : others_).push_back(*field);
    if (field->user_only) {
      kernel_size_ = std::min(kernel_size_, slot.offset);
    }
    if (field->kind == FrameField::Kind::rip) {
      rip_ = slot.offset;
    } else if (field->kind == FrameField::Kind::rflags) {
      rflags_ = slot.offset;
    } else if (field->kind == FrameField::Kind::gpr && field->gpr == Gpr::rax) {
      rax_ = slot.offset;
    }
  }
}

std::uint32_t FrameLayout::size_for(const Activation& activation) const {
  return activation.mode == GuestMode::user ? size_ : kernel_size_;
}

/// The common case first, without a look at what each slot is: most slots are general-purpose registers.
bool FrameLayout::matches(const std::uint8_t* host, const Activation& activation, ViolationDetail& difference) const {
  const bool general = general_registers_match(host, activation.interrupted);
  return match(general ? others_ : fields_, host, activation, difference);
}

bool FrameLayout::general_registers_match(const std::uint8_t* host, const Registers& state) const {
  std::uint64_t difference = 0;
  for (const FrameField& field : general_) {
    difference |= load_word(host + field.offset, word_) ^ state[field.gpr];
  }
  return difference == 0;
}

bool FrameLayout::match(const std::vector<FrameField>& fields, const std::uint8_t* host, const Activation& activation,
                        ViolationDetail& difference) const {
  WrongSlot wrong;
  for (const FrameField& field : fields) {
    if (!shows(field, host, activation, wrong)) {
      difference = {field.name, wrong.expected, wrong.found, true};
      return false;
    }
  }
  return true;
}

std::vector<WrongSlot> FrameLayout::wrong_slots(const std::uint8_t* host, const Activation& activation) const {
  std::vector<WrongSlot> all;
  WrongSlot wrong;
  for (const FrameField& field : fields_) {
    if (!shows(field, host, activation, wrong)) {
      all.push_back(wrong);
    }
  }
  return all;
}

/// Whether a slot shows what `activation` interrupted; where not, `wrong` says what there is instead.
bool FrameLayout::shows(const FrameField& field, const std::uint8_t* host, const Activation& activation,
                        WrongSlot& wrong) const {
  if (field.user_only && activation.mode == GuestMode::kernel) {
    return true;
  }
  const Registers& state = activation.interrupted;
  std::uint64_t found = load_word(host + field.offset, word_);
  std::uint64_t expected = 0;
  switch (field.kind) {
    case FrameField::Kind::gpr:
      expected = state[field.gpr];
      break;
    case FrameField::Kind::rip:
      expected = state.rip;
      break;
    case FrameField::Kind::rsp:
      expected = state[Gpr::rsp];
      break;
    case FrameField::Kind::cs:
      found &= 0xffff;
      expected = state[Segment::cs];
      if (width_ == Width::k64) {  // RPL as Xen wrote it: kernel 0, user 3
        expected = activation.mode == GuestMode::user ? expected | 3 : expected & 0xfffc;
      }
      break;
    case FrameField::Kind::ss:
      found &= 0xffff;
      expected = state[Segment::ss];
      break;
    case FrameField::Kind::segment:
      found &= 0xffff;
      expected = state[field.segment];
      break;
    case FrameField::Kind::rflags:
      found &= kContextFlags | rflags::kIf;
      expected = (state.rflags & kContextFlags) | (activation.mask == 0 ? rflags::kIf : 0);
      break;
  }
  wrong = {field.offset, expected, found};
  return found == expected;
}

}  // namespace framefold
