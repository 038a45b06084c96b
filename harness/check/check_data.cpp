#include "check/check_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "run/execution.hpp"

namespace framefold {

namespace {

/// What the entry's instructions read or write in a run, and which they are.
class AccessWatch : private TraceSink {
 public:
  explicit AccessWatch(const Entry& entry) : entry_(entry), execution_(entry) {}

  void run(const Scenario& scenario) {
    accesses_.clear();
    path_.clear();
    execution_.set_trace(this);
    Outcome outcome;
    execution_.run_nested(scenario, 0, outcome);
    execution_.set_trace(nullptr);
  }

  bool touches(GuestRange range) const {
    return std::any_of(accesses_.begin(), accesses_.end(),
                       [&](const GuestRange& access) { return access.begin < range.end && range.begin < access.end; });
  }
  const std::vector<GuestAddress>& path() const { return path_; }

 private:
  void record(const TraceEvent& event) override {
    if (event.kind != TraceEvent::Kind::boundary) return;
    path_.push_back(event.address);
    const Instruction* const instruction = find_instruction(entry_, event.address);
    if (instruction == nullptr || instruction->memory_count == 0) return;
    Registers registers;
    execution_.guest().cpu().read_general(registers);
    registers.gs_base = entry_.gs_base.value;
    registers.fs_base = entry_.fs_base.value;
    for (const MemoryOperand& operand : instruction->accesses()) {
      const GuestAddress at = effective_address(operand, registers, instruction->next());
      const std::uint64_t size = std::max<std::uint64_t>(operand.size, 1);
      accesses_.push_back({at, at + size});
      if (!operand.segment) continue;
      for (const GuestAddress base : entry_.segment_bases)
        accesses_.push_back({base + at.value, base + at.value + size});
    }
  }

  const Entry& entry_;
  Execution execution_;
  std::vector<GuestRange> accesses_;
  std::vector<GuestAddress> path_;
};

/// Those before this vCPU's are other vCPUs'.
void check_index(const Entry& entry, const AccessWatch& watch) {
  const VcpuInfoDescription& info = entry.description.vcpu_info;
  const GuestAddress own = !info.symbol.empty() ? entry.vcpu_info : layout::kSharedInfo + info.offset();
  for (std::uint32_t i = 0; i < info.index; ++i) {
    const GuestAddress other = own - (info.index - i) * std::uint64_t{info.stride};
    if (watch.touches({other, other + kVcpuInfoSize})) {
      throw description_error(entry.description, "vcpu_info.index",
                              fmt::format("expected {}: the code uses that vcpu_info", i));
    }
  }
}

/// The bits of the work flag without which a user context is returned to in another way.
std::uint32_t bits_looked_at(const Entry& entry, const Scenario& user) {
  constexpr unsigned kBits = 32;
  Entry copy = entry;  // an execution takes the mask from it whenever a handler sets the flag
  AccessWatch watch(copy);
  watch.run(user);
  const std::vector<GuestAddress> without = watch.path();
  Scenario asked = user;
  asked.event_actions[0].set_work_flag = true;
  std::uint32_t bits = 0;
  for (unsigned i = 0; i < kBits; ++i) {
    copy.description.work_flag->mask = std::uint32_t{1} << i;
    watch.run(asked);
    if (watch.path() != without) bits |= std::uint32_t{1} << i;
  }
  return bits;
}

/// What C functions look at cannot be seen.
void check_work_flag(const Entry& entry, const Scenario& user, const AccessWatch& watch) {
  if (!entry.work_flag || !entry.calls.empty()) return;
  const WorkFlagDescription& flag = *entry.description.work_flag;
  if (!watch.touches({*entry.work_flag, *entry.work_flag + sizeof(std::uint32_t)})) {
    throw description_error(
        entry.description, "work_flag.symbol",
        fmt::format("expected a word that the code looks at on the way to user mode: {} is none", flag.symbol));
  }
  const std::uint32_t bits = bits_looked_at(entry, user);
  if (bits == 0) {
    throw description_error(
        entry.description, "work_flag.symbol",
        fmt::format("expected a word in which a handler's bit changes the way to user mode: in {} none does",
                    flag.symbol));
  }
  if ((flag.mask & ~bits) != 0) {
    throw description_error(entry.description, "work_flag.mask",
                            fmt::format("expected bits that the code looks at on the way to user mode, {:#x}", bits));
  }
}

}  // namespace

void check_data(const Entry& entry, std::span<const Scenario> plain) {
  AccessWatch watch(entry);
  for (const Scenario& scenario : plain) {
    watch.run(scenario);
    if (entry.description.vcpu_info.index != 0) check_index(entry, watch);
    if (scenario.context.mode == GuestMode::user) check_work_flag(entry, scenario, watch);
  }
}

}  // namespace framefold
