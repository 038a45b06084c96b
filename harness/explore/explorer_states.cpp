// Explorer: which state a boundary is in, and whether it is known.
#include "explore/explorer.hpp"

namespace framefold {

namespace {

/// Whether an instruction that moves the stack pointer down stores what lies there then.
bool fills_stack(const Instruction& instruction) {
  const std::string_view text = instruction.text;
  return text.starts_with("push") || text.starts_with("call") || text.starts_with("enter");
}

}  // namespace

bool Explorer::is_known(std::uint64_t key, std::uint16_t dominating) {
  const Visited::Slot* slot = visited_.find(key);
  return slot != nullptr && (slot->budgets & dominating) != 0;
}

/// Without looking at the state: stacks are left, and brought back to life, by few instructions only.
void Explorer::follow_stack(const Boundary& boundary) {
  constexpr InstructionFlag kMoves = InstructionFlag::moves_stack | InstructionFlag::returns | InstructionFlag::traps;
  const Instruction* instruction = instructions_[boundary.index].instruction;
  const bool behind = last_instruction_ != nullptr && has(last_instruction_->flags, kMoves);
  const bool before = instruction != nullptr && has(instruction->flags, kMoves);
  if (behind || before || activations_seen_ != execution_.activations().count) {
    registers_[Gpr::rsp] = execution_.guest().cpu().read(Gpr::rsp);
    revive_stack(boundary);
    update_live_stacks(execution_, registers_, live_);
  }
  last_instruction_ = instruction;
}

/// True where the state is known.
bool Explorer::enter_state(const Boundary& boundary) {
  execution_.read_registers(boundary.address, registers_);
  revive_stack(boundary);
  update_live_stacks(execution_, registers_, live_);
  const std::uint64_t key = state_key(execution_, scope_, boundary, registers_, live_, outcome_, scratch_);
  const EventState events = event_state(execution_);
  const std::uint64_t full = with_events(key, events);
  const std::uint8_t budget = budget_index(nmis_, exceptions_);
  const auto bit = static_cast<std::uint16_t>(1U << budget);
  const std::uint32_t leg = first_leg_ + leg_;
  const auto step = static_cast<std::uint32_t>(step_);
  if (Visited::Slot* slot = visited_.find(full)) {
    if ((slot->budgets & dominating_[budget]) != 0) {
      if (slot->leg != leg) {
        inherit(*slot);
        return true;
      }
      // A cycle without arrivals: it runs on until it is judged as one.
      tail_ = true;
      return unknown_runaways_ >= kMostUnknown;
    }
    slot->budgets = static_cast<std::uint16_t>(slot->budgets | bit);
    slot->leg = leg;
    slot->step = step;
  } else {
    visited_.insert(full, leg, step, bit);
    ++result_->counts.states;
    ++result_->boundaries[boundary.index].states;
    result_->counts.identity += full;
    result_->counts.shape += shape_key(execution_, boundary, registers_);
  }
  if (bounds_.choices == 0 || depth_ < bounds_.choices) {
    queue_choices(boundary, key, events);
  }
  return false;
}

/// Bytes that a stack pointer moving down brings to life without storing them, of which nobody can know what they are:
/// below a delivery's alignment, and behind `and`, `sub` and the like.
void Explorer::revive_stack(const Boundary& boundary) {
  Guest& guest = execution_.guest();
  const GuestAddress rsp{registers_[Gpr::rsp]};
  const ActivationStack& activations = execution_.activations();
  if (activations.count > activations_seen_) {
    for (std::size_t i = activations_seen_; i < activations.count && entry().width() == Width::k64; ++i) {
      constexpr std::uint64_t kFrameAlignment = 16;
      const Activation& activation = activations.items[i];
      const GuestAddress interrupted{activation.interrupted[Gpr::rsp]};
      if (activation.mode == GuestMode::kernel) {
        guest.kill_stack_below(interrupted, interrupted.value % kFrameAlignment);
      }
    }
  } else if (last_instruction_ != nullptr && has(last_instruction_->flags, InstructionFlag::moves_stack) &&
             rsp < last_stack_ && !fills_stack(*last_instruction_) &&
             guest.stack_of(rsp) == guest.stack_of(last_stack_ - 1)) {
    guest.kill_stack_below(last_stack_, last_stack_ - rsp);
  }
  activations_seen_ = activations.count;
  last_stack_ = rsp;
  last_instruction_ = instructions_[boundary.index].instruction;
  if (!activations.empty()) {
    const Activation& oldest = activations.items[0];
    const std::uint64_t top =
        oldest.mode == GuestMode::user ? execution_.state().vcpu.kernel_sp : oldest.interrupted[Gpr::rsp];
    const std::optional<StackId> stack = guest.stack_of(rsp);
    if (stack && guest.stack_of({top - 1}) == stack && rsp.value < top) {
      result_->counts.deepest_stack = std::max(result_->counts.deepest_stack, top - rsp.value);
    }
  }
}

}  // namespace framefold
