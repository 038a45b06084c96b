// Execution: setting a run up, running it on from resumption to resumption, and ending it.
#include "run/execution.hpp"

#include <algorithm>

#include "machine/internal_error.hpp"
#include "machine/selectors.hpp"
#include "scenario/context_places.hpp"

namespace framefold {

namespace {

/// Where a context is interrupted.
GuestAddress context_place(const Context& context, const Entry& entry) {
  if (context.place == ContextPlace::region) return entry.critical.begin + context.place_offset;
  return place_at(context.place_offset, context.mode, entry);
}

constexpr std::uint64_t kFnvOffset = 0xcbf29ce484222325;
// At the end Xen has control until nothing is deliverable. Each delivery acknowledges what is pending, so more than the
// arrivals and the entry vector together cannot come.
constexpr unsigned kMostSettlings = 2 * kMaxArrivals + 4;

constexpr std::array kDataSegments{Segment::ds, Segment::es, Segment::fs, Segment::gs};

/// No two that interrupted code may choose are the same, so that one lost, or taken for another, shows. All of them are
/// flat: of a selector for user data, rings 1 and 3 may load every RPL, of one for a kernel's ring 1 RPL 0 and 1 (SDM
/// Vol. 3, 5.5). A kernel may leave FS and GS to user code. Entry code may not count on a kernel's DS and ES being one:
/// where it was itself interrupted, on the way to user mode, they are the user's.
void set_data_segments(const Context& context, const Entry& entry, Registers& registers) {
  const Width width = entry.width();
  const Selectors& selectors = selectors_of(width);
  const bool user = context.mode == GuestMode::user;
  const std::uint16_t data = user ? selectors.user_data : selectors.kernel_data;
  registers[Segment::ds] = registers[Segment::es] = data;
  if (width == Width::k64) {
    registers[Segment::fs] = registers[Segment::gs] = 0;
    return;
  }
  registers[Segment::es] = with_rpl(data, user ? 2 : 0);
  registers[Segment::fs] = with_rpl(selectors.user_data, 1);
  registers[Segment::gs] = with_rpl(selectors.user_data, 0);
  if (entry.fs_base != GuestAddress{}) registers[Segment::fs] = user ? kOwnFs32.user : kOwnFs32.kernel;
  if (entry.gs_base != GuestAddress{}) registers[Segment::gs] = user ? kOwnGs32.user : kOwnGs32.kernel;
  if (context.null_data_segments) {
    registers[Segment::ds] = registers[Segment::es] = 0;
  }
}

}  // namespace

const Outcome& fresh_outcome() {
  static const Outcome fresh;
  return fresh;
}

Execution::Execution(const Entry& entry) : entry_(entry), guest_(entry, boundary_hook, this), frame_(entry) {
  loads_segments_ = std::any_of(
      entry.instructions.begin(), entry.instructions.end(),
      [](const Instruction& instruction) { return has(instruction.flags, InstructionFlag::loads_segment); });
  uses_fs_ =
      loads_segments_ ||
      std::any_of(entry.instructions.begin(), entry.instructions.end(), [](const Instruction& instruction) {
        const auto accesses = instruction.accesses();
        return std::any_of(accesses.begin(), accesses.end(), [](const auto& a) { return a.segment == Segment::fs; });
      });
  keeps_data_segments_ = entry.width() == Width::k64 && !loads_segments_;
  places_.resize(entry.text.size());
  for (std::size_t i = 0; i < entry.instructions.size(); ++i) {
    const Instruction& instruction = entry.instructions[i];
    Place& place = places_[instruction.address - entry.text.begin];
    place.instruction = true;
    place.boundary = static_cast<std::uint16_t>(i);
    place.leader = has(instruction.flags, InstructionFlag::block_leader);
    place.pops = std::string_view(instruction.text).starts_with("pop");
    place.care = care_for(instruction);
  }
  for (std::size_t i = 0; i < entry.vectors.size(); ++i) {
    const Vector& vector = entry.vectors[i];
    if (entry.text.contains(vector.handler)) {
      Place& place = places_[vector.handler - entry.text.begin];
      place.handler = static_cast<std::uint8_t>(i);
      place.care = Care::special;
    }
    if (vector.description.kind == DeliveryKind::nmi) {
      nmi_ = &vector;
    }
  }
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    Place& place = places_[entry.calls[i].address - entry.text.begin];
    place.call = static_cast<std::uint8_t>(i);
    place.care = Care::special;
  }
  stub_boundary_ = static_cast<std::uint16_t>(entry.instructions.size());
  text_begin_ = entry.text.begin;
  text_size_ = entry.text.size();
  mask_address_ = guest_.mask_address();
  return_boundary_ = static_cast<std::uint16_t>(stub_boundary_ + guest_.stub().size());
}

