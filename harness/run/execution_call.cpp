// Execution: functions that the entry calls besides the handlers, as the description says what they do.
#include "run/execution.hpp"

namespace framefold {

/// Its first instruction is a boundary as any other; what it does happens between that and its return.
void Execution::on_call(GuestAddress address, const Place& place) {
  if (pass_boundary(address, place.boundary)) {
    return;
  }
  state_.last_boundary = address;
  const Call& call = entry_.calls[place.call];
  if (call.description.never) {
    violate(ViolationKind::guest_fault, address,
            {"reaches what is never reached, according to", 0, address.value, true});
    return;
  }
  if (call.sets) {
    if (std::uint8_t* const word = guest_.memory().find_writable(*call.sets, sizeof call.description.to)) {
      guest_.note_store(*call.sets, sizeof call.description.to);
      store_word(word, call.description.to, sizeof call.description.to);
    }
  }
  if (!call.description.takes_event || !take_event_in(call, place.boundary)) {
    leave_call(call);
  }
}

/// As a handler's own nested event: unmasks, takes one; the nested activation returns to the handler page, which does
/// the rest. One at a time: what the event's own way calls takes none. True where the guest now executes something
/// else.
bool Execution::take_event_in(const Call& call, std::uint16_t boundary) {
  if (state_.nested_handlers != 0) {
    return false;
  }
  std::uint8_t& mask = guest_.shared().upcall_mask();
  ++state_.nested_handlers;
  state_.call_mask = mask;
  mask = 0;
  raise(kNestedPort, 1);
  state_.current = layout::call_nested(index_of(call));
  state_.boundary_index = boundary;
  if (!give_control(std::nullopt)) {
    --state_.nested_handlers;
    mask = state_.call_mask;
    state_.call_mask = 0;
    return false;
  }
  if (!state_.stopped) {
    store_delivery();
  }
  return true;
}

void Execution::end_event_in(const Call& call) {
  --state_.nested_handlers;
  guest_.shared().upcall_mask() = state_.call_mask;
  state_.call_mask = 0;
  leave_call(call);
}

/// Clobbers what the ABI lets it clobber, unless it is described as one that does not, and goes to its `ret`.
void Execution::leave_call(const Call& call) {
  const GuestAddress back = layout::call_return(index_of(call));
  if (!call.description.clobbers) {
    guest_.cpu().redirect(back);
    return;
  }
  guest_.kill_stack_below({guest_.cpu().read(Gpr::rsp)}, kFunctionStack);
  guest_.set_handler_target(back);
  guest_.cpu().redirect(layout::clobber_page(entry_.width()));
}

/// The call that its own event interrupts at this address of the handler page.
const Call* Execution::call_at(GuestAddress address) const {
  for (const Call& call : entry_.calls) {
    if (layout::call_nested(index_of(call)) == address) {
      return &call;
    }
  }
  return nullptr;
}

}  // namespace framefold
