#include "check/unsaid_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "check/check_fault.hpp"
#include "check/longest_run.hpp"
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

/// Whether a function is modelled, as one that may leave any.
bool overwrites_flags(const Entry& entry, GuestAddress function) {
  const auto handles = [=](const Vector& vector) { return vector.handler == function; };
  const auto is_called = [=](const Call& call) { return call.address == function && call.description.clobbers; };
  return std::any_of(entry.vectors.begin(), entry.vectors.end(), handles) ||
         std::any_of(entry.calls.begin(), entry.calls.end(), is_called);
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
  for (ValueReads& reads : reads_) {
    if (reads.carry_of && !overwrites_flags(entry, *reads.carry_of)) reads.carry_of.reset();
  }
}

/// A byte or two at its start may have been overwritten since (`sete %al`): then it is any of them. Where more has
/// been, it cannot be told.
std::optional<UnsaidValue> UnsaidValues::shown_by(std::uint64_t value, std::uint64_t offset, std::uint64_t size) const {
  const std::uint64_t first = unsaid_value(entry_.width());
  const std::uint64_t number = value - first;
  if (number == 0) return UnsaidValue{};
  if (number == kOverwrittenArgument) return UnsaidValue{UnsaidValue::Kind::argument, Gpr::rax};
  if (number < kGprCount) return UnsaidValue{UnsaidValue::Kind::overwritten, static_cast<Gpr>(number)};
  const std::uint64_t most = word_ / 4;
  for (std::uint64_t overwritten = 1; overwritten <= most; ++overwritten) {
    if ((value ^ first) >> (8 * overwritten) == 0 && offset + size > overwritten && offset < word_) {
      return UnsaidValue{};
    }
  }
  return std::nullopt;
}

std::optional<UnsaidValue> UnsaidValues::find_seen(std::size_t index, const Registers& registers,
                                                   const Guest& guest) const {
  const ValueReads& reads = reads_[index];
  for (const RegisterRead& read : reads.view()) {
    if (const auto shown = shown_by(registers[read.gpr], read.offset, read.size)) return shown;
  }
  if (reads.carry_of) return UnsaidValue{UnsaidValue::Kind::flags, Gpr::rax};
  if (reads.flags && (registers.rflags & kClobberedFlags) == kClobberedFlags) {
    return UnsaidValue{UnsaidValue::Kind::flags, Gpr::rax};
  }
  if (reads.stack) {
    const std::uint8_t* const host = guest.memory().find({registers[Gpr::rsp]}, word_);
    if (host != nullptr) {
      if (const auto shown = shown_by(load_word(host, word_), 0, word_)) return shown;
    }
  }
  return reads.memory ? find_in_memory(entry_.instructions[index], registers, guest) : std::nullopt;
}

std::optional<UnsaidValue> UnsaidValues::find_in_memory(const Instruction& instruction, const Registers& registers,
                                                        const Guest& guest) const {
  Registers with_bases = registers;
  with_bases.gs_base = entry_.gs_base.value;
  with_bases.fs_base = entry_.fs_base.value;
  for (const MemoryOperand& operand : instruction.accesses()) {
    if (!operand.read || operand.size > word_) continue;  // of segments, what is pushed is on the stack
    const GuestAddress at = effective_address(operand, with_bases, instruction.next());
    const GuestAddress first{at.value & ~std::uint64_t{word_ - 1}};
    for (GuestAddress word = first; word < at + operand.size; word = word + word_) {
      const std::uint8_t* const host = guest.memory().find(word, word_);
      const std::uint64_t from = std::max(at, word) - word;
      const std::uint64_t size = std::min(at + operand.size, word + word_) - std::max(at, word);
      if (host == nullptr) continue;
      if (const auto shown = shown_by(load_word(host, word_), from, size)) return shown;
    }
  }
  return std::nullopt;
}

