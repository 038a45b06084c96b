// Execution: what happens before each instruction of the guest.
#include <algorithm>
#include <string_view>
#include <utility>

#include "run/execution.hpp"
#include "scenario/context_places.hpp"

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

[[gnu::always_inline]] inline void Execution::cover(const Place& place) {
  if (coverage_ != nullptr && place.instruction) {
    coverage_->executed(place.boundary);
    if (place.leader) {
      coverage_->edge(place.boundary, activations_.count);
    }
  }
}

/// Called from Unicorn's C code: nothing may be thrown through it. Most boundaries are plain instructions with nothing
/// left over from the one before and nothing due: those are only counted, here, and in few registers.
void Execution::boundary_hook(uc_struct* /*engine*/, std::uint64_t address, std::uint32_t /*length*/,
                              void* self) noexcept {
  auto& execution = *static_cast<Execution*>(self);
  const std::uint64_t offset = address - execution.text_begin_.value;
  if (execution.state_.unsettled || offset >= execution.text_size_) {
    return execution.on_unsettled({address});
  }
  const Place& place = execution.places_[offset];
  if (place.care != Care::count || place.leader || execution.state_.boundaries + 1 >= execution.state_.due) {
    return execution.on_ordinary({address}, place);
  }
  ++execution.state_.boundaries;
  execution.state_.last_boundary = {address};
  if (execution.coverage_ != nullptr) {
    execution.coverage_->executed(place.boundary);
  }
}

[[gnu::noinline]] void Execution::on_other(GuestAddress address) noexcept {
  if (!state_.stopped && !state_.at_resumption) {
    on_boundary(address);
  }
}

/// What is left over from the instruction before is mostly a store to the event mask, or a stack pointer that moved.
[[gnu::noinline]] void Execution::on_unsettled(GuestAddress address) noexcept {
  const std::uint64_t offset = address - text_begin_;
  if (offset >= text_size_ || !is_settled_alone()) {
    return on_other(address);
  }
  settle(address);
  state_.unsettled = state_.stopped;
  if (!state_.stopped) {
    on_ordinary(address, places_[offset]);
  }
}

/// Whether `settle` does all that is left to do. (A plain boundary does not look at what returned, or shadows it.)
bool Execution::is_settled_alone() const {
  return (state_.store_to_mask || state_.stack_moved) && !state_.stopped && !state_.at_resumption &&
         !state_.returning.active && !state_.shadow && state_.settled == GuestAddress{} && trace_ == nullptr;
}

[[gnu::noinline]] void Execution::on_ordinary(GuestAddress address, const Place& place) noexcept {
  if (place.care == Care::special) {
    return on_other(address);
  }
  cover(place);
  if (++state_.boundaries >= state_.due && take_what_is_due(address, place.boundary, false)) {
    return;
  }
  state_.last_boundary = address;
  if (place.care != Care::count) {
    look_at(entry_.instructions[place.boundary]);
    if (place.care == Care::moves) {
      note_move(place);
    }
    state_.unsettled = state_.stopped || state_.store_to_mask || state_.stack_moved;
  }
}

void Execution::on_boundary(GuestAddress address) {
  settle(address);
  if (state_.stopped || state_.at_resumption) {
    return;
  }
  const bool returned_here = std::exchange(state_.settled, {}) == address;
  if (entry_.text.contains(address)) {
    on_text(address, places_[address - text_begin_], returned_here);
  } else if (address - layout::kHandlerPage < layout::kPage) {
    on_handler_page(address);
  } else if (is_context_place(address, entry_)) {
    resume();
  } else {
    on_hypercall_page(address);
  }
  state_.unsettled = state_.stopped || state_.at_resumption || state_.returning.active || state_.store_to_mask ||
                     state_.stack_moved || state_.shadow || state_.settled != GuestAddress{} || trace_ != nullptr;
}

