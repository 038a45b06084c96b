// What an instruction has to do with events that are raised while they are masked.
#pragma once

#include <cstdint>

#include "run/guest.hpp"

namespace framefold {

/// Whether an instruction may see or change what an event raises, or go where there is no boundary: `access` where that
/// depends on what it accesses.
enum class EventUse : std::uint8_t { never, access, always };

EventUse event_use(const Instruction& instruction, const Entry& entry, GuestRange stub);

/// Whether an operand of the instruction lies in the page that Xen shares.
bool accesses_shared_page(const Instruction& instruction, const Registers& registers, const Guest& guest);

/// Whether the instruction may read arch.cr2, where Xen leaves the address of a page fault.
bool reads_fault_address(const Instruction& instruction, const Registers& registers, const Guest& guest);

}  // namespace framefold
