#include "check/check_entry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "check/byte_accesses.hpp"
#include "check/check_alignment.hpp"
#include "check/check_calls.hpp"
#include "check/check_count.hpp"
#include "check/check_data.hpp"
#include "check/check_event_bytes.hpp"
#include "check/check_fault.hpp"
#include "check/check_frame.hpp"
#include "check/check_marker.hpp"
#include "check/check_nesting.hpp"
#include "check/check_region.hpp"
#include "check/longest_run.hpp"
#include "check/repair.hpp"
#include "check/unsaid_values.hpp"
#include "image/description_rules.hpp"
#include "run/execution.hpp"
#include "scenario/codec.hpp"

namespace framefold {

namespace {

constexpr std::uint16_t kPlace = 0x40;
constexpr std::uint32_t kErrorCode = 0xe0d0;  // nothing else has this value

/// One plain context: events enabled, register tags.
Scenario plain_context(const Entry& entry, std::size_t vector, GuestMode mode, ContextStack stack) {
  Scenario scenario = decode({}, entry);
  Context& context = scenario.context;
  context.vector = static_cast<std::uint8_t>(vector);
  context.mode = mode;
  context.stack = stack;
  context.place_offset = kPlace;
  context.error_code = kErrorCode;
  if (vector == 0) {
    context.pending = 1;
    context.port = 1;
  }
  canonicalise(scenario, entry);
  return scenario;
}

std::string context_name(const Entry& entry, const Context& context) {
  const std::string_view name = entry.vectors[context.vector].description.name;
  return context.mode == GuestMode::user
             ? fmt::format("{}, user", name)
             : fmt::format("{}, kernel on {}", name, context.stack == ContextStack::thread ? "thread" : "interrupt");
}

/// Delivers to one context and looks.
class Trial : private TraceSink {
 public:
  Trial(Execution& execution, const Scenario& scenario, std::set<GuestAddress>& unmasked, CheckReport& report)
      : execution_(execution),
        entry_(execution.entry()),
        scenario_(scenario),
        unmasked_(unmasked),
        report_(report),
        use_(execution.entry()) {}

  CheckReport::Delivery check() {
    const Outcome outcome = run();
    if (!call_) fail_where_it_stops(outcome);
    check_handler();
    check_error_code(outcome);
    if (!outcome.resumed) fail_to_resume(outcome);
    check_restored();
    check_data_restored(outcome);
    if (outcome.mask != 0) fail_with_mask();
    note_changed(outcome);
    report_.zeroed.insert(use_.used().begin(), use_.used().end());
    if (outcome.mode != scenario_.context.mode) {
      fail("modes", fmt::format("expected only modes that the entry returns to: {} resumes in {} mode", name(),
                                name_of(outcome.mode)));
    }
    return {name(), vector().description.handler, call_->frame.value, call_->slots, outcome.boundaries, exit_};
  }

  /// Looks at nothing but the segments in the frame.
  void check_segments(std::string_view with) {
    run();
    const bool segment = call_ && call_->wrong.size() == 2 && call_->wrong.ends_with('s');
    if (segment) call_->check(entry_, vector().description, fmt::format("{} with {}", name(), with));
  }

  /// What ran up to the handler.
  const std::set<GuestAddress>& way_in() const { return way_in_; }

 private:
  Outcome run() {
    Outcome outcome;
    execution_.set_trace(this);
    try {
      execution_.run_nested(scenario_, 0, outcome);
    } catch (...) {
      execution_.set_trace(nullptr);
      throw;
    }
    execution_.set_trace(nullptr);
    return outcome;
  }

  const Vector& vector() const { return entry_.vectors[scenario_.context.vector]; }
  std::string name() const { return context_name(entry_, scenario_.context); }
  std::string handler_key() const {
    return vector().description.kind == DeliveryKind::event ? "handler.symbol" : vector().description.key + ".handler";
  }
  [[noreturn]] void fail(std::string_view key, const std::string& text) const {
    throw description_error(entry_.description, key, text);
  }

  void record(const TraceEvent& event) override {
    if (event.kind == TraceEvent::Kind::boundary) {
      note_boundary(event);
    } else if (event.kind == TraceEvent::Kind::handler && !call_) {
      Registers registers;
      if (event.registers != nullptr) {
        registers = *event.registers;
      } else {
        execution_.guest().cpu().read_general(registers);
      }
      called_ = event.address;
      const Activation& owner = execution_.activations().youngest();
      interrupted_ = owner.interrupted;
      live_ = execution_.activations().count;
      note_error_code(registers);
      const unsigned word = word_size(entry_.width());
      const std::uint8_t* const slot = execution_.guest().memory().find({registers[Gpr::rsp]}, word);
      if (slot != nullptr) return_address_ = {load_word(slot, word)};
      call_ = frame_seen(execution_.guest(), owner, registers, event.value);
    }
  }