/// What the previous instruction did: a return that completed, a store to the event mask, a stack pointer that moved.
void Execution::settle(GuestAddress address) {
  if (state_.returning.active) {
    state_.returning.active = false;
    state_.returning.target = address;
    complete_return(state_.returning);
    if (entry_.width() == Width::k32 && (state_.returning.cs & 3) == 3) {
      state_.vcpu.mode = GuestMode::user;
      resume();
      return;
    }
  }
  if (state_.store_to_mask) {
    state_.store_to_mask = false;
    const bool open = guest_.shared().upcall_mask() == 0;
    if (open && !activations_.empty()) {
      merge_unseen();
    }
    if (!activations_.empty() && activations_.youngest().window != open) {
      activations_.youngest().window = open;
      trace(open ? TraceEvent::Kind::window_open : TraceEvent::Kind::window_closed, address);
      if (open && recording_ != nullptr) {
        record_prefix(address);
      }
    }
  }
  if (state_.stack_moved) {
    state_.stack_moved = false;
    settle_stack();
  }
}

void Execution::on_text(GuestAddress address, const Place& place, bool returned_here) {
  if (place.handler != Place::kNone) {
    on_handler(address, place, returned_here);
    return;
  }
  if (place.call != Place::kNone) {
    cover(place);
    on_call(address, place);
    return;
  }
  const Instruction* instruction = instruction_at(place);
  // The emulator comes back to a rep instruction whose count has run out; a CPU is behind it by then.
  const bool repeats = instruction != nullptr && has(instruction->flags, InstructionFlag::repeats);
  const bool counted_out = repeats && guest_.cpu().read(Gpr::rcx) == 0;
  if (counted_out && state_.last_boundary == address) {
    return;
  }
  const bool shadowed = state_.shadow;
  state_.shadow = false;
  cover(place);
  if (pass_boundary(address, place.boundary, shadowed)) {
    return;
  }
  state_.last_boundary = address;
  if (place.care != Care::count && instruction != nullptr && !counted_out) {
    prepare_instruction(place, *instruction);
  }
}

void Execution::on_handler(GuestAddress address, const Place& place, bool returned_here) {
  const HandlerCall call = handler_call(*handler_at(place));
  // A return that ends here gives back an interrupted first instruction: the call was judged when it was made.
  if (!returned_here) {
    judge_handler(address, call);
    if (state_.stopped) {
      return;
    }
  }
  if (!pass_boundary(address, place.boundary)) {
    act(call);
  }
}

void Execution::on_handler_page(GuestAddress address) {
  if (address == layout::kHandlerNested) {
    --state_.nested_handlers;
    guest_.shared().upcall_mask() = 1;
    leave_handler(entry_.event(), {guest_.cpu().read(Gpr::rsp)});
    return;
  }
  if (const Call* const call = call_at(address)) {
    end_event_in(*call);
    return;
  }
  for (std::size_t i = 0; i < entry_.vectors.size(); ++i) {
    if (address == layout::handler_return(i)) {
      pass_boundary(address, static_cast<std::uint16_t>(return_boundary_ + i));
      return;
    }
  }
}

/// How a boundary is named: that of a modelled handler's `ret`, on a page of framefold's, is the byte behind its first
/// one.
GuestAddress Execution::label_of(GuestAddress address) const {
  if (address - layout::kHandlerPage >= layout::kPage) {
    return address;
  }
  for (std::size_t i = 0; i < entry_.vectors.size(); ++i) {
    if (address == layout::handler_return(i)) {
      return entry_.vectors[i].handler + 1;
    }
  }
  if (const Call* const call = call_at(address)) {
    return call->address;
  }
  return address == layout::kHandlerNested ? entry_.event().handler + 1 : address;
}