namespace {

/// A function that has returned, and the keys that say what, and that it overwrites.
struct Returned {
  std::string name;
  std::string returns;
  std::string overwrites;
};

std::optional<Returned> function_at(const Entry& entry, GuestAddress address) {
  for (const Vector& vector : entry.vectors) {
    if (vector.handler != address) continue;
    const VectorDescription& description = vector.description;
    const bool event = description.kind == DeliveryKind::event;
    return Returned{description.handler, event ? "handler.returns" : description.key + ".returns",
                    event ? "handler.symbol" : description.key + ".handler"};
  }
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    if (entry.calls[i].address == address) {
      return Returned{entry.calls[i].description.symbol, fmt::format("calls[{}].returns", i),
                      fmt::format("calls[{}].clobbers", i)};
    }
  }
  return std::nullopt;
}

/// Runs scenarios and names the function whose value the code looks at.
class Watch : private TraceSink {
 public:
  explicit Watch(const Entry& entry) : entry_(entry), values_(entry), execution_(entry) {
    ExecutionOptions options;
    options.runaway_limit = kLongestRun;
    execution_.set_options(options);
  }

  /// Throws where the code looks; `past_any`: at what may not be any value.
  void run(const Scenario& scenario, std::optional<ViolationKind> until = std::nullopt, bool past_any = false) {
    past_any_ = past_any;
    returns_to_.clear();
    until_ = until;
    last_ = {entry_.event().description.handler, "handler.returns", "handler.symbol"};
    execution_.set_trace(this);
    Outcome outcome;
    execution_.run_nested(scenario, scenario.arrival_count, outcome);
    execution_.set_trace(nullptr);
    if (no_function_) fail_with_label(*no_function_);
    if (seen_at_) fail(*seen_at_, seen_);
  }

  /// Rows of `calls`, in all runs.
  const std::set<std::size_t>& called() const { return called_; }

  [[noreturn]] void fail(GuestAddress at, const UnsaidValue& seen) const {
    const Instruction* const instruction = find_instruction(entry_, at);
    const std::string looks = fmt::format("{} ({}) looks at", format_location(entry_, at),
                                          instruction == nullptr ? "no instruction" : instruction->text);
    if (seen.kind == UnsaidValue::Kind::returned) {
      throw error_at(last_.returns, fmt::format("missing: expected what {} returns: {} it", last_.name, looks), seen);
    }
    throw error_at(last_.overwrites,
                   fmt::format("expected {}: {} {} behind {}, which a C function may overwrite",
                               is_call() ? "false, where it keeps what it does not return"
                                         : "another function, or code that does not look",
                               looks, what_is_overwritten(seen), last_.name),
                   seen);
  }

 private:
  LooksAtUnsaidValue error_at(const std::string& key, const std::string& text, const UnsaidValue& seen) const {
    return {description_error(entry_.description, key, text), may_be_any(seen)};
  }
  /// What was last called is a row of `calls`, and no handler.
  bool is_call() const { return last_.overwrites.ends_with("clobbers"); }
  /// Handlers are C functions. Of another function, that line may be wrong.
  bool may_be_any(const UnsaidValue& seen) const { return seen.kind != UnsaidValue::Kind::returned && !is_call(); }

  void record(const TraceEvent& event) override {
    if (event.kind == TraceEvent::Kind::violation && until_ == static_cast<ViolationKind>(event.value))
      has_ended_ = true;
    if (event.kind != TraceEvent::Kind::boundary || seen_at_ || has_ended_ || !entry_.text.contains(event.address) ||
        execution_.activations().empty())  // a context, be its code the entry's
      return;
    const Guest& guest = execution_.guest();
    if (std::optional<Returned> function = function_at(entry_, event.address)) {
      const unsigned word = word_size(entry_.width());
      const std::uint8_t* const slot = guest.memory().find({guest.cpu().read(Gpr::rsp)}, word);
      if (slot == nullptr) return;
      const std::uint64_t back = load_word(slot, word);
      returns_to_[back] = *std::move(function);
      note_call(event.address, {back});
      return;
    }
    if (const auto from = returns_to_.find(event.address.value); from != returns_to_.end()) last_ = from->second;
    const Instruction* const instruction = find_instruction(entry_, event.address);
    if (instruction == nullptr) return;
    const auto index = static_cast<std::size_t>(instruction - entry_.instructions.data());
    if (!values_.may_be_seen_by(index)) return;
    Registers registers;
    guest.cpu().read_all(registers);
    const std::optional<UnsaidValue> seen = values_.find_seen(index, registers, guest);
    if (seen && !(past_any_ && may_be_any(*seen))) {
      seen_at_ = event.address;
      seen_ = *seen;
    }
  }

