#include "check/byte_accesses.hpp"

#include <algorithm>

#include "check/longest_run.hpp"
#include "run/execution.hpp"
#include "scenario/codec.hpp"

namespace framefold {

namespace {

class ByteAccesses : private TraceSink {
 public:
  explicit ByteAccesses(const Entry& entry) : entry_(entry), execution_(entry) {
    ExecutionOptions options;
    options.runaway_limit = kLongestRun;
    execution_.set_options(options);
  }

  std::vector<GuestAddress> of_event() {
    Scenario scenario = decode({}, entry_);
    scenario.context.pending = 1;
    scenario.context.port = 1;
    canonicalise(scenario, entry_);
    execution_.set_trace(this);
    Outcome outcome;
    execution_.run_nested(scenario, 0, outcome);
    execution_.set_trace(nullptr);
    return std::move(accesses_);
  }

 private:
  void record(const TraceEvent& event) override {
    if (event.kind != TraceEvent::Kind::boundary) return;
    const Instruction* const instruction = find_instruction(entry_, event.address);
    if (instruction == nullptr) return;
    const Guest& guest = execution_.guest();
    for (const MemoryOperand& operand : instruction->accesses()) {
      if (operand.size != 1) continue;
      Registers registers;
      guest.cpu().read_general(registers);
      registers.gs_base = entry_.gs_base.value;
      registers.fs_base = entry_.fs_base.value;
      const GuestAddress at = effective_address(operand, registers, instruction->next());
      if (!guest.stack_of(at) && std::find(accesses_.begin(), accesses_.end(), at) == accesses_.end())
        accesses_.push_back(at);
    }
  }

  const Entry& entry_;
  Execution execution_;
  std::vector<GuestAddress> accesses_;
};

}  // namespace

std::vector<GuestAddress> byte_accesses(const Entry& entry) { return ByteAccesses(entry).of_event(); }

}  // namespace framefold