void Execution::run_nested(const Scenario& scenario, std::size_t arrivals, Outcome& outcome) {
  begin(scenario, false, std::min<std::size_t>(arrivals, scenario.arrival_count), outcome);
  run_guest();
  settle_everything();
  finish();
}

void Execution::run_reference(const Scenario& replayed, Outcome& outcome) {
  begin(replayed, true, 0, outcome);
  run_guest();
  for (std::size_t i = 0; i < replayed.arrival_count && !state_.stopped; ++i) {
    arrive(replayed.arrivals[i]);
    give_control_at_resumption();
  }
  settle_everything();
  finish();
}

/// Up to where the guest runs.
void Execution::begin(const Scenario& scenario, bool reference, std::size_t arrivals, Outcome& outcome) {
  if (!take_up_prefix(scenario, reference, arrivals, outcome)) {
    start(scenario, reference, arrivals, outcome);
    deliver_context(scenario.context);
    schedule_runaway();
  }
}

void Execution::start(const Scenario& scenario, bool reference, std::size_t arrivals, Outcome& outcome) {
  scenario_ = &scenario;
  outcome_ = &outcome;
  outcome = fresh_outcome();
  outcome.hash = kFnvOffset;
  guest_.reset();
  activations_.count = 0;
  state_ = RunState{};
  state_.reference = reference;
  state_.arrival_limit = arrivals;
  schedule_arrival(arrivals > 0 ? 1U + scenario.arrivals[0].distance : kNever);
  if (coverage_ != nullptr) {
    coverage_->begin_run();
  }
  make_context(scenario.context);
}

void Execution::make_context(const Context& context) {
  const Width width = entry_.width();
  const Selectors& selectors = selectors_of(width);
  const bool user = context.mode == GuestMode::user;
  StackId stack = context.stack == ContextStack::interrupt ? StackId::interrupt : StackId::thread;
  if (user) {
    stack = StackId::user;
  }
  state_.context_stack = stack;
  state_.context = Registers{};
  state_.context.gpr = context.gpr;
  state_.context[Gpr::rsp] = guest_.stack_range(stack).end.value - layout::kAboveStack - context.stack_offset;
  state_.context.rip = context_place(context, entry_).value;
  state_.context.rflags = context.rflags | rflags::kFixed | rflags::kIf;
  state_.context[Segment::cs] = user ? selectors.user_code : selectors.kernel_code;
  state_.context[Segment::ss] = user ? selectors.user_stack : selectors.kernel_stack;
  set_data_segments(context, entry_, state_.context);
  state_.vcpu = Vcpu{};
  state_.vcpu.mode = state_.context_mode = context.mode;
  state_.vcpu.has_user_page_table = entry_.description.user_mode;
  state_.vcpu.kernel_gs_base = entry_.gs_base.value;
  state_.vcpu.user_gs_base = kUserGsBase;
  if (width == Width::k64) {
    state_.context.gs_base = user ? kUserGsBase : entry_.gs_base.value;
    // Xen swaps GS alone: what FS leads to stays the user's while entry code runs. Nobody can tell where none uses it.
    state_.context.fs_base = user && uses_fs_ ? kUserFsBase : entry_.fs_base.value;
  }
  if (guest_.has_stack(StackId::kernel)) {
    state_.vcpu.kernel_sp = guest_.stack_range(StackId::kernel).end.value - layout::kAboveStack;
    state_.vcpu.kernel_ss = selectors.kernel_stack;
  }
  if (context.nmi_masked) {
    state_.vcpu.async_exception_mask = kTrapNmi;
  }
  state_.first_async_mask = state_.vcpu.async_exception_mask;
  set_nesting_count(stack);
}

/// The count that the entry keeps of what is on its interrupt stack, as it is while code runs on `stack`.
void Execution::set_nesting_count(StackId stack) {
  if (entry_.nesting_count) {
    const StacksDescription& stacks = entry_.description.stacks;
    const std::int64_t count = stack == StackId::interrupt ? stacks.on_interrupt : stacks.on_thread;
    guest_.set_first_data(*entry_.nesting_count, static_cast<std::uint32_t>(count));
  }
}