  void note_call(GuestAddress function, GuestAddress back) {
    for (std::size_t i = 0; i < entry_.calls.size(); ++i) {
      if (entry_.calls[i].address != function) continue;
      called_.insert(i);
      if (!no_function_ && !is_made_up(function) && !is_behind_call(back)) no_function_ = i;
    }
  }

  /// What nobody defines is a function, however it is reached.
  bool is_made_up(GuestAddress function) const {
    const Instruction* const instruction = find_instruction(entry_, function);
    return instruction != nullptr && instruction->text.starts_with("ud2");
  }

  /// Code that is not the entry's own may call as well.
  bool is_behind_call(GuestAddress back) const {
    if (!entry_.text.contains(back)) {
      return std::any_of(entry_.segments.begin(), entry_.segments.end(), [=](const LoadSegment& segment) {
        return segment.executable && GuestRange{segment.address, segment.address + segment.bytes.size()}.contains(back);
      });
    }
    const auto behind =
        std::lower_bound(entry_.instructions.begin(), entry_.instructions.end(), back,
                         [](const Instruction& instruction, GuestAddress at) { return instruction.address < at; });
    return behind != entry_.instructions.begin() && std::prev(behind)->next() == back &&
           has(std::prev(behind)->flags, InstructionFlag::calls);
  }

  [[noreturn]] void fail_with_label(std::size_t row) const {
    const std::string key = fmt::format("calls[{}].symbol", row);
    throw description_error(entry_.description, key,
                            fmt::format("expected a function: the code reaches {} in another way than by a call",
                                        entry_.calls[row].description.symbol));
  }

  std::string what_is_overwritten(const UnsaidValue& seen) const {
    switch (seen.kind) {
      case UnsaidValue::Kind::argument:
        return "an argument on the stack";
      case UnsaidValue::Kind::flags:
        return "flags";
      default:
        return std::string(name_of(seen.gpr, entry_.width()));
    }
  }

  const Entry& entry_;
  UnsaidValues values_;
  Execution execution_;
  std::map<std::uint64_t, Returned> returns_to_;  // by return address
  Returned last_;
  std::optional<GuestAddress> seen_at_;
  UnsaidValue seen_;
  std::set<std::size_t> called_;
  std::optional<std::size_t> no_function_;  // a row of `calls`
  std::optional<ViolationKind> until_;      // the first violation of it ends the watch
  bool has_ended_ = false;
  bool past_any_ = false;
};

}  // namespace

std::set<std::size_t> check_unsaid_values(const Entry& entry, std::span<const PlainRun> plain,
                                          const std::string& changed) try {
  Watch watch(entry);
  for (const PlainRun& run : plain) {
    watch.run(run.scenario);
    visit_events(run, entry, [&](const Scenario& scenario) { watch.run(scenario); });
  }
  return watch.called();
} catch (const LooksAtUnsaidValue&) {
  if (changed.empty()) throw;
  throw WrongCode(description_error(entry.description, entry.event().description.key + ".symbol",
                                    "expected code that gives back each register of what it interrupts: " + changed));
}

std::optional<std::string> unsaid_value_behind(const Entry& entry, const Scenario& scenario, ViolationKind kind) {
  try {
    Watch(entry).run(scenario, kind);
  } catch (const LooksAtUnsaidValue& looks) {
    return looks.what();
  }
  return std::nullopt;
}

bool rests_on_unsaid_value(const Entry& entry, const Scenario& scenario, ViolationKind kind) {
  try {
    Watch(entry).run(scenario, kind, true);
  } catch (const LooksAtUnsaidValue&) {
    return true;
  }
  return false;
}

void fail_with_unsaid_value(const Entry& entry, const UnsaidValueSeen& seen) {
  Watch watch(entry);
  if (seen.scenario) watch.run(*seen.scenario);
  watch.fail(seen.at, {});
}

}  // namespace framefold
