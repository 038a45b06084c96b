#include "run/effect.hpp"

#include <algorithm>
#include <cstring>

namespace framefold {

namespace {

bool holds(std::span<const std::uint8_t> bytes, const void* data, std::size_t size) {
  return bytes.size() == size && (size == 0 || std::memcmp(bytes.data(), data, size) == 0);
}

}  // namespace

Effect effect_of(const Execution& execution, bool with_fault_address) {
  Effect effect;
  effect.state = left_in(execution.state());
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
  left_in(vcpu) = left_in(execution.state().vcpu);
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
  left_in(to.state) = effect.state;
  to.state.shadow = false;
  Guest::SharedBytes shared = shared_bytes_of(from);
  std::copy_n(effect.shared.vcpu_info.begin(), effect.info_bytes, shared.vcpu_info.begin());
  shared.pending = effect.shared.pending;
  shared.mask = effect.shared.mask;
  copy_with(from, shared, effect.data, to.bytes);
}

}  // namespace framefold
