#include "explore/state_key.hpp"

#include <bit>
#include <cstring>
#include <span>

namespace framefold {

namespace {

constexpr std::uint64_t kOtherMultiplier = 0xc2b2ae3d27d4eb4f;

/// Two lanes, so that one multiplication does not wait for the other.
std::uint64_t mix_bytes(std::uint64_t hash, const std::uint8_t* bytes, std::size_t size) {
  std::uint64_t other = hash + size;
  std::size_t at = 0;
  for (; at + 16 <= size; at += 16) {
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    std::memcpy(&a, bytes + at, sizeof a);
    std::memcpy(&b, bytes + at + 8, sizeof b);
    hash = std::rotl((hash ^ a) * kMultiplier, 29);
    other = std::rotl((other ^ b) * kOtherMultiplier, 31);
  }
  std::uint64_t rest[2] = {0, 0};
  std::memcpy(rest, bytes + at, size - at);
  return mix(mix(mix(hash, rest[0]), rest[1]), other);
}

std::uint64_t mix_activation(std::uint64_t hash, const Activation& activation, Width width) {
  hash = mix_registers(hash, activation.interrupted, width);
  const std::uint64_t flags =
      static_cast<std::uint64_t>(activation.kind()) | static_cast<std::uint64_t>(activation.mode) << 2 |
      std::uint64_t{activation.window} << 3 | std::uint64_t{activation.marked} << 4 |
      std::uint64_t{activation.called} << 6 | std::uint64_t{activation.lowered} << 24 |
      std::uint64_t{activation.vector->description.error_code} << 5 | std::uint64_t{activation.mask} << 8 |
      std::uint64_t{static_cast<std::uint8_t>(activation.interrupted_window)} << 16 |
      std::uint64_t{activation.error_code} << 32;
  return mix(mix(hash, flags), activation.frame.value);
}

}  // namespace

std::uint64_t mix_registers(std::uint64_t hash, const Registers& registers, Width width) {
  const auto* gpr = reinterpret_cast<const std::uint8_t*>(registers.gpr.data());
  hash = mix_bytes(hash, gpr, gpr_count(width) * sizeof registers.gpr[0]);
  const auto* segments = reinterpret_cast<const std::uint8_t*>(registers.segment.data());
  hash = mix_bytes(hash, segments, sizeof registers.segment);
  hash = mix(hash, registers.gs_base ^ std::rotl(registers.fs_base, 32));
  return mix(mix(hash, registers.rip), registers.rflags);
}

EventState event_state(const Execution& execution) {
  const SharedInfo& shared = execution.guest().shared();
  const Guest::SharedBytes bytes = execution.guest().shared_bytes();
  EventState events;
  events.pending = shared.upcall_pending();
  events.kick_is_used = execution.state().kick_is_used;
  events.selector = shared.pending_sel();
  std::memcpy(events.ports.data(), bytes.pending.data(), sizeof events.ports);
  return events;
}

std::uint64_t with_events(std::uint64_t key, const EventState& events) {
  key = mix(key, std::uint64_t{events.pending} | std::uint64_t{events.kick_is_used} << 8);
  key = mix(key, events.selector);
  for (const std::uint64_t ports : events.ports) {
    key = mix(key, ports);
  }
  return key;
}

KeyScope scope_of(const Execution& execution, const Scenario& scenario) {
  const RunState& state = execution.state();
  const Guest& guest = execution.guest();
  const bool user = state.context_mode == GuestMode::user;
  KeyScope scope;
  for (std::size_t i = 0; i < kStackCount; ++i) {
    scope.quiet[i] = guest.stack_range(static_cast<StackId>(i)).end;
  }
  if (user) {
    scope.quiet[static_cast<std::size_t>(StackId::kernel)] =
        guest.stack_range(StackId::kernel).end - layout::kAboveStack;
  } else {
    scope.quiet[static_cast<std::size_t>(state.context_stack)] = {state.context[Gpr::rsp]};
  }
  scope.with_handled = scenario.context.mask != 0;
  scope.with_frame_write = scenario.frame_write.rax || scenario.frame_write.rip;
  // What handlers write to the frame is known from the start: it is the same for all that share the seed.
  std::uint64_t seed = mix_registers(kMultiplier, state.context, execution.entry().width());
  seed = mix(seed, static_cast<std::uint64_t>(state.context_mode) | std::uint64_t{state.first_async_mask} << 8 |
                       std::uint64_t{scope.with_handled} << 16 | std::uint64_t{scope.with_frame_write} << 17 |
                       std::uint64_t{scenario.event_actions[0].unmask_port} << 18);
  scope.seed = seed;
  return scope;
}

void update_live_stacks(const Execution& execution, const Registers& registers, LiveStacks& live) {
  const Guest& guest = execution.guest();
  const GuestAddress rsp{registers[Gpr::rsp]};
  for (std::size_t i = 0; i < kStackCount; ++i) {
    const auto id = static_cast<StackId>(i);
    const GuestRange& range = guest.stack_range(id);
    if (range.begin <= rsp && rsp <= range.end && range.size() != 0) {
      live[i] = rsp;
    } else if (live[i] == range.end && guest.touched_from(id) < range.end) {
      if (const std::optional<GuestAddress> changed = guest.first_change(id, guest.touched_from(id))) {
        live[i] = *changed;
      }
    }
  }
}

std::uint64_t state_key(const Execution& execution, const KeyScope& scope, const Boundary& boundary,
                        const Registers& registers, const LiveStacks& live, const Outcome& outcome,
                        std::vector<DataChange>& scratch) {
  const Guest& guest = execution.guest();
  const RunState& state = execution.state();
  const Width width = execution.entry().width();
  std::uint64_t key = mix(scope.seed, boundary.address.value);
  key = mix_registers(key, registers, width);
  const std::uint64_t flags =
      static_cast<std::uint64_t>(state.vcpu.mode) | std::uint64_t{state.vcpu.nmi_pending} << 1 |
      std::uint64_t{boundary.shadowed} << 2 | std::uint64_t{state.work_asked} << 3 |
      std::uint64_t{scope.with_frame_write && state.frame_written} << 4 |
      std::uint64_t{state.vcpu.async_exception_mask} << 8 | std::uint64_t{state.vcpu.nmi_old_mask} << 16 |
      std::uint64_t{state.nested_handlers} << 24 | std::uint64_t{state.call_mask} << 48 |
      std::uint64_t{state.work_waiting} << 5 | std::uint64_t{guest.shared().upcall_mask()} << 32;
  key = mix(key, flags);
  if (state.nmi_lost != GuestAddress{}) {
    key = mix(key, state.nmi_lost.value);
  }
  const Guest::SharedBytes shared = guest.shared_bytes();
  key = mix_bytes(key, shared.mask.data(), shared.mask.size());
  if (scope.with_fault_address) {
    key = mix(key, guest.shared().cr2());
  }
  const ActivationStack& activations = execution.activations();
  for (std::size_t i = 0; i < activations.count; ++i) {
    key = mix_activation(key, activations.items[i], width);
  }
  for (std::size_t i = 0; i < kStackCount; ++i) {
    const auto id = static_cast<StackId>(i);
    const std::span<const std::uint8_t> bytes = guest.stack_from(id, live[i]);
    if (bytes.empty()) {
      continue;
    }
    const GuestAddress quiet = std::max(scope.quiet[i], live[i]);
    const std::span<const std::uint8_t> above = guest.stack_from(id, quiet);
    const bool still =
        above.empty() || std::memcmp(above.data(), guest.first_stack_bytes(id, quiet), above.size()) == 0;
    key = mix(key, live[i].value);
    key = mix_bytes(key, bytes.data(), still ? bytes.size() - above.size() : bytes.size());
  }
  guest.data_changes(scratch);
  for (const DataChange& change : scratch) {
    key = mix(key, change.address.value << 8 | change.value);
  }
  if (scope.with_handled && outcome.handled.any()) {
    key = mix(key, std::hash<std::bitset<kPortCount>>{}(outcome.handled));
  }
  return key;
}

std::uint64_t shape_key(const Execution& execution, const Boundary& boundary, const Registers& registers) {
  const ActivationStack& activations = execution.activations();
  std::uint64_t key = mix(kMultiplier, boundary.address.value);
  key = mix(key,
            execution.guest().shared().upcall_mask() | std::uint64_t{execution.guest().shared().upcall_pending()} << 8);
  for (std::size_t i = 0; i < activations.count; ++i) {
    const Activation& a = activations.items[i];
    key = mix(key, static_cast<std::uint64_t>(a.kind()) | std::uint64_t{a.window} << 2 | std::uint64_t{a.marked} << 3);
    // How two stacks lie to each other is data.
    const GuestAddress rsp{registers[Gpr::rsp]};
    const GuestAddress interrupted{a.interrupted[Gpr::rsp]};
    const bool same_stack = execution.guest().stack_of(rsp) == execution.guest().stack_of(interrupted - 1);
    key = mix(key, same_stack ? interrupted - rsp : 0);
  }
  return key;
}

}  // namespace framefold