  /// What runs before the handler runs masked, or in the mask of the interrupted context, which says nothing.
  void note_boundary(const TraceEvent& event) {
    const bool on_page =
        GuestRange{entry_.hypercall_page, entry_.hypercall_page + layout::kPage}.contains(event.address);
    if (call_ && on_page && event.mask == 0 && vector().description.masks_events)
      report_.unmasked_on_page.insert(event.address);
    if (!entry_.text.contains(event.address)) return;
    last_ = event.address;
    note_data(event.address);
    const bool same = execution_.activations().count == live_;  // not in an event that a call took
    if (call_ && same && event.address == entry_.restore_end) restored_ = event.stack_pointer;
    if (!call_) {
      way_in_.insert(event.address);
      return;
    }
    exit_.insert(event.address);
    if (event.mask == 0 && vector().description.masks_events) unmasked_.insert(event.address);
    if (event.mask == 0 && vector().description.kind == DeliveryKind::event && !report_.restored) note_all_back(event);
  }

  void note_data(GuestAddress address) {
    const Instruction* const instruction = find_instruction(entry_, address);
    if (instruction == nullptr) return;
    Registers registers;
    execution_.guest().cpu().read_general(registers);
    registers.gs_base = entry_.gs_base.value;
    registers.fs_base = entry_.fs_base.value;
    use_.note(*instruction, registers);
  }

  void note_all_back(const TraceEvent& event) {
    const std::vector<FrameSlot>& slots = entry_.description.frame.slots;
    const auto rip = std::find_if(slots.begin(), slots.end(), [](const FrameSlot& slot) { return slot.name == "rip"; });
    if (event.stack_pointer != call_->frame.value + rip->offset) return;
    Registers registers;
    execution_.guest().cpu().read_general(registers);
    registers[Gpr::rsp] = interrupted_[Gpr::rsp];
    if (registers.gpr == interrupted_.gpr) report_.restored = event.address;
  }

  void check_handler() const {
    if (!call_) {
      fail(handler_key(),
           fmt::format("expected the function that {} calls with its frame: {} was not reached; the last instruction "
                       "of the entry's code that was, is at {}",
                       vector().description.symbol, vector().description.handler, place(last_)));
    }
    if (called_ != vector().handler) {
      fail(handler_key(), fmt::format("expected the function that {} calls: it calls the one at {}",
                                      vector().description.symbol, place(called_)));
    }
    if (!entry_.text.contains(return_address_)) {
      fail(handler_key(),
           fmt::format("expected a function that {} calls: {} is reached with {:#x} where a return "
                       "address would be",
                       vector().description.symbol, vector().description.handler, return_address_.value));
    }
    call_->check(entry_, vector().description, name());
    check_stack();
  }

  /// The registers that hold the error code at the handler's first instruction.
  void note_error_code(const Registers& registers) {
    for (std::size_t i = 0; i < gpr_count(entry_.width()); ++i) {
      if ((registers.gpr[i] & 0xffffffff) == kErrorCode) error_code_in_.push_back(static_cast<Gpr>(i));
    }
  }

  /// The first of those in which a C function may get an argument: System V, and regparm.
  std::optional<Gpr> argument_with_error_code() const {
    constexpr std::array kArguments64{Gpr::rsi, Gpr::rdi, Gpr::rdx, Gpr::rcx, Gpr::r8, Gpr::r9};
    constexpr std::array kArguments32{Gpr::rdx, Gpr::rax, Gpr::rcx};
    const bool wide = entry_.width() == Width::k64;
    const std::span<const Gpr> arguments = wide ? std::span<const Gpr>(kArguments64) : kArguments32;
    const auto found =
        std::find_first_of(arguments.begin(), arguments.end(), error_code_in_.begin(), error_code_in_.end());
    return found == arguments.end() ? std::nullopt : std::optional(*found);
  }

