#include "check/access_watch.hpp"

#include <algorithm>

namespace framefold {

bool overlaps(const GuestRange& one, const GuestRange& other) { return one.begin < other.end && other.begin < one.end; }

void AccessWatch::run(const Scenario& scenario) {
  accesses_.clear();
  path_.clear();
  execution_.set_trace(this);
  Outcome outcome;
  execution_.run_nested(scenario, scenario.arrival_count, outcome);
  execution_.set_trace(nullptr);
}

bool AccessWatch::touches(GuestRange range) const {
  return std::any_of(accesses_.begin(), accesses_.end(),
                     [&](const DataAccess& access) { return overlaps(access.range, range); });
}

void AccessWatch::record(const TraceEvent& event) {
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
    const auto note = [&](GuestAddress begin) {
      accesses_.push_back({event.address, {begin, begin + size}, operand.read, operand.write, operand.segment});
    };
    note(at);
    if (!operand.segment) continue;
    for (const GuestAddress base : entry_.segment_bases) note(base + at.value);
  }
}

}  // namespace framefold
