// What a part of a run has left behind that has given back registers, live activations and live stacks as they were:
// the same for all runs that it may have been a part of.
#pragma once

#include <vector>

#include "run/snapshot.hpp"

namespace framefold {

struct Effect {
  GuestMode mode = GuestMode::kernel;
  bool nmi_pending = false;
  std::uint8_t async_exception_mask = 0;
  std::uint8_t nmi_old_mask = 0;
  bool exits_by_sysret = false;
  GuestAddress last_return;
  ConditionSet last_return_conditions = 0;
  bool last_return_enables = true;
  bool mask_mismatched = false;
  GuestAddress nmi_lost;
  ConditionSet nmi_lost_conditions = 0;
  bool kick_is_used = false;
  bool work_asked = false;
  bool work_waiting = false;
  std::uint8_t nested_handlers = 0;
  std::uint8_t call_mask = 0;
  std::uint8_t delivered_kinds = 0;
  Guest::SharedBytes shared;
  std::size_t info_bytes = 0;  // of vcpu_info that it has: without the last fault's address, where nothing reads that
  std::vector<DataChange> data;

  friend bool operator==(const Effect&, const Effect&) = default;
};

/// Of a run that stands at a boundary.
Effect effect_of(const Execution& execution, bool with_fault_address);

/// Whether a stack pointer is among the data of an effect on the guest: it would be that of one run for all.
bool keeps_stack_pointer(const Effect& effect, const Guest& guest);

/// Whether activations, live stacks, and what of the vCPU no effect names, are those of the snapshot.
bool gives_back(const Execution& execution, const Snapshot& snapshot);

/// Puts into `to` what is `from` behind that part of the run. The instruction there is no longer shadowed.
void apply(const Effect& effect, const Snapshot& from, Snapshot& to);

}  // namespace framefold