void Execution::deliver_context(const Context& context) {
  const SharedInfo& shared = guest_.shared();
  shared.upcall_mask() = context.mask;
  state_.kick_is_used = false;
  state_.first_work_flag = entry_.work_flag ? work_flag() : 0;
  if (context.has_masked_port) {
    shared.set_port_masked({context.masked_port}, true);
    raise_event(shared, {context.masked_port}, 1);
  }
  if (context.pending != 0) {
    raise({context.port}, context.pending);
  }
  state_.registers = state_.context;
  state_.in_model = true;
  const Vector& vector = entry_.vectors[context.vector];
  std::optional<PendingException> exception;
  if (vector.description.kind == DeliveryKind::exception) {
    exception = PendingException{&vector, context.error_code};
  } else if (vector.description.kind == DeliveryKind::nmi) {
    state_.vcpu.nmi_pending = true;
  }
  state_.current = {state_.context.rip};
  give_control(exception);
  state_.at_resumption = false;
}

/// From the context, with whatever Xen has just entered, to the next resumption.
void Execution::run_guest() {
  if (state_.stopped) {
    return;
  }
  state_.at_resumption = false;
  Cpu& cpu = guest_.cpu();
  if (ring_left_) {
    cpu.reset();
    ring_left_ = false;
    stored_segments_.reset();
  }
  state_.in_model = false;
  state_.unsettled = true;
  state_.known_segments = 0;
  cpu.write_general(state_.registers);
  store_data_segments();
  start_sample({state_.registers[Gpr::rsp]});
  const std::optional<GuestFault> fault = cpu.run({state_.registers.rip});
  ring_left_ = ring_left_ || fault.has_value();
  if (failure_ != nullptr) {
    throw InternalError(failure_);
  }
  sample_stack();
  if (fault && !state_.stopped && !state_.at_resumption) {
    judge_fault(*fault);
  }
}

/// Data selectors and bases into the engine. That costs as much as all other registers: those that no instruction of
/// the entry can change are left there.
void Execution::store_data_segments() {
  const Registers& registers = state_.registers;
  DataSegments wanted{{}, registers.fs_base, registers.gs_base};
  for (std::size_t i = 0; i < kDataSegments.size(); ++i) {
    wanted.selectors[i] = registers[kDataSegments[i]];
  }
  if (keeps_data_segments_ && stored_segments_ == wanted) {
    return;
  }
  guest_.cpu().write_data_segments(registers);
  stored_segments_ = wanted;
}

/// The selectors that the guest has.
void Execution::load_segments() {
  const Cpu& cpu = guest_.cpu();
  if (!keeps_data_segments_) {
    cpu.read_segments(state_.registers);
    return;
  }
  state_.registers[Segment::cs] = cpu.read(Segment::cs);
  state_.registers[Segment::ss] = cpu.read(Segment::ss);
  for (std::size_t i = 0; i < kDataSegments.size(); ++i) {
    state_.registers[kDataSegments[i]] = stored_segments_->selectors[i];
  }
}

/// Of FS and GS, as the guest in kernel mode has them, into `registers`.
void Execution::load_bases(Registers& registers) const {
  if (entry_.width() == Width::k32) {
    return;
  }
  if (loads_segments_) {
    guest_.cpu().read_bases(registers);
  } else {
    registers.fs_base = stored_segments_->fs_base;
    registers.gs_base = state_.vcpu.kernel_gs_base;
  }
}

/// Xen has control of the resumed context: what it delivers runs to the next resumption.
void Execution::give_control_at_resumption() {
  if (state_.stopped) {
    return;
  }
  state_.current = {state_.registers.rip};
  if (give_control(std::nullopt) && !state_.stopped) {
    schedule_runaway();
    run_guest();
  }
}

void Execution::settle_everything() {
  state_.arrival_limit = 0;
  schedule_arrival(kNever);
  for (unsigned i = 0; i < kMostSettlings && !state_.stopped; ++i) {
    const std::uint32_t before = outcome_->deliveries;
    give_control_at_resumption();
    if (outcome_->deliveries == before) {
      return;
    }
  }
  if (!state_.stopped) {
    violate(ViolationKind::runaway, state_.last_return);
  }
}

void Execution::finish() {
  const SharedInfo& shared = guest_.shared();
  outcome_->boundaries = state_.boundaries;
  outcome_->mode = state_.vcpu.mode;
  outcome_->mask = shared.upcall_mask();
  outcome_->pending = shared.upcall_pending() != 0;
  outcome_->async_exception_mask = state_.vcpu.async_exception_mask;
  outcome_->resumed = !state_.stopped;
  if (outcome_->resumed) {
    outcome_->registers = state_.registers;
  }
  if (options_.hash) {
    const Registers& registers = outcome_->registers;
    for (const std::uint64_t value : registers.gpr) {
      hash_word(value);
    }
    hash_word(registers.rip);
    hash_word(registers.rflags & (kContextFlags | rflags::kIf));
    hash_word(registers.gs_base);
    hash_word(registers.fs_base);
    for (const std::uint16_t value : registers.segment) {
      hash_word(value);
    }
    guest_.hash_memory(outcome_->hash);
  }
}