  void check_error_code(const Outcome& outcome) const {
    if (!vector().description.error_code) return;
    const std::optional<Gpr> described = entry_.description.handler.error_code_argument;
    const auto holds = [this](Gpr gpr) {
      return std::find(error_code_in_.begin(), error_code_in_.end(), gpr) != error_code_in_.end();
    };
    const Gpr usual = entry_.width() == Width::k64 ? Gpr::rsi : Gpr::rdx;
    const std::optional<Gpr> argument = argument_with_error_code();
    if (!described && entry_.description.handler.argument && argument && argument != usual) {
      report_.error_code_unsaid = fmt::format("{} holds the error code of {} when {} is called",
                                              name_of(*argument, entry_.width()), name(), vector().description.handler);
    }
    const auto is_about_it = [](const Violation& violation) {
      return violation.kind == ViolationKind::handler_frame && violation.detail.what == "error code";
    };
    const auto violations = outcome.violations.view();
    const bool wrong = std::any_of(violations.begin(), violations.end(), is_about_it);
    if (!wrong && (described == usual || !holds(usual))) return;
    constexpr const char* kKey = "handler.error_code_argument";
    if (error_code_in_.empty()) {
      fail(kKey,
           fmt::format("expected the register in which {} gets the error code of {}: none holds it. \"none\" says "
                       "that it gets it in no register, and nobody looks then",
                       vector().description.handler, name()));
    }
    const Gpr instead = holds(usual) ? usual : argument.value_or(error_code_in_.front());
    fail(kKey, fmt::format("expected \"{}\": there {} gets the error code of {}", name_of(instead, entry_.width()),
                           vector().description.handler, name()));
  }

  void check_restored() const {
    if (!restored_) return;
    const std::vector<FrameSlot>& slots = entry_.description.frame.slots;
    const auto rip = std::find_if(slots.begin(), slots.end(), [](const FrameSlot& slot) { return slot.name == "rip"; });
    const std::uint64_t expected = call_->frame.value + rip->offset;
    if (*restored_ != expected) {
      fail("region.restore_end",
           fmt::format(
               "expected where all registers are back and the stack pointer is at the frame's {}, {:#x}: in {} it "
               "is at {:#x} there",
               written_slot_name("rip", entry_.width()), expected, name(), *restored_));
    }
  }

  /// It is the code's, not the description's: the first that a context does not get back is enough.
  void note_changed(const Outcome& outcome) {
    for (const Violation& violation : outcome.violations.view()) {
      if (violation.kind != ViolationKind::register_mismatch || !report_.changed.empty()) continue;
      const ViolationDetail& detail = violation.detail;
      report_.changed = fmt::format("{} resumes with {} = {:#x}, which was {:#x}", name(), detail.what, detail.found,
                                    detail.expected);
    }
  }

  /// Data of the entry's own that a plain delivery leaves changed: counters that are not described, or a slip of the
  /// code's. What counts nesting has to come back.
  void check_data_restored(const Outcome& outcome) const {
    for (const Violation& violation : outcome.violations.view()) {
      const GuestAddress at{violation.detail.expected};
      const std::optional<GuestAddress> count = entry_.nesting_count;
      const bool counts_nesting = count && GuestRange{*count, *count + sizeof(std::uint32_t)}.contains(at);
      if (violation.kind != ViolationKind::entry_data || violation.detail.has_values || counts_nesting) continue;
      check_not_stored(entry_, at, name());
      fail("entry_data", fmt::format("expected {} among its counters, or code that puts back what is there: {} leaves "
                                     "it changed",
                                     data_name(entry_, at), name()));
    }
  }

  std::string place(GuestAddress address) const { return format_location(entry_, address); }

  /// The handler of an event runs on the interrupt stack, where there is one.
  void check_stack() const {
    const std::optional<StackId> at = execution_.guest().stack_of(call_->stack);
    const std::string key = entry_.interrupt_stack ? "stacks.interrupt.symbol" : "stacks.interrupt";
    if (!at) {
      fail(key,
           fmt::format("{}expected the stack that the entry switches to: {} runs at {:#x}, which is in no stack that "
                       "is described",
                       entry_.interrupt_stack ? "" : "missing: ", vector().description.handler, call_->stack.value));
    }
    if (!entry_.interrupt_stack || vector().description.kind != DeliveryKind::event) return;
    if (*at != StackId::interrupt) {
      const std::string where = fmt::format("{} runs at {:#x}", vector().description.handler, call_->stack.value);
      constexpr std::uint64_t kFrames = 4096;  // bytes that an entry's frames take, and more
      if (interrupted_[Gpr::rsp] - call_->stack.value > kFrames && *at == StackId::thread) {
        fail(key, fmt::format("expected the stack that the entry switches to: in {} {}", name(), where));
      }
      fail("stacks.nesting",
           fmt::format("{}expected a count with whose value in {} the entry switches to the stack of {}: {}, on the "
                       "stack that it interrupted",
                       missing_nesting(), name(), key_and_line(entry_.description, "stacks.interrupt"), where));
    }
    if (entry_.interrupt_stack->range.contains(call_->frame) && call_->stack > call_->frame) {
      fail(entry_.nesting_count ? "stacks.nesting.on_interrupt" : "stacks.nesting",
           fmt::format("{}expected the count with which the entry stays on the interrupt stack: in {} it starts the "
                       "stack anew, above its frame",
                       missing_nesting(), name()));
    }
  }

