// Explorer: which state a boundary is in, and whether it is known.
#include <bit>

#include "explore/explorer.hpp"

namespace framefold {

namespace {

std::uint64_t with_shown(std::uint64_t key, std::uint32_t shown) { return key ^ shown * 0x9e3779b97f4a7c15; }

}  // namespace

/// With no more violations shown on the path there: more of them can be told from fewer.
bool Explorer::is_known(std::uint64_t key, std::uint32_t shown, std::uint32_t dominating) {
  const Visited::Slot* slot = level().visited.find(key);
  if (slot != nullptr && (slot->budgets & dominating) != 0) {
    return true;
  }
  return shown != 0 && is_known(with_shown(key, shown), 0, dominating);
}

/// At a boundary that follows, without an arrival, those at which note_written was called since the last time.
void Explorer::read_registers(const Boundary& boundary) {
  constexpr int kFewEnough = 6;  // to be read one by one
  if (stale_ && std::popcount(stale_->general()) <= kFewEnough) {
    execution_.read_registers(*stale_, registers_);
    registers_.rip = boundary.address.value;
  } else {
    execution_.read_registers(boundary.address, registers_);
  }
  stale_ = RegisterSet{};
}

void Explorer::read_stack_pointer() {
  if (!stale_ || stale_->has(Gpr::rsp)) {
    registers_[Gpr::rsp] = execution_.guest().cpu().read(Gpr::rsp);
    if (stale_) stale_->remove(Gpr::rsp);
  }
}

/// The boundary's instruction executes.
void Explorer::note_written(const Boundary& boundary) {
  const KnownInstruction& known = instructions_[boundary.index];
  written_by_ = nullptr;
  if (!known.writes || known.instruction->address != boundary.address || boundary.handler != nullptr) {
    stale_.reset();
  } else if (stale_) {
    stale_->add(*known.writes);
    written_by_ = known.instruction;
  }
}

/// Where this is not the boundary that the instruction leads to, something else has executed in between: code on the
/// hypercall page, say, which makes no boundary.
void Explorer::note_reached(const Boundary& boundary) {
  const Instruction* const before = written_by_;
  if (before == nullptr) {
    return;
  }
  const bool goes_on = !has(before->flags, InstructionFlag::calls) && falls_through(*before);
  if (boundary.address != before->target && !(goes_on && boundary.address == before->next())) {
    stale_.reset();
  }
}

/// Without looking at the state: stacks are left by few instructions only.
void Explorer::follow_stack(const Boundary& boundary) {
  constexpr InstructionFlag kMoves = InstructionFlag::moves_stack | InstructionFlag::returns | InstructionFlag::traps;
  const Instruction* instruction = instructions_[boundary.index].instruction;
  const bool behind = last_instruction_ != nullptr && has(last_instruction_->flags, kMoves);
  const bool before = instruction != nullptr && has(instruction->flags, kMoves);
  if (behind || before || activations_seen_ != execution_.activations().count) {
    read_stack_pointer();
    note_stack(boundary);
    update_live_stacks(execution_, registers_, live_);
  }
  last_instruction_ = instruction;
}

/// True where the state is known.
bool Explorer::enter_state(const Boundary& boundary) {
  read_registers(boundary);
  if (looks_further_at_shared(boundary)) {
    return true;
  }
  note_stack(boundary);
  update_live_stacks(execution_, registers_, live_);
  const std::uint64_t key = state_key(execution_, scope_, boundary, registers_, live_, outcome_, scratch_);
  const EventState events = event_state(execution_);
  here_key_ = key;
  here_events_ = events;
  here_class_.reset();
  std::uint64_t full = full_key(key, events);
  const std::uint8_t budget = budget_here();
  if (shown_ != 0 && !is_known(full, 0, dominating_[budget])) {
    full = with_shown(full, shown_);
  }
  const auto bit = 1U << budget;
  const std::uint32_t leg = first_leg_ + leg_;
  const auto step = static_cast<std::uint32_t>(step_);
  if (Visited::Slot* slot = level().visited.find(full)) {
    if ((slot->budgets & dominating_[budget]) != 0) {
      if (slot->leg != leg) {
        inherit(*slot);
        return true;
      }
      // A cycle without arrivals: it runs on until it is judged as one.
      tail_ = true;
      return unknown_runaways_ >= kMostUnknown;
    }
    slot->budgets = slot->budgets | bit;
    slot->leg = leg;
    slot->step = step;
  } else {
    level().visited.insert(full, leg, step, bit);
    ++counts().states;
    if (level_ == 0) {
      ++result_->boundaries[boundary.index].states;
    }
    counts().identity += full;
    counts().shape += shape_key(execution_, boundary, registers_);
  }
  if (bounds_.choices == 0 || depth_ < bounds_.choices) {
    queue_choices(boundary, key, events);
  }
  return false;
}

/// Where the stack pointer is: what it has left is no longer live, and how deep it is.
void Explorer::note_stack(const Boundary& boundary) {
  const Guest& guest = execution_.guest();
  const GuestAddress rsp{registers_[Gpr::rsp]};
  const ActivationStack& activations = execution_.activations();
  leave_stack(rsp);
  activations_seen_ = activations.count;
  last_stack_ = rsp;
  last_instruction_ = instructions_[boundary.index].instruction;
  if (!activations.empty()) {
    const Activation& oldest = activations.items[0];
    const std::uint64_t top =
        oldest.mode == GuestMode::user ? execution_.state().vcpu.kernel_sp : oldest.interrupted[Gpr::rsp];
    const std::optional<StackId> stack = guest.stack_of(rsp);
    if (stack && guest.stack_of({top - 1}) == stack && rsp.value < top) {
      counts().deepest_stack = std::max(counts().deepest_stack, top - rsp.value);
    }
  }
}

/// Where RSP has gone to another stack: what a pop took from the one that is left is no longer live there, and where
/// nothing is, the stack is as it was first.
void Explorer::leave_stack(GuestAddress rsp) {
  const Guest& guest = execution_.guest();
  const std::optional<StackId> left = guest.stack_of(last_stack_ - 1);
  if (last_instruction_ == nullptr || !left || guest.stack_of(rsp - 1) == left) {
    return;
  }
  const auto index = static_cast<std::size_t>(*left);
  const bool popped = std::string_view(last_instruction_->text).starts_with("pop");
  const GuestAddress from = last_stack_ + (popped ? word_size(entry().width()) : 0U);
  if (from == guest.stack_range(*left).end) {
    live_[index] = from;
    restore_quiet_stacks(live_);
  } else if (popped) {
    live_[index] = from;
  }
}

}  // namespace framefold
