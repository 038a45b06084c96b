// Activations: what deliveries started and what has not ended yet (oracle.md, "Activation", "Window", "Owner").
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "image/image.hpp"
#include "image/registers.hpp"
#include "run/violation.hpp"
#include "xen/guest_mode.hpp"

namespace framefold {

struct Activation {
  const Vector* vector = nullptr;
  Registers interrupted;                // as its handler's frame has to show it
  GuestAddress frame;                   // the lowest at which a handler got its frame; null before the first
  GuestAddress bounce_frame;            // as Xen pushed it: RIP, the lowest word that a return takes
  GuestMode mode = GuestMode::kernel;   // that it interrupted
  std::uint8_t mask = 0;                // evtchn_upcall_mask before the delivery
  std::uint32_t error_code = 0;         // as pushed
  bool window = false;                  // open
  bool marked = false;                  // its frame carries the NMI marker
  bool called = false;                  // its own handler was called: of exceptions and NMIs
  bool nested = false;                  // an event's, into a window: a handler got its frame, not the window's owner's
  std::uint8_t lowered = 0;             // times that an event's handler got its frame lower than ever before; at most 2
  std::uint16_t boundary = 0;           // coverage index of where it arrived
  std::int8_t interrupted_window = -1;  // index of the activation whose open window it interrupted

  DeliveryKind kind() const { return vector->description.kind; }
  /// An event into a window that no handler has been called for.
  bool is_unheard() const { return kind() == DeliveryKind::event && interrupted_window >= 0 && !nested; }
};

/// Live activations, oldest first. They end from the young side only.
struct ActivationStack {
  static constexpr std::size_t kCapacity = 64;
  std::array<Activation, kCapacity> items;
  std::size_t count = 0;

  bool full() const { return count == kCapacity; }
  bool empty() const { return count == 0; }
  Activation& youngest() { return items[count - 1]; }
  const Activation& youngest() const { return items[count - 1]; }
};

}  // namespace framefold
