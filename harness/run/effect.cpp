#include "run/effect.hpp"

#include <algorithm>
#include <cstring>

namespace framefold {

namespace {

bool holds(std::span<const std::uint8_t> bytes, const void* data, std::size_t size) {
  return bytes.size() == size && (size == 0 || std::memcmp(bytes.data(), data, size) == 0);
}

void put(const Effect& effect, Vcpu& vcpu) {
  vcpu.mode = effect.mode;
  vcpu.nmi_pending = effect.nmi_pending;
  vcpu.async_exception_mask = effect.async_exception_mask;
  vcpu.nmi_old_mask = effect.nmi_old_mask;
  vcpu.exits_by_sysret = effect.exits_by_sysret;
}

void put(const Effect& effect, RunState& state) {
  put(effect, state.vcpu);
  state.last_return = effect.last_return;
  state.last_return_conditions = effect.last_return_conditions;
  state.last_return_enables = effect.last_return_enables;
  state.mask_mismatched = effect.mask_mismatched;
  state.nmi_lost = effect.nmi_lost;
  state.nmi_lost_conditions = effect.nmi_lost_conditions;
  state.kick_is_used = effect.kick_is_used;
  state.work_asked = effect.work_asked;
  state.work_waiting = effect.work_waiting;
  state.nested_handlers = effect.nested_handlers;
  state.call_mask = effect.call_mask;
  state.delivered_kinds = effect.delivered_kinds;
  state.shadow = false;
}

}  // namespace

Effect effect_of(const Execution& execution, bool with_fault_address) {
  const RunState& state = execution.state();
  Effect effect;
  effect.mode = state.vcpu.mode;
  effect.nmi_pending = state.vcpu.nmi_pending;
  effect.async_exception_mask = state.vcpu.async_exception_mask;
  effect.nmi_old_mask = state.vcpu.nmi_old_mask;
  effect.exits_by_sysret = state.vcpu.exits_by_sysret;
  effect.last_return = state.last_return;
  effect.last_return_conditions = state.last_return_conditions;
  effect.last_return_enables = state.last_return_enables;
  effect.mask_mismatched = state.mask_mismatched;
  effect.nmi_lost = state.nmi_lost;
  effect.nmi_lost_conditions = state.nmi_lost_conditions;
  effect.kick_is_used = state.kick_is_used;
  effect.work_asked = state.work_asked;
  effect.work_waiting = state.work_waiting;
  effect.nested_handlers = state.nested_handlers;
  effect.call_mask = state.call_mask;
  effect.delivered_kinds = state.delivered_kinds;
  effect.shared = execution.guest().shared_bytes();
  const Abi& abi = execution.guest().shared().abi();
  effect.info_bytes = abi.cr2 + (with_fault_address ? abi.word : 0);
  std::fill(effect.shared.vcpu_info.begin() + static_cast<std::ptrdiff_t>(effect.info_bytes),
            effect.shared.vcpu_info.end(), std::uint8_t{0});
  execution.guest().data_changes(effect.data);
  return effect;
}

bool keeps_stack_pointer(const Effect& effect, const Guest& guest) {
  const std::size_t size = word_size(guest.entry().width());
  const auto is_pointer_at = [&](GuestAddress address) {
    const std::uint8_t* const host = guest.memory().find(address, size);
    return host != nullptr && guest.stack_of(GuestAddress{load_word(host, size)} - 1).has_value();
  };
  return std::any_of(effect.data.begin(), effect.data.end(), [&](const DataChange& change) {
    std::size_t before = 0;
    while (before < size && !is_pointer_at(change.address - before)) ++before;
    return before < size;
  });
}

bool gives_back(const Execution& execution, const Snapshot& snapshot) {
  Vcpu vcpu = snapshot.state.vcpu;
  put(effect_of(execution, false), vcpu);
  const ConstSnapshotParts parts = parts_of(snapshot);
  const ActivationStack& live = execution.activations();
  if (vcpu != execution.state().vcpu || !holds(parts.activations, live.items.data(), live.count * sizeof(Activation))) {
    return false;
  }
  for (std::size_t i = 0; i < kStackCount; ++i) {
    const std::span<const std::uint8_t> stack = execution.guest().stack_from(static_cast<StackId>(i), snapshot.live[i]);
    if (!holds(parts.stacks[i], stack.data(), stack.size())) {
      return false;
    }
  }
  return true;
}

void apply(const Effect& effect, const Snapshot& from, Snapshot& to) {
  to.registers = from.registers;
  to.state = from.state;
  to.live = from.live;
  put(effect, to.state);
  Guest::SharedBytes shared = shared_bytes_of(from);
  std::copy_n(effect.shared.vcpu_info.begin(), effect.info_bytes, shared.vcpu_info.begin());
  shared.pending = effect.shared.pending;
  shared.mask = effect.shared.mask;
  copy_with(from, shared, effect.data, to.bytes);
}

}  // namespace framefold
