// What identifies a state (oracle.md, "State (explorer)"), as 64 bits.
//
// Keys stand for states: two of n states share one with a probability of about n²/2^65, which for ten million states is
// below one in 300,000.
#pragma once

#include <cstdint>

#include "run/snapshot.hpp"

namespace framefold {

inline constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15;

/// A hash with one more value.
constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * kMultiplier;
  return hash ^ (hash >> 32);
}

/// With all registers but segment bases.
std::uint64_t mix_registers(std::uint64_t hash, const Registers& registers, Width width);

/// What an arrival of an event changes.
struct EventState {
  std::uint8_t pending = 0;
  bool kick_is_used = false;
  std::uint64_t selector = 0;
  std::array<std::uint64_t, kPortCount / 64> ports{};
  bool operator==(const EventState&) const = default;
};
EventState event_state(const Execution& execution);

/// What stays the same all through a context's graph and tells it from others.
struct KeyScope {
  std::uint64_t seed = 0;
  std::array<GuestAddress, kStackCount> quiet{};  // from here on up, stacks keep their first contents
  bool with_handled = false;                      // ports handled so far are part of the state
  bool with_frame_write = false;
  bool with_fault_address = false;  // entry code reads what the last page fault left in arch.cr2
};
/// For the context that `execution` has begun. Contexts that resume alike have equal seeds and share their states.
KeyScope scope_of(const Execution& execution, const Scenario& scenario);

/// Everything but EventState. `live[current stack]` is up to date.
std::uint64_t state_key(const Execution& execution, const KeyScope& scope, const Boundary& boundary,
                        const Registers& registers, const LiveStacks& live, const Outcome& outcome,
                        std::vector<DataChange>& scratch);
std::uint64_t with_events(std::uint64_t key, const EventState& events);

/// Forgets contents above `quiet` where they are the first ones still; sets `live` of stacks that were never used but
/// written.
void update_live_stacks(const Execution& execution, const Registers& registers, LiveStacks& live);

/// For a sum over states that does not depend on values of data: place, depth, masks, kinds of activations.
std::uint64_t shape_key(const Execution& execution, const Boundary& boundary, const Registers& registers);

}  // namespace framefold