  const char* missing_nesting() const { return entry_.nesting_count ? "" : "missing: "; }

  /// An array's other element is what `index` says.
  [[noreturn]] void fail_with_mask() const {
    const VcpuInfoDescription& info = entry_.description.vcpu_info;
    for (const GuestAddress byte : byte_accesses(entry_)) {
      const std::uint64_t from = byte - layout::kSharedInfo;
      if (info.pointer.empty() || from >= layout::kPage || from % kVcpuInfoSize > 1) continue;
      if (from / kVcpuInfoSize == info.offset() / kVcpuInfoSize) continue;
      fail("vcpu_info.index", fmt::format("expected the one of those behind `pointer` that the code reaches, with the "
                                          "`stride`: {} reaches the one {} bytes behind the first",
                                          name(), from / kVcpuInfoSize * kVcpuInfoSize));
    }
    // The event, which comes first, has found its vcpu_info.
    if (vector().description.kind == DeliveryKind::exception && vector().description.masks_events) {
      fail(vector().description.key + ".masks_events",
           fmt::format("expected false, or an exit that unmasks: {} returns to where events were enabled, and "
                       "evtchn_upcall_mask is {:#x}",
                       name(), execution_.guest().shared().upcall_mask()));
    }
    fail(entry_.description.vcpu_info.index != 0 ? "vcpu_info.index" : vcpu_info_key(entry_.description),
         fmt::format("expected the vcpu_info through which the entry code unmasks: {} returns to where events were "
                     "enabled, and evtchn_upcall_mask is {:#x}",
                     name(), execution_.guest().shared().upcall_mask()));
  }

  [[noreturn]] void fail_to_resume(const Outcome& outcome) const {
    fail_where_it_stops(outcome);
    if (outcome.violations.contains(ViolationKind::mask_mismatch)) fail_with_mask();
    if (outcome.violations.contains(ViolationKind::domain_crash)) {
      fail(vector().description.key + ".symbol",
           fmt::format("expected code that returns to what it interrupted: {} makes Xen end the domain; the last of "
                       "the entry's code is at {}",
                       name(), place(last_)));
    }
    fail(
        vector().description.key + ".symbol",
        fmt::format("expected code that returns to what it interrupted: {} does not resume within {} instructions; the "
                    "last of the entry's code is at {}. Does it wait for what vcpu_info or work_flag should name?",
                    name(), kLongestRun, place(last_)));
  }

  void fail_where_it_stops(const Outcome& outcome) const {
    for (const Violation& violation : outcome.violations.view()) {
      if (violation.kind != ViolationKind::guest_fault) continue;
      std::set<GuestAddress> ran = way_in_;
      ran.insert(exit_.begin(), exit_.end());
      fail_with_fault({execution_, vector(), name(), use_, std::move(ran)}, violation);
    }
  }

