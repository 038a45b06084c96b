// What a part of a run has left behind that has given back registers, live activations and live stacks as they were:
// the same for all runs that it may have been a part of.
#pragma once

#include <concepts>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "run/snapshot.hpp"

namespace framefold {

/// What of a vCPU's state is part of an effect, by reference: read or written.
template <typename SomeVcpu>
auto left_in(SomeVcpu& vcpu) requires std::same_as<std::remove_const_t<SomeVcpu>, Vcpu> {
  return std::tie(vcpu.mode, vcpu.nmi_pending, vcpu.async_exception_mask, vcpu.nmi_old_mask, vcpu.exits_by_sysret);
}

/// The same of a run's.
template <typename State>
auto left_in(State& state) requires std::same_as<std::remove_const_t<State>, RunState> {
  return std::tuple_cat(
      left_in(state.vcpu),
      std::tie(state.last_return, state.last_return_conditions, state.last_return_enables, state.mask_mismatched,
               state.nmi_lost, state.nmi_lost_conditions, state.kick_is_used, state.work_asked, state.work_waiting,
               state.nested_handlers, state.call_mask, state.delivered_kinds));
}

template <typename... Fields>
std::tuple<Fields...> values_of(const std::tuple<const Fields&...>& fields) {
  return fields;
}

struct Effect {
  decltype(values_of(left_in(std::declval<const RunState&>()))) state;  // of the run
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
