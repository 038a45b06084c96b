#include "run/snapshot.hpp"

#include <bit>
#include <cstring>

namespace framefold {

namespace {

void append(std::vector<std::uint8_t>& bytes, const void* data, std::size_t size) {
  const auto* first = static_cast<const std::uint8_t*>(data);
  bytes.insert(bytes.end(), first, first + size);
}

/// Takes what `append` has put, in the same order.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
  void take(void* data, std::size_t size) {
    std::memcpy(data, bytes_.data() + at_, size);
    at_ += size;
  }
  template <typename T>
  T take() {
    T value;
    take(&value, sizeof value);
    return value;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

/// In the order of Execution::save.
template <typename Byte>
PartsOf<Byte> parts_in(std::span<Byte> rest) {
  const auto take = [&](std::size_t size) {
    const std::span<Byte> part = rest.first(size);
    rest = rest.subspan(size);
    return part;
  };
  const auto take_size = [&] {
    std::size_t size = 0;
    std::memcpy(&size, take(sizeof size).data(), sizeof size);
    return size;
  };
  PartsOf<Byte> parts;
  take(sizeof(Guest::SharedBytes));
  parts.activations = take(take_size() * sizeof(Activation));
  parts.data = take(take_size() * sizeof(DataChange));
  for (std::span<Byte>& stack : parts.stacks) {
    stack = take(take_size());
  }
  return parts;
}

}  // namespace

SnapshotParts parts_of(Snapshot& snapshot) { return parts_in(std::span<std::uint8_t>(snapshot.bytes)); }
ConstSnapshotParts parts_of(const Snapshot& snapshot) {
  return parts_in(std::span<const std::uint8_t>(snapshot.bytes));
}

Guest::SharedBytes shared_bytes_of(const Snapshot& snapshot) {
  return Reader(snapshot.bytes).take<Guest::SharedBytes>();
}

void copy_with(const Snapshot& from, const Guest::SharedBytes& shared, std::span<const DataChange> data,
               std::vector<std::uint8_t>& bytes) {
  const ConstSnapshotParts parts = parts_of(from);
  const std::uint8_t* const end = from.bytes.data() + from.bytes.size();
  const std::uint8_t* const after_shared = from.bytes.data() + sizeof shared;
  const std::uint8_t* const after_activations = parts.activations.data() + parts.activations.size();
  const std::uint8_t* const after_data = parts.data.data() + parts.data.size();
  const std::size_t changes = data.size();
  bytes.clear();
  append(bytes, &shared, sizeof shared);
  append(bytes, after_shared, static_cast<std::size_t>(after_activations - after_shared));
  append(bytes, &changes, sizeof changes);
  append(bytes, data.data(), data.size_bytes());
  append(bytes, after_data, static_cast<std::size_t>(end - after_data));
}

std::span<std::uint8_t> Guest::stack_from(StackId id, GuestAddress from) const {
  const Stack& stack = stacks_[static_cast<std::size_t>(id)];
  if (stack.host == nullptr || !stack.range.contains(from)) {
    return {};
  }
  const std::uint64_t offset = from - stack.range.begin;
  return {stack.host + offset, stack.range.size() - offset};
}

const std::uint8_t* Guest::first_stack_bytes(StackId id, GuestAddress from) const {
  const Stack& stack = stacks_[static_cast<std::size_t>(id)];
  return stack.first.data() + (from - stack.range.begin);
}

void Guest::data_changes(std::vector<DataChange>& changes) const {
  changes.clear();
  for (const Data& data : data_) {
    for (std::uint64_t at = data.dirty_begin; at < data.dirty_end; ++at) {
      if (data.host[at] != data.first[at]) {
        changes.push_back({data.range.begin + at, data.host[at]});
      }
    }
  }
}

void Guest::apply(const DataChange& change) {
  note_store(change.address, 1);
  *memory_.find(change.address, 1) = change.value;
}

Guest::SharedBytes Guest::shared_bytes() const {
  SharedBytes bytes;
  const Abi& abi = shared_.abi();
  std::memcpy(bytes.vcpu_info.data(), vcpu_info_, abi.cr2 + abi.word);
  std::memcpy(bytes.pending.data(), shared_page_ + abi.evtchn_pending, bytes.pending.size());
  std::memcpy(bytes.mask.data(), shared_page_ + abi.evtchn_mask, bytes.mask.size());
  return bytes;
}

void Guest::set_shared_bytes(const SharedBytes& bytes) {
  const Abi& abi = shared_.abi();
  std::memcpy(vcpu_info_, bytes.vcpu_info.data(), abi.cr2 + abi.word);
  std::memcpy(shared_page_ + abi.evtchn_pending, bytes.pending.data(), bytes.pending.size());
  std::memcpy(shared_page_ + abi.evtchn_mask, bytes.mask.data(), bytes.mask.size());
}

bool Execution::pass_observed(GuestAddress address, std::uint16_t index, bool shadowed) {
  if (state_.boundaries >= state_.arrival_due && take_arrivals(address, index, shadowed)) {
    return true;
  }
  const Place* place = place_of(address);
  if (!observer_->at_boundary({address, index, shadowed, place == nullptr ? nullptr : handler_at(*place)})) {
    return false;
  }
  stop();
  state_.unsettled = true;
  return true;
}

const Execution::Place* Execution::place_of(GuestAddress address) const {
  return entry_.text.contains(address) ? &places_[address - text_begin_] : nullptr;
}

void Execution::begin(const Scenario& scenario, Outcome& outcome) {
  start(scenario, false, 0, outcome);
  deliver_context(scenario.context);
}

void Execution::run_on() {
  schedule_runaway();
  run_guest();
}

void Execution::end() { finish(); }

void Execution::read_registers(GuestAddress boundary, Registers& registers) const {
  guest_.cpu().read_all(registers);
  registers.rip = boundary.value;
  load_bases(registers);
}

void Execution::read_registers(RegisterSet stale, Registers& registers) const {
  const Cpu& cpu = guest_.cpu();
  for (unsigned left = stale.general(); left != 0; left &= left - 1) {
    const auto gpr = static_cast<Gpr>(std::countr_zero(left));
    registers[gpr] = cpu.read(gpr);
  }
  if (stale.has_flags()) {
    registers.rflags = cpu.read_rflags();
  }
}

void Execution::save(const Boundary& boundary, const Registers& registers, const LiveStacks& live, Snapshot& snapshot) {
  snapshot.registers = registers;
  snapshot.state = state_;
  snapshot.state.shadow = boundary.shadowed;
  // The call of a handler was judged before its first boundary was shown: as if a return had led here.
  snapshot.state.settled = boundary.handler == nullptr ? GuestAddress{} : boundary.address;
  snapshot.live = live;
  std::vector<std::uint8_t>& bytes = snapshot.bytes;
  bytes.clear();
  const Guest::SharedBytes shared = guest_.shared_bytes();
  append(bytes, &shared, sizeof shared);
  append(bytes, &activations_.count, sizeof activations_.count);
  append(bytes, activations_.items.data(), activations_.count * sizeof(Activation));
  guest_.data_changes(changes_);
  const std::size_t changes = changes_.size();
  append(bytes, &changes, sizeof changes);
  append(bytes, changes_.data(), changes * sizeof(DataChange));
  for (std::size_t i = 0; i < kStackCount; ++i) {
    const std::span<const std::uint8_t> stack = guest_.stack_from(static_cast<StackId>(i), live[i]);
    const std::size_t size = stack.size();
    append(bytes, &size, sizeof size);
    append(bytes, stack.data(), size);
  }
}

void Execution::restore(const Snapshot& snapshot, const Scenario& scenario, std::size_t arrivals, Outcome& outcome) {
  scenario_ = &scenario;
  outcome_ = &outcome;
  outcome = fresh_outcome();
  guest_.reset();
  state_ = snapshot.state;
  state_.registers = snapshot.registers;
  state_.in_model = true;
  state_.next_arrival = 0;
  state_.arrival_limit = arrivals;
  schedule_arrival(arrivals > 0 ? 0 : kNever);
  Reader reader(snapshot.bytes);
  guest_.set_shared_bytes(reader.take<Guest::SharedBytes>());
  activations_.count = reader.take<std::size_t>();
  reader.take(activations_.items.data(), activations_.count * sizeof(Activation));
  for (auto left = reader.take<std::size_t>(); left != 0; --left) {
    guest_.apply(reader.take<DataChange>());
  }
  for (std::size_t i = 0; i < kStackCount; ++i) {
    const auto size = reader.take<std::size_t>();
    if (size != 0) {
      reader.take(guest_.stack_from(static_cast<StackId>(i), snapshot.live[i]).data(), size);
      guest_.note_store(snapshot.live[i], size);
    }
  }
}

}  // namespace framefold
