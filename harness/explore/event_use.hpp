// What an instruction has to do with events that are raised while they are masked, and at what else of the memory that
// Xen shares it looks.
#pragma once

#include <cstdint>

#include "run/guest.hpp"

namespace framefold {

/// Whether an instruction may see or change what an event raises, or go where there is no boundary: `access` where that
/// depends on what it accesses.
enum class EventUse : std::uint8_t { never, access, always };

EventUse event_use(const Instruction& instruction, const Entry& entry, GuestRange stub);

/// Whether an operand of the instruction lies in a page that Xen shares.
bool accesses_shared_page(const Instruction& instruction, const Registers& registers, const Guest& guest);

/// What entry code reads beside the two upcall bytes. What it does not read makes no two states differ to it.
struct SharedReads {
  bool fault_address = false;  // arch.cr2, where Xen leaves the address of a page fault
  /// evtchn_pending_sel or evtchn_pending: what tells an upcall with no port from that of an event. (evtchn_mask does
  /// not: no arrival changes it.)
  bool ports = false;
  bool all() const { return fault_address && ports; }
  bool operator==(const SharedReads&) const = default;
};
SharedReads shared_reads(const Instruction& instruction, const Registers& registers, const Guest& guest);

}  // namespace framefold
