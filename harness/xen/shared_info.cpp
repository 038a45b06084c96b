#include "xen/shared_info.hpp"

namespace framefold {

namespace {

/// Sets the port's selector bit and, where it was clear, marks the vCPU (vcpu_mark_events_pending).
Raise select_and_mark(const SharedInfo& shared, Port port, std::uint8_t value) {
  const std::uint64_t selector = std::uint64_t{1} << (port.number / shared.word_bits());
  const std::uint64_t before = shared.pending_sel();
  if ((before & selector) != 0) {
    return Raise::nothing;
  }
  shared.set_pending_sel(before | selector);
  const bool was_clear = shared.upcall_pending() == 0;
  shared.upcall_pending() |= value;
  return was_clear ? Raise::kicked : Raise::marked;
}

}  // namespace

Raise raise_event(const SharedInfo& shared, Port port, std::uint8_t value) {
  if (shared.port_pending(port)) {
    return Raise::nothing;
  }
  shared.set_port_pending(port, true);
  if (shared.port_masked(port)) {
    return Raise::nothing;
  }
  return select_and_mark(shared, port, value);
}

Raise unmask_port(const SharedInfo& shared, Port port) {
  const bool was_masked = shared.port_masked(port);
  shared.set_port_masked(port, false);
  if (!was_masked || !shared.port_pending(port)) {
    return Raise::nothing;
  }
  return select_and_mark(shared, port, 1);
}

}  // namespace framefold
