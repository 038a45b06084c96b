#include "explore/event_use.hpp"

#include <algorithm>
#include <array>

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
  const GuestAddress own = guest.mask_address() - guest.mask_address().value % layout::kPage;
  const auto overlaps = [](GuestAddress page, GuestAddress address, unsigned size) {
    return address - page < layout::kPage || page - address < size;
  };
  const std::span<const MemoryOperand> accesses = instruction.accesses();
  return std::any_of(accesses.begin(), accesses.end(), [&](const MemoryOperand& operand) {
    const GuestAddress address = effective_address(operand, registers, instruction.next());
    return is_anywhere(operand, guest.entry()) || overlaps(own, address, operand.size) ||
           (own != layout::kSharedInfo && overlaps(layout::kSharedInfo, address, operand.size));
  });
}

SharedReads shared_reads(const Instruction& instruction, const Registers& registers, const Guest& guest) {
  constexpr InstructionFlag kTakesWords =
      InstructionFlag::moves_stack | InstructionFlag::returns | InstructionFlag::traps;
  const Abi& abi = guest.shared().abi();
  const GuestAddress info = guest.mask_address() - abi.upcall_mask;
  const GuestRange cr2{info + abi.cr2, info + abi.cr2 + abi.word};
  const std::array<GuestRange, 2> ports{
      GuestRange{info + abi.pending_sel, info + abi.pending_sel + abi.word},
      GuestRange{layout::kSharedInfo + abi.evtchn_pending, layout::kSharedInfo + abi.evtchn_pending + kPortCount / 8}};
  SharedReads reads;
  const auto note = [&](auto is_read, bool anywhere) {
    reads.fault_address = reads.fault_address || anywhere || is_read(cr2);
    reads.ports = reads.ports || std::any_of(ports.begin(), ports.end(), is_read);
  };
  if (has(instruction.flags, kTakesWords)) {  // from a stack there
    const GuestAddress stack{registers[Gpr::rsp]};
    note([stack](const GuestRange& range) { return range.end - 1 - stack < layout::kPage; }, false);
  }
  for (const MemoryOperand& operand : instruction.accesses()) {
    if (operand.read) {
      // Of a 32-bit guest's own segments, the bases are the engine's.
      const bool anywhere = is_anywhere(operand, guest.entry());
      const GuestAddress base = anywhere ? GuestAddress{guest.cpu().segment_base(*operand.segment)} : GuestAddress{};
      const GuestAddress address = base + effective_address(operand, registers, instruction.next()).value;
      note(
          [&](const GuestRange& range) {
            return address - range.begin < range.size() || range.begin - address < operand.size;
          },
          anywhere);
    }
  }
  return reads;
}

}  // namespace framefold
