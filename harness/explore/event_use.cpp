#include "explore/event_use.hpp"

#include <algorithm>

#include "xen/abi.hpp"

namespace framefold {

EventUse event_use(const Instruction& instruction, const Entry& entry, GuestRange stub) {
  constexpr InstructionFlag kActs = InstructionFlag::returns | InstructionFlag::traps | InstructionFlag::shadows;
  if (has(instruction.flags, kActs)) {
    return EventUse::always;
  }
  if (has(instruction.flags, InstructionFlag::branches | InstructionFlag::calls) &&
      !(instruction.target && (entry.text.contains(*instruction.target) || stub.contains(*instruction.target)))) {
    return EventUse::always;
  }
  return has(instruction.flags, InstructionFlag::stores | InstructionFlag::loads) ? EventUse::access : EventUse::never;
}

namespace {

/// A segment of a 32-bit guest's own may start anywhere.
bool is_anywhere(const MemoryOperand& operand, const Entry& entry) {
  const bool based = operand.segment == Segment::fs || operand.segment == Segment::gs;
  return based && entry.width() == Width::k32 &&
         (!entry.segment_bases.empty() || entry.fs_base != GuestAddress{} || entry.gs_base != GuestAddress{});
}

}  // namespace

bool accesses_shared_page(const Instruction& instruction, const Registers& registers, const Guest& guest) {
  const GuestAddress page = guest.mask_address() - guest.mask_address().value % layout::kPage;
  const std::span<const MemoryOperand> accesses = instruction.accesses();
  return std::any_of(accesses.begin(), accesses.end(), [&](const MemoryOperand& operand) {
    const GuestAddress address = effective_address(operand, registers, instruction.next());
    return is_anywhere(operand, guest.entry()) || address - page < layout::kPage || page - address < operand.size;
  });
}

bool reads_fault_address(const Instruction& instruction, const Registers& registers, const Guest& guest) {
  constexpr InstructionFlag kTakesWords =
      InstructionFlag::moves_stack | InstructionFlag::returns | InstructionFlag::traps;
  const Abi& abi = guest.shared().abi();
  const GuestAddress cr2 = guest.mask_address() - abi.upcall_mask + abi.cr2;
  if (has(instruction.flags, kTakesWords) && cr2 - GuestAddress{registers[Gpr::rsp]} < layout::kPage) {
    return true;  // from a stack there
  }
  const std::span<const MemoryOperand> accesses = instruction.accesses();
  return std::any_of(accesses.begin(), accesses.end(), [&](const MemoryOperand& operand) {
    const GuestAddress address = effective_address(operand, registers, instruction.next());
    return operand.read &&
           (is_anywhere(operand, guest.entry()) || address - cr2 < abi.word || cr2 - address < operand.size);
  });
}

}  // namespace framefold
