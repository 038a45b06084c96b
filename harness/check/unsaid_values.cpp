#include "check/unsaid_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "run/clobbers.hpp"
#include "run/execution.hpp"

namespace framefold {

namespace {

std::vector<ValueReads> reads_of_text(const Entry& entry) {
  for (const LoadSegment& segment : entry.segments) {
    const std::uint64_t offset = entry.text.begin - segment.address;
    if (offset < segment.bytes.size()) {
      return value_reads(entry.width(), entry.text.begin, std::span(segment.bytes).subspan(offset), entry.instructions);
    }
  }
  return std::vector<ValueReads>(entry.instructions.size());
}

}  // namespace

UnsaidValues::UnsaidValues(const Entry& entry)
    : entry_(entry), word_(word_size(entry.width())), reads_(reads_of_text(entry)) {
  const auto is_modelled = [&](GuestAddress address) {
    if (const Instruction* const instruction = find_instruction(entry, address)) {
      reads_[static_cast<std::size_t>(instruction - entry.instructions.data())] = {};
    }
  };
  for (const Vector& vector : entry.vectors) is_modelled(vector.handler);
  for (const Call& call : entry.calls) is_modelled(call.address);
}

/// A byte or two at its start may have been overwritten since (`sete %al`). Where more has been, it cannot be told.
bool UnsaidValues::shows(std::uint64_t value, std::uint64_t offset, std::uint64_t size) const {
  const std::uint64_t differs = value ^ unsaid_value(entry_.width());
  const std::uint64_t above = value - unsaid_value(entry_.width());
  if (above != 0 && above < kGprCount) return false;  // what another register is overwritten with
  const std::uint64_t most = word_ / 4;
  for (std::uint64_t overwritten = 0; overwritten <= most; ++overwritten) {
    if (differs >> (8 * overwritten) == 0) return offset + size > overwritten && offset < word_;
  }
  return false;
}

bool UnsaidValues::is_seen(std::size_t index, const Guest& guest) const {
  const std::span<const RegisterRead> reads = reads_[index].view();
  const bool in_register = std::any_of(reads.begin(), reads.end(), [&](const RegisterRead& read) {
    return shows(guest.cpu().read(read.gpr), read.offset, read.size);
  });
  return in_register || (reads_[index].memory && is_in_memory(entry_.instructions[index], guest));
}

bool UnsaidValues::is_in_memory(const Instruction& instruction, const Guest& guest) const {
  for (const MemoryOperand& operand : instruction.accesses()) {
    if (!operand.read || operand.size > word_) continue;  // of segments, what is pushed is on the stack
    Registers registers;
    registers.gs_base = entry_.gs_base.value;
    registers.fs_base = entry_.fs_base.value;
    for (const std::optional<Gpr> gpr : {operand.base, operand.index}) {
      if (gpr) registers[*gpr] = guest.cpu().read(*gpr);
    }
    const GuestAddress at = effective_address(operand, registers, instruction.next());
    const GuestAddress first{at.value & ~std::uint64_t{word_ - 1}};
    for (GuestAddress word = first; word < at + operand.size; word = word + word_) {
      const std::uint8_t* const host = guest.memory().find(word, word_);
      const std::uint64_t from = std::max(at, word) - word;
      const std::uint64_t size = std::min(at + operand.size, word + word_) - std::max(at, word);
      if (host != nullptr && shows(load_word(host, word_), from, size)) return true;
    }
  }
  return false;
}

namespace {

/// A function that has returned, and the key that says what.
struct Returned {
  std::string name;
  std::string key;
};

std::optional<Returned> function_at(const Entry& entry, GuestAddress address) {
  for (const Vector& vector : entry.vectors) {
    if (vector.handler != address) continue;
    const VectorDescription& description = vector.description;
    const bool event = description.kind == DeliveryKind::event;
    return Returned{description.handler, event ? "handler.returns" : description.key + ".returns"};
  }
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    if (entry.calls[i].address == address) {
      return Returned{entry.calls[i].description.symbol, fmt::format("calls[{}].returns", i)};
    }
  }
  return std::nullopt;
}

/// Runs scenarios and names the function whose value the code looks at.
class Watch : private TraceSink {
 public:
  explicit Watch(const Entry& entry) : entry_(entry), values_(entry), execution_(entry) {
    ExecutionOptions options;
    options.runaway_limit = 1U << 14;  // as check_entry
    execution_.set_options(options);
  }

  /// Throws InputError where the code looks.
  void run(const Scenario& scenario) {
    returns_to_.clear();
    last_ = {entry_.event().description.handler, "handler.returns"};
    execution_.set_trace(this);
    Outcome outcome;
    execution_.run_nested(scenario, scenario.arrival_count, outcome);
    execution_.set_trace(nullptr);
    if (seen_at_) fail(*seen_at_);
  }

  [[noreturn]] void fail(GuestAddress at) const {
    const Instruction* const instruction = find_instruction(entry_, at);
    throw description_error(
        entry_.description, last_.key,
        fmt::format("missing: expected what {} returns: {} ({}) looks at it", last_.name, format_location(entry_, at),
                    instruction == nullptr ? "no instruction" : instruction->text));
  }

 private:
  void record(const TraceEvent& event) override {
    if (event.kind != TraceEvent::Kind::boundary || seen_at_ || !entry_.text.contains(event.address)) return;
    const Guest& guest = execution_.guest();
    if (std::optional<Returned> function = function_at(entry_, event.address)) {
      const unsigned word = word_size(entry_.width());
      const std::uint8_t* const slot = guest.memory().find({guest.cpu().read(Gpr::rsp)}, word);
      if (slot != nullptr) returns_to_[load_word(slot, word)] = *std::move(function);
      return;
    }
    if (const auto from = returns_to_.find(event.address.value); from != returns_to_.end()) last_ = from->second;
    const Instruction* const instruction = find_instruction(entry_, event.address);
    if (instruction == nullptr) return;
    const auto index = static_cast<std::size_t>(instruction - entry_.instructions.data());
    if (values_.are_seen_by(index, guest)) seen_at_ = event.address;
  }

  const Entry& entry_;
  UnsaidValues values_;
  Execution execution_;
  std::map<std::uint64_t, Returned> returns_to_;  // by return address
  Returned last_;
  std::optional<GuestAddress> seen_at_;
};

}  // namespace

void check_unsaid_values(const Entry& entry, std::span<const PlainRun> plain) {
  Watch watch(entry);
  for (const PlainRun& run : plain) {
    watch.run(run.scenario);
    visit_events(run, entry, [&](const Scenario& scenario) { watch.run(scenario); });
  }
}

void fail_with_unsaid_value(const Entry& entry, const UnsaidValueSeen& seen) {
  Watch watch(entry);
  if (seen.scenario) watch.run(*seen.scenario);
  watch.fail(seen.at);
}

}  // namespace framefold
