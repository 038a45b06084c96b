// Execution: what an instruction reads and writes, and where it leaves the stack pointer.
#include <algorithm>

#include "run/execution.hpp"

namespace framefold {

namespace {

/// The segment that an operand goes through (SDM Vol. 1, table 3-5). Unicorn does not check that its selector is not
/// null.
Segment segment_of(const MemoryOperand& operand) {
  if (operand.segment) {
    return *operand.segment;
  }
  return operand.base == Gpr::rsp || operand.base == Gpr::rbp ? Segment::ss : Segment::ds;
}

/// Instructions that do more at their boundary than reach memory.
constexpr InstructionFlag kSpecial = InstructionFlag::returns | InstructionFlag::traps | InstructionFlag::shadows |
                                     InstructionFlag::repeats | InstructionFlag::loads_segment |
                                     InstructionFlag::reads_time | InstructionFlag::reads_random;

}  // namespace

Execution::Care Execution::care_for(const Instruction& instruction) const {
  if (has(instruction.flags, kSpecial)) {
    return Care::special;
  }
  if (instruction.lowers_stack != 0) {
    return Care::accesses;
  }
  if (has(instruction.flags, InstructionFlag::moves_stack)) {
    return Care::moves;
  }
  const std::span<const MemoryOperand> accesses = instruction.accesses();
  const bool harmless = std::all_of(accesses.begin(), accesses.end(), [&](const MemoryOperand& operand) {
    return is_live_slot(operand) || is_harmless(instruction, operand);
  });
  return harmless ? Care::count : Care::accesses;
}

/// Whether an operand is the same word whenever the instruction executes. Selectors count on 32-bit, where none is.
bool Execution::is_fixed(const MemoryOperand& operand) const {
  const bool based = operand.segment && !(operand.segment == Segment::gs && !loads_segments_);
  return entry_.width() == Width::k64 && !operand.base && !operand.index && !operand.bit_offset && !based;
}

/// Where a fixed operand lies: through GS in the kernel's data, or, where the entry has forgotten to swap GS, the
/// user's.
std::array<GuestAddress, 2> Execution::fixed_addresses(const Instruction& instruction,
                                                       const MemoryOperand& operand) const {
  const GuestAddress address{static_cast<std::uint64_t>(operand.displacement) +
                             (operand.rip_relative ? instruction.next().value : 0)};
  return operand.segment == Segment::gs ? std::array{address + entry_.gs_base.value, address + kUserGsBase}
                                        : std::array{address, address};
}

/// Whether an operand is a word of the image's own, outside the stacks, that is only read, or that each reset restores
/// whether it was written to or not.
bool Execution::is_harmless(const Instruction& instruction, const MemoryOperand& operand) const {
  if (!is_fixed(operand)) {
    return false;
  }
  const std::array<GuestAddress, 2> addresses = fixed_addresses(instruction, operand);
  return std::all_of(addresses.begin(), addresses.end(), [&](GuestAddress address) {
    return !guest_.stack_of(address) && (!operand.write || guest_.restores_always(address, operand.size));
  });
}

void Execution::look_at(const Instruction& instruction) {
  if (instruction.lowers_stack != 0) {
    state_.lowered += instruction.lowers_stack;
    guest_.kill_stack_below({guest_.cpu().read(Gpr::rsp)}, instruction.lowers_stack);
  }
  check_accesses(instruction);
}

/// The stack pointer has moved, from `moved_from`. What it brings back to life by going down without a store, nobody
/// can know: whatever Xen delivered meanwhile has written there. On another stack, it comes from where that one was
/// left.
void Execution::settle_stack() {
  sample_stack();
  const GuestAddress from = state_.moved_from;
  const GuestAddress to = state_.sampled_stack;
  const std::optional<StackId> before = guest_.stack_of(from - 1);
  const std::optional<StackId> now = guest_.stack_of(to - 1);
  if (before && now != before) {
    state_.left[static_cast<std::size_t>(*before)] = from;
  }
  if (now) {
    const GuestAddress was = now == before ? from : state_.left[static_cast<std::size_t>(*now)];
    if (to < was) {
      guest_.kill_stack_below(was, was - to);
    }
  }
}

/// A store to the event mask opens or closes the window; a read of dead stack is a bug whatever it reads.
void Execution::check_accesses(const Instruction& instruction) {
  for (const MemoryOperand& operand : instruction.accesses()) {
    if (is_live_slot(operand)) {
      continue;
    }
    const bool null = entry_.width() == Width::k32 && null_segment(segment_of(operand));
    if (!null && is_live_by_index(operand)) {
      continue;
    }
    const GuestAddress address = address_of(operand, instruction.next());
    if (null) {
      violate(ViolationKind::guest_fault, instruction.address,
              {"access through a null selector", 0, address.value, true});
      return;
    }
    if (operand.write) {
      if (mask_address_ - address < operand.size) {
        state_.store_to_mask = true;
      } else {
        guest_.note_store(address, operand.size);
      }
    }
    if (operand.read) {
      check_read(instruction, address);
    }
  }
}

namespace {

/// Bytes of what an instruction reads that it has pushed by then, where it reads from RSP down: `enter` pushes a word
/// before each that it reads (SDM Vol. 2, ENTER).
std::uint64_t pushed_first(const Instruction& instruction) {
  return instruction.text.starts_with("enter") ? instruction.accesses().front().size : 0;
}

}  // namespace

void Execution::check_read(const Instruction& instruction, GuestAddress address) {
  const std::optional<StackId> id = guest_.stack_of(address);
  if (!id) {
    return;
  }
  const GuestAddress rsp{guest_.cpu().read(Gpr::rsp)};
  const bool here = guest_.stack_of(rsp - 1) == id;
  const GuestAddress stack = here ? rsp : state_.left[static_cast<std::size_t>(*id)];
  if (address < stack && (!here || address + pushed_first(instruction) < stack)) {
    violate(ViolationKind::guest_fault, instruction.address,
            {here ? "reads below RSP" : "reads below where RSP left that stack", stack.value, address.value, true});
  }
}

/// Reading a selector costs as much as the rest of a boundary: it is remembered until an instruction may change it.
bool Execution::null_segment(Segment segment) {
  const auto bit = static_cast<std::uint8_t>(1U << static_cast<unsigned>(segment));
  if ((state_.known_segments & bit) == 0) {
    state_.known_segments |= bit;
    const bool null = guest_.cpu().read(segment) == 0;
    state_.null_segments = static_cast<std::uint8_t>(null ? state_.null_segments | bit : state_.null_segments & ~bit);
  }
  return (state_.null_segments & bit) != 0;
}

/// A read through RSP and an index that leads upwards. What copies a frame does one a word, and reading a register
/// costs as much as the rest of a boundary.
bool Execution::is_live_by_index(const MemoryOperand& operand) const {
  const bool candidate = operand.base == Gpr::rsp && operand.index && !operand.bit_offset && !operand.write &&
                         !operand.segment && operand.address_size == word_size(entry_.width());
  if (!candidate) {
    return false;
  }
  const std::uint64_t offset =
      static_cast<std::uint64_t>(operand.displacement) + guest_.cpu().read(*operand.index) * operand.scale;
  // Cut to 32 bits where addresses are. From there on up a sum may come round to below RSP, but in no stack of RSP's.
  constexpr std::uint64_t kUpwards = std::uint64_t{1} << 31;
  return (entry_.width() == Width::k32 ? offset & 0xffffffff : offset) < kUpwards;
}

GuestAddress Execution::address_of(const MemoryOperand& operand, GuestAddress next) const {
  const Cpu& cpu = guest_.cpu();
  return effective_address(
      operand, next, [&](Gpr gpr) { return cpu.read(gpr); },
      [&](Segment segment) { return cpu.segment_base(segment); });
}

/// Keeps the touched part of each stack known: between two samples, a boundary can push one word.
void Execution::sample_stack() {
  sample_stack({state_.in_model ? state_.registers[Gpr::rsp] : guest_.cpu().read(Gpr::rsp)});
}

void Execution::sample_stack(GuestAddress now) {
  guest_.note_stack_write(state_.sampled_stack, most_pushed());
  guest_.note_stack_write(now, kStackSlack);
  if (!guest_.stack_of(now - 1)) {
    guest_.note_lost_stack();
  }
  start_sample(now);
}

void Execution::start_sample(GuestAddress now) {
  state_.sampled_stack = now;
  state_.sampled_at = state_.boundaries;
  state_.lowered = 0;
}

/// Bytes below the last sample that may have been written since.
std::uint64_t Execution::most_pushed() const {
  return (state_.boundaries - state_.sampled_at) * std::uint64_t{8} + state_.lowered + kStackSlack;
}

}  // namespace framefold