void Execution::hash_word(std::uint64_t value) {
  constexpr std::uint64_t kFnvPrime = 0x100000001b3;
  if (options_.hash) {
    outcome_->hash = (outcome_->hash ^ value) * kFnvPrime;
  }
}

void Execution::trace(TraceEvent::Kind kind, GuestAddress address, std::uint64_t value, const Vector* vector) {
  if (trace_ == nullptr) {
    return;
  }
  TraceEvent event;
  event.kind = kind;
  event.address = label_of(address);
  event.value = value;
  event.vector = vector;
  event.step = state_.boundaries;
  event.depth = static_cast<std::uint8_t>(activations_.count);
  event.mask = guest_.shared().upcall_mask();
  event.pending = guest_.shared().upcall_pending();
  event.async_exception_mask = state_.vcpu.async_exception_mask;
  event.work_flag = entry_.work_flag ? work_flag() : 0;
  event.stack_pointer = state_.in_model ? state_.registers[Gpr::rsp] : guest_.cpu().read(Gpr::rsp);
  event.reference = state_.reference;
  event.wrong = wrong_;
  event.detail = detail_;
  event.registers = state_.in_model ? &state_.registers : nullptr;
  trace_->record(event);
}

void Execution::stop() {
  state_.stopped = true;
  guest_.cpu().stop();
}

void Execution::end_judgement() {
  if (!tolerant_) {
    outcome_->violations.closed = true;
    stop();
  }
}

void Execution::violate(ViolationKind kind, GuestAddress judged, const ViolationDetail& detail) {
  violate(kind, judged, activations_.empty() ? ConditionSet{0} : conditions_of(activations_.youngest()), detail);
}

void Execution::violate(ViolationKind kind, GuestAddress judged, ConditionSet conditions, const ViolationDetail& detail,
                        bool cause_is_judged) {
  Violation violation;
  violation.kind = kind;
  violation.judged = judged;
  violation.conditions = conditions;
  violation.cause_is_judged = cause_is_judged || info_of(kind).cause == CauseRule::judged;
  violation.arrivals = static_cast<std::uint8_t>(state_.next_arrival);
  violation.source = state_.reference ? ViolationSource::reference : ViolationSource::nested;
  violation.detail = detail;
  outcome_->violations.add(violation);
  detail_ = &detail;
  trace(TraceEvent::Kind::violation, judged, static_cast<std::uint64_t>(kind));
  detail_ = nullptr;
  if (tolerant_ && kind == ViolationKind::handler_frame && has_frame_) {
    outcome_->violations.closed = false;
  } else if (info_of(kind).ends_judgement) {
    stop();
  }
}

ConditionSet Execution::conditions_of(const Activation& activation) const {
  ConditionSet set = 0;
  const auto add = [&set](KnownCondition condition, bool holds) {
    if (holds) {
      set = static_cast<ConditionSet>(set | (1U << static_cast<unsigned>(condition)));
    }
  };
  const Registers& state = activation.interrupted;
  const bool kernel = activation.mode == GuestMode::kernel;
  const std::optional<StackId> stack = guest_.stack_of({state[Gpr::rsp]});
  add(KnownCondition::marked, activation.marked);
  add(KnownCondition::if_set, activation.mask == 0);
  add(KnownCondition::if_clear, activation.mask != 0);
  add(KnownCondition::user, !kernel);
  add(KnownCondition::kernel, kernel);
  add(KnownCondition::on_thread, kernel && stack == StackId::thread);
  add(KnownCondition::on_interrupt, kernel && stack == StackId::interrupt);
  add(KnownCondition::event, activation.kind() == DeliveryKind::event);
  add(KnownCondition::exception, activation.kind() == DeliveryKind::exception);
  add(KnownCondition::nmi, activation.kind() == DeliveryKind::nmi);
  add(KnownCondition::null_ds, state[Segment::ds] == 0 && entry_.width() == Width::k32);
  add(KnownCondition::odd_pending, guest_.shared().upcall_pending() > 1);
  add(KnownCondition::rip_in_region, entry_.critical.contains({state.rip}));
  return set;
}

}  // namespace framefold
