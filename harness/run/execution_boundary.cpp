// Execution: what happens before each instruction of the guest.
#include <utility>

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

}  // namespace

/// Called from Unicorn's C code: nothing may be thrown through it. Most boundaries are plain instructions with nothing
/// left over from the one before: those are counted here, and everything else goes through on_boundary.
void Execution::boundary_callback(void* self, GuestAddress address) noexcept {
  auto& execution = *static_cast<Execution*>(self);
  const std::uint64_t offset = address - execution.text_begin_;
  if (!execution.state_.unsettled && offset < execution.places_.size() && execution.places_[offset].plain) {
    execution.on_plain(address, execution.places_[offset]);
  } else if (!execution.state_.stopped && !execution.state_.at_resumption) {
    execution.on_boundary(address);
  }
}

void Execution::on_plain(GuestAddress address, const Place& place) {
  if (coverage_ != nullptr) {
    coverage_->executed(place.boundary);
    if (place.leader) {
      coverage_->edge(place.boundary, activations_.count);
    }
  }
  if (!pass_boundary(address, place.boundary, false)) {
    state_.last_boundary = address;
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
  } else if (address - layout::kResumePage < layout::kPage) {
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
    if (!activations_.empty() && activations_.youngest().window != open) {
      activations_.youngest().window = open;
      trace(open ? TraceEvent::Kind::window_open : TraceEvent::Kind::window_closed, address);
    }
  }
  if (state_.stack_moved) {
    state_.stack_moved = false;
    sample_stack();
  }
}

void Execution::on_text(GuestAddress address, const Place& place, bool returned_here) {
  if (place.handler != nullptr) {
    on_handler(address, place, returned_here);
    return;
  }
  // The emulator comes back to a rep instruction whose count has run out; a CPU is behind it by then.
  const bool repeats = place.instruction != nullptr && has(place.instruction->flags, InstructionFlag::repeats);
  const bool counted_out = repeats && guest_.cpu().read(Gpr::rcx) == 0;
  if (counted_out && state_.last_boundary == address) {
    return;
  }
  const bool shadowed = state_.shadow;
  state_.shadow = false;
  if (coverage_ != nullptr && place.instruction != nullptr) {
    coverage_->executed(place.boundary);
    if (place.leader) {
      coverage_->edge(place.boundary, activations_.count);
    }
  }
  if (pass_boundary(address, place.boundary, shadowed)) {
    return;
  }
  state_.last_boundary = address;
  if (place.instruction != nullptr && !counted_out && has(place.instruction->flags, kNeedsPreparation)) {
    prepare_instruction(*place.instruction);
  }
}

void Execution::on_handler(GuestAddress address, const Place& place, bool returned_here) {
  // A return that ends here gives back an interrupted first instruction: the call was judged when it was made.
  if (!returned_here) {
    judge_handler(address, *place.handler);
    if (state_.stopped) {
      return;
    }
  }
  if (!pass_boundary(address, place.boundary)) {
    act(*place.handler);
  }
}

void Execution::on_handler_page(GuestAddress address) {
  if (address == layout::kHandlerNested) {
    --state_.nested_handlers;
    guest_.shared().upcall_mask() = 1;
    leave_handler(entry_.event());
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
  for (std::size_t i = 0; i < entry_.vectors.size(); ++i) {
    if (address == layout::handler_return(i)) {
      return entry_.vectors[i].handler + 1;
    }
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
  ++outcome_->boundaries;
  if (++state_.since_arrival > options_.runaway_limit) {
    violate(ViolationKind::runaway, label_of(address));
    state_.unsettled = true;
    return true;
  }
  if (trace_ != nullptr) {
    trace(TraceEvent::Kind::boundary, address);
  }
  if (observer_ != nullptr) {
    return pass_observed(address, boundary, shadowed);
  }
  if (state_.next_arrival >= state_.arrival_limit) {
    return false;
  }
  if (state_.countdown != 0) {
    --state_.countdown;
    return false;
  }
  return take_arrivals(address, boundary, shadowed);
}

void Execution::prepare_instruction(const Instruction& instruction) {
  if (has(instruction.flags, InstructionFlag::stores | InstructionFlag::loads)) {
    check_accesses(instruction);
  }
  state_.stack_moved = has(instruction.flags, InstructionFlag::moves_stack);
  state_.shadow = has(instruction.flags, InstructionFlag::shadows);
  if (has(instruction.flags, InstructionFlag::returns)) {
    prepare_return(instruction.address);
  } else if (has(instruction.flags, InstructionFlag::traps)) {
    take_hypercall(instruction.address);
  }
}

/// A store to the event mask opens or closes the window; a read of dead stack is a bug whatever it reads.
void Execution::check_accesses(const Instruction& instruction) {
  for (const MemoryOperand& operand : instruction.accesses()) {
    if (operand.base == Gpr::rsp && operand.displacement >= 0) {
      continue;
    }
    const GuestAddress address = effective_address(operand, instruction.next());
    if (entry_.width() == Width::k32 && guest_.cpu().read(segment_of(operand)) == 0) {
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
      const GuestAddress stack{guest_.cpu().read(Gpr::rsp)};
      const std::optional<StackId> id = guest_.stack_of(address);
      if (id && address < stack && guest_.stack_of(stack - 1) == id) {
        violate(ViolationKind::guest_fault, instruction.address, {"reads below RSP", stack.value, address.value, true});
        return;
      }
    }
  }
}

GuestAddress Execution::effective_address(const MemoryOperand& operand, GuestAddress next) const {
  const Cpu& cpu = guest_.cpu();
  auto address = static_cast<std::uint64_t>(operand.displacement);
  if (operand.rip_relative) {
    address += next.value;
  }
  if (operand.base) {
    address += cpu.read(*operand.base);
  }
  if (operand.index) {
    address += cpu.read(*operand.index) * operand.scale;
  }
  if (operand.address_size < sizeof address) {
    address &= (std::uint64_t{1} << (8 * operand.address_size)) - 1;
  }
  if (operand.segment) {
    address += cpu.segment_base(*operand.segment);
  }
  return {address};
}

/// Keeps the touched part of each stack known: between two samples, a boundary can push one word.
void Execution::sample_stack() {
  const GuestAddress now{state_.in_model ? state_.registers[Gpr::rsp] : guest_.cpu().read(Gpr::rsp)};
  const std::uint64_t pushed = (outcome_->boundaries - state_.sampled_at) * std::uint64_t{8} + kStackSlack;
  guest_.note_stack_write(state_.sampled_stack, pushed);
  guest_.note_stack_write(now, kStackSlack);
  if (!guest_.stack_of(now - 1)) {
    guest_.note_lost_stack();
  }
  state_.sampled_stack = now;
  state_.sampled_at = outcome_->boundaries;
}

}  // namespace framefold
