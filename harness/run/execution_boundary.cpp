// Execution: what happens before each instruction of the guest.
#include <algorithm>
#include <string_view>
#include <utility>

#include "run/execution.hpp"
#include "scenario/context_places.hpp"

namespace framefold {

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
  if (instruction == nullptr) {  // nothing is known of what it would do
    violate(ViolationKind::guest_fault, address, {"execution inside an instruction", 0, address.value, true});
    return;
  }
  if (place.care != Care::count && !counted_out) {
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

}  // namespace framefold