void Execution::on_hypercall_page(GuestAddress address) {
  if (guest_.stub_range().contains(address)) {
    std::uint16_t index = stub_boundary_;
    for (const Instruction& instruction : guest_.stub()) {
      if (instruction.address == address) {
        if (coverage_ != nullptr) {
          coverage_->executed(index);
        }
        if (pass_boundary(address, index)) {
          return;
        }
        state_.last_boundary = address;
        if (has(instruction.flags, InstructionFlag::traps)) {
          take_hypercall(address);
        }
        return;
      }
      ++index;
    }
    return;
  }
  // Any other entry: only its trap matters.
  const std::uint8_t* code = guest_.memory().find(address, kTrapLength);
  const bool wide = entry_.width() == Width::k64;
  if (code != nullptr && code[0] == (wide ? 0x0f : 0xcd) && code[1] == (wide ? 0x05 : 0x82)) {
    take_hypercall(address);
  }
}

/// Counts a boundary and takes what is due there. True where the guest now executes something else.
bool Execution::pass_boundary(GuestAddress address, std::uint16_t boundary, bool shadowed) {
  const bool due = ++state_.boundaries >= state_.due;
  if (trace_ != nullptr) {
    trace(TraceEvent::Kind::boundary, address);
  }
  return due && take_what_is_due(address, boundary, shadowed);
}

bool Execution::take_what_is_due(GuestAddress address, std::uint16_t boundary, bool shadowed) {
  if (state_.boundaries >= state_.runaway_due) {
    violate(ViolationKind::runaway, label_of(address));
    state_.unsettled = true;
    return true;
  }
  if (observer_ != nullptr) {
    return pass_observed(address, boundary, shadowed);
  }
  return state_.boundaries >= state_.arrival_due && take_arrivals(address, boundary, shadowed);
}

void Execution::schedule_arrival(std::uint32_t due) {
  state_.arrival_due = due;
  schedule();
}

void Execution::schedule_runaway() {
  state_.runaway_due = state_.boundaries + options_.runaway_limit + 1;
  schedule();
}

/// An observer sees each boundary.
void Execution::schedule() { state_.due = observer_ != nullptr ? 0 : std::min(state_.arrival_due, state_.runaway_due); }

/// The stack pointer moves from here.
void Execution::note_move(const Place& place) {
  state_.stack_moved = true;
  state_.moved_from = {guest_.cpu().read(Gpr::rsp) + (place.pops ? word_size(entry_.width()) : 0)};
}

void Execution::prepare_instruction(const Place& place, const Instruction& instruction) {
  look_at(instruction);
  if (has(instruction.flags, InstructionFlag::moves_stack) && instruction.lowers_stack == 0) {
    note_move(place);
  }
  state_.shadow = has(instruction.flags, InstructionFlag::shadows);
  if (has(instruction.flags, InstructionFlag::loads_segment | InstructionFlag::returns)) {
    state_.known_segments = 0;
  }
  if (has(instruction.flags, InstructionFlag::reads_time)) {
    read_time(instruction);
  } else if (has(instruction.flags, InstructionFlag::reads_random)) {
    constexpr std::uint64_t kInvalidOpcode = 6;
    violate(ViolationKind::guest_fault, instruction.address,
            {"a random number, on a CPU that makes none: exception", 0, kInvalidOpcode, true});
  } else if (has(instruction.flags, InstructionFlag::returns)) {
    prepare_return(instruction.address);
  } else if (has(instruction.flags, InstructionFlag::traps)) {
    take_hypercall(instruction.address);
  }
}

/// The time stands still: what the emulator would say is the host's, and another one in each run. (rdrand and rdseed,
/// which would be as good, are what they are on a CPU without them.)
void Execution::read_time(const Instruction& instruction) {
  constexpr std::uint64_t kTime = 0x5453430000;
  constexpr std::size_t kLengthOfRdtsc = 2;
  Cpu& cpu = guest_.cpu();
  cpu.write(Gpr::rax, kTime & 0xffffffff);
  cpu.write(Gpr::rdx, kTime >> 32);
  if (instruction.length > kLengthOfRdtsc) {  // rdtscp: TSC_AUX
    cpu.write(Gpr::rcx, 0);
  }
  cpu.redirect(instruction.next());
}

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
