#include "explore/event_use.hpp"

#include <algorithm>

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

bool accesses_shared_page(const Instruction& instruction, const Registers& registers, const Guest& guest) {
  const GuestAddress page = guest.mask_address() - guest.mask_address().value % layout::kPage;
  const std::span<const MemoryOperand> accesses = instruction.accesses();
  return std::any_of(accesses.begin(), accesses.end(), [&](const MemoryOperand& operand) {
    if (!guest.entry().segment_bases.empty() && (operand.segment == Segment::fs || operand.segment == Segment::gs)) {
      return true;  // a segment of the guest's own may start anywhere
    }
    const GuestAddress address = effective_address(operand, registers, instruction.next());
    return address - page < layout::kPage || page - address < operand.size;
  });
}

}  // namespace framefold