  Execution& execution_;
  const Entry& entry_;
  const Scenario& scenario_;
  std::set<GuestAddress>& unmasked_;
  CheckReport& report_;
  DataUse use_;
  std::set<GuestAddress> way_in_;
  std::set<GuestAddress> exit_;
  std::vector<Gpr> error_code_in_;
  Registers interrupted_;
  std::size_t live_ = 0;  // activations, at the call
  std::optional<FrameSeen> call_;
  GuestAddress called_;
  GuestAddress return_address_;
  GuestAddress last_;
  std::optional<std::uint64_t> restored_;  // stack pointer at restore_end
};

/// What it looks at of what a handler has overwritten. Throws where it looks at what may not be any value.
std::optional<LooksAtUnsaidValue> look_at_overwritten(const Entry& entry, const Scenario& plain) {
  try {
    check_unsaid_values(entry, std::array{PlainRun{plain, 0}});
  } catch (const LooksAtUnsaidValue& looks) {
    if (!looks.may_be_any()) throw;
    return looks;
  }
  return std::nullopt;
}

void check_handlers_differ(const Entry& entry) {
  for (const Vector& vector : entry.vectors) {
    if (vector.description.kind != DeliveryKind::event && vector.handler == entry.event().handler) {
      throw WrongByItself(description_error(
          entry.description, vector.description.key + ".handler",
          fmt::format("expected another function than the event handler's, {}", entry.event().description.handler)));
    }
  }
}

/// `looks`: at what a handler has overwritten, which is no excuse where a context does not come back and all else
/// holds.
CheckReport check_as_described(const Entry& entry, std::optional<LooksAtUnsaidValue>& looks) {
  check_handlers_differ(entry);
  Execution execution(entry);
  ExecutionOptions options;
  options.runaway_limit = kLongestRun;
  execution.set_options(options);
  CheckReport report;
  std::set<GuestAddress> unmasked;
  std::set<GuestAddress> way_in;  // of events
  std::vector<Scenario> plain;
  const auto deliver = [&](std::size_t vector, GuestMode mode, ContextStack stack) {
    plain.push_back(plain_context(entry, vector, mode, stack));
    if (!looks) looks = look_at_overwritten(entry, plain.back());
    Trial trial(execution, plain.back(), unmasked, report);
    report.deliveries.push_back(trial.check());
    if (looks && report.changed.empty()) throw LooksAtUnsaidValue(*looks);
    if (vector == 0) way_in.insert(trial.way_in().begin(), trial.way_in().end());
  };
  for (std::size_t vector = 0; vector < entry.vectors.size(); ++vector) {
    deliver(vector, GuestMode::kernel, ContextStack::thread);
    if (vector == 0) check_count(entry, plain.front());
    if (entry.interrupt_stack) deliver(vector, GuestMode::kernel, ContextStack::interrupt);
    if (entry.description.user_mode) deliver(vector, GuestMode::user, ContextStack::thread);
  }
  if (entry.width() == Width::k32 && entry.description.user_mode) {
    Scenario scenario = plain_context(entry, 0, GuestMode::user, ContextStack::thread);
    scenario.context.null_data_segments = true;
    Trial(execution, scenario, unmasked, report).check_segments("null DS and ES");
  }
  report.unmasked.assign(unmasked.begin(), unmasked.end());
  check_region(entry, report.unmasked, report.restored);
  check_callback(entry, way_in);
  const auto events_end =
      std::find_if(plain.begin(), plain.end(), [](const Scenario& scenario) { return scenario.context.vector != 0; });
  const std::span<const Scenario> events(plain.data(), static_cast<std::size_t>(events_end - plain.begin()));
  check_data(entry, events);
  check_nesting(entry, events.front(), report.deliveries.front().boundaries);
  std::vector<PlainRun> runs;
  for (std::size_t i = 0; i < plain.size(); ++i) runs.push_back({plain[i], report.deliveries[i].boundaries});
  check_counters(entry, runs);
  check_event_bytes(entry, runs);
  check_nests_somewhere(entry, runs);
  check_folding(execution, std::span(runs).first(events.size()));
  check_table_is_read(entry, std::span(runs).first(events.size()));
  report.called = check_unsaid_values(entry, runs, report.changed);
  check_windows(entry, std::span(runs).first(events.size()));
  for (const Scenario& scenario : plain) check_marker(entry, scenario);
  report.stack_alignment = check_alignment(entry, plain);
  return report;
}

}  // namespace

CheckReport check_as_described(const Entry& entry) {
  std::optional<LooksAtUnsaidValue> looks;
  try {
    return check_as_described(entry, looks);
  } catch (const WrongCode&) {
    throw;
  } catch (const InputError&) {
    if (looks) throw LooksAtUnsaidValue(*looks);
    throw;
  }
}

CheckReport check_entry(const Entry& entry) {
  try {
    return check_as_described(entry);
  } catch (const WrongCode&) {
    throw;
  } catch (const WrongByItself& error) {
    throw repaired(entry, error);
  } catch (const LooksAtUnsaidValue& looks) {
    const InputError error = repaired(entry, looks);
    // What a function returns is said by a line; what it overwrites is not, and may be any value.
    const bool overwritten = std::string_view(looks.what()).find(".clobbers: ") != std::string_view::npos;
    if (looks.may_be_any() || overwritten || error.what() != std::string_view(looks.what())) throw Mismatch(error);
    throw InputError(error);
  } catch (const InputError& error) {
    throw Mismatch(repaired(entry, error));
  }
}

}  // namespace framefold
