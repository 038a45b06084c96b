#include "xen/shared_info.hpp"

#include <bit>

namespace framefold {

namespace {

/// Sets the port's selector bit and, where it was clear, marks the vCPU.
Raise select_and_mark(const SharedInfo& shared, Port port, std::uint8_t value) {
  const std::uint64_t selector = std::uint64_t{1} << (port.number / shared.word_bits());
  const std::uint64_t before = shared.pending_sel();
  if ((before & selector) != 0) {
    return Raise::nothing;
  }
  shared.set_pending_sel(before | selector);
  return mark_events_pending(shared, value);
}

}  // namespace

Raise mark_events_pending(const SharedInfo& shared, std::uint8_t value) {
  const bool was_clear = shared.upcall_pending() == 0;
  shared.upcall_pending() |= value;
  return was_clear ? Raise::kicked : Raise::marked;
}

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

std::optional<Port> unshown_port(const SharedInfo& shared, unsigned ports) {
  const std::uint64_t selected = shared.upcall_pending() == 0 ? 0 : shared.pending_sel();
  for (unsigned word = 0; word * shared.word_bits() < ports; ++word) {
    const std::uint64_t ready = shared.ready_ports(word);
    if (ready != 0 && (selected >> word & 1) == 0) {
      return Port{word * shared.word_bits() + static_cast<unsigned>(std::countr_zero(ready))};
    }
  }
  return std::nullopt;
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
