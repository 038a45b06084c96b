// Execution: Xen in control: arrivals, deliveries, hypercalls, returns.
#include "machine/selectors.hpp"
#include "run/execution.hpp"
#include "xen/abi.hpp"

namespace framefold {

namespace {

constexpr std::uint64_t kBelowFrame = 256;  // bytes under a delivered frame that Xen may have used: no red zone

std::uint8_t bit_of(DeliveryKind kind) { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(kind)); }

/// Whether an arrival of this kind was delivered, given what Xen delivered while it had control.
bool was_delivered(ArrivalKind arrival, std::uint8_t delivered) {
  switch (arrival) {
    case ArrivalKind::event:
    case ArrivalKind::tick:
      return (delivered & bit_of(DeliveryKind::event)) != 0;
    case ArrivalKind::nmi:
      return (delivered & bit_of(DeliveryKind::nmi)) != 0;
    case ArrivalKind::exception:
      return (delivered & bit_of(DeliveryKind::exception)) != 0;
  }
  return false;
}

/// Whether what is delivered before the instruction at `place` interrupts an open window. On the hypercall page, that
/// is on the way out of any hypercall.
bool is_in_window(const Entry& entry, const ActivationStack& activations, GuestAddress place) {
  const bool in_entry_code = entry.text.contains(place) || place - entry.hypercall_page < layout::kPage;
  return in_entry_code && !activations.empty() && activations.youngest().window;
}

}  // namespace

/// Takes every arrival that is due at this boundary, then lets Xen have control once. True where it delivered
/// something.
bool Execution::take_arrivals(GuestAddress address, std::uint16_t boundary, bool shadowed) {
  std::optional<PendingException> exception;
  const std::size_t first = state_.next_arrival;
  while (state_.next_arrival < state_.arrival_limit && state_.arrival_due <= state_.boundaries) {
    const Arrival& arrival = scenario_->arrivals[state_.next_arrival];
    if (arrival.kind == ArrivalKind::exception) {
      if (exception) {
        break;  // an instruction faults once; the other is due at the next boundary
      }
      exception = PendingException{&entry_.vectors[arrival.vector], arrival.error_code};
    } else if (shadowed) {
      break;
    } else {
      arrive(arrival);
    }
    outcome_->arrivals[state_.next_arrival] = record_arrival(address);
    trace(TraceEvent::Kind::arrival, address, state_.next_arrival);
    outcome_->reached = static_cast<std::uint8_t>(++state_.next_arrival);
    schedule_arrival(state_.next_arrival < state_.arrival_limit
                         ? state_.boundaries + scenario_->arrivals[state_.next_arrival].distance
                         : kNever);
  }
  if (state_.next_arrival == first) {
    return false;
  }
  schedule_runaway();
  state_.current = address;
  state_.boundary_index = boundary;
  const bool in_window = is_in_window(entry_, activations_, address);
  const bool delivered = give_control(exception);
  for (std::size_t i = first; i < state_.next_arrival; ++i) {
    const ArrivalKind kind = scenario_->arrivals[i].kind;
    ArrivalRecord& record = outcome_->arrivals[i];
    record.delivered = was_delivered(kind, state_.delivered_kinds);
    record.entered = delivered;
    if (record.delivered || (delivered && in_window)) {
      record.has_cause = true;
      record.cause = record.boundary;
      record.cause_conditions = record.conditions;
    }
    if (coverage_ != nullptr) {
      coverage_->arrival(boundary, scenario_->arrivals[i].counted_as(), record.delivered);
    }
  }
  if (delivered && !state_.stopped) {
    store_delivery();
  }
  return delivered || state_.stopped;
}

ArrivalRecord Execution::record_arrival(GuestAddress address) const {
  ArrivalRecord record;
  record.boundary = label_of(address);
  record.conditions = activations_.empty() ? ConditionSet{0} : conditions_of(activations_.youngest());
  record.reached = true;
  for (std::size_t i = activations_.count; i-- > 0;) {
    const Activation& activation = activations_.items[i];
    if (activation.interrupted_window >= 0) {
      record.has_cause = true;
      record.cause = label_of({activation.interrupted.rip});
      record.cause_conditions =
          conditions_of(activations_.items[static_cast<std::size_t>(activation.interrupted_window)]);
      break;
    }
  }
  return record;
}

/// What an arrival that is no exception changes before Xen has control.
void Execution::arrive(const Arrival& arrival) {
  if (arrival.kind == ArrivalKind::event) {
    raise({arrival.port}, arrival.pending_value);
  } else if (arrival.kind == ArrivalKind::nmi) {
    state_.vcpu.nmi_pending = true;
  } else if (arrival.spurious) {
    note_kick(mark_events_pending(guest_.shared(), arrival.pending_value));
  }
}

void Execution::raise(Port port, std::uint8_t value) { note_kick(raise_event(guest_.shared(), port, value)); }

void Execution::note_kick(Raise raised) {
  state_.kick_is_used |= raised == Raise::kicked && guest_.shared().upcall_mask() != 0;
}

/// test_all_events to its end, from the guest at state_.current. True where something was delivered: state_.registers
/// are then those of the callback's first instruction.
bool Execution::give_control(std::optional<PendingException> exception) {
  const SharedInfo& shared = guest_.shared();
  state_.delivered_kinds = 0;
  while (std::optional<Delivery> delivery = next_delivery(state_.vcpu, shared, exception, entry_.event(), nmi_)) {
    load_registers();
    const Registers interrupted = state_.registers;
    const GuestMode mode =
        in_user_mode(state_.vcpu, state_.registers, entry_.width()) ? GuestMode::user : GuestMode::kernel;
    const std::uint8_t mask = shared.upcall_mask();
    if (!deliver(state_.vcpu, state_.registers, guest_.memory(), shared, *delivery)) {
      violate(ViolationKind::domain_crash, label_of(state_.current),
              {"no stack for a frame", 0, interrupted[Gpr::rsp], true});
      return true;
    }
    begin_activation(*delivery, interrupted, mode, mask);
    if (state_.stopped) {
      return true;
    }
    state_.delivered_kinds =
        static_cast<std::uint8_t>(state_.delivered_kinds | bit_of(delivery->vector->description.kind));
    state_.current = delivery->vector->address;
  }
  if (state_.delivered_kinds != 0) {
    exit_to_guest(state_.vcpu, state_.registers);
  }
  return state_.delivered_kinds != 0;
}

void Execution::begin_activation(const Delivery& delivery, const Registers& interrupted, GuestMode mode,
                                 std::uint8_t mask) {
  if (activations_.full()) {  // each needs an arrival, or an action of a handler that one needs: see kCapacity
    failure_ = "more live activations than arrivals can make";
    stop();
    return;
  }
  if (delivery.vector->description.kind == DeliveryKind::event) {
    state_.kick_is_used = true;
    // A window that a return leaves open against its frame's IF shows there already, as mask-mismatch; one of an older
    // activation shows where that activation is the youngest.
    if (!activations_.empty() && activations_.youngest().window && activations_.youngest().mask != 0) {
      violate(ViolationKind::early_delivery, label_of(state_.current));
    }
  }
  const bool in_window = is_in_window(entry_, activations_, state_.current);
  Activation& activation = activations_.items[activations_.count];
  activation.vector = delivery.vector;
  activation.interrupted = interrupted;
  activation.mode = mode;
  activation.mask = mask;
  activation.error_code = delivery.error_code;
  activation.window = false;
  activation.marked = false;
  activation.called = false;
  activation.nested = false;
  activation.frame = {};
  activation.lowered = 0;
  activation.boundary = state_.boundary_index;
  activation.interrupted_window = static_cast<std::int8_t>(in_window ? static_cast<int>(activations_.count) - 1 : -1);
  if (++activations_.count == 1) {
    state_.left = {};
  }
  if (coverage_ != nullptr) {
    coverage_->leave();
  }
  ++outcome_->deliveries;
  const GuestAddress base{state_.registers[Gpr::rsp]};
  activation.bounce_frame = base + below_return_frame(entry_.width(), delivery.vector->description.error_code);
  guest_.note_stack_write(base, 0);
  guest_.note_stack_write({interrupted[Gpr::rsp]}, most_pushed());
  guest_.kill_stack_below(base, kBelowFrame);
  if (mode == GuestMode::kernel) {  // what Xen leaves out to align the frame
    const GuestAddress top{interrupted[Gpr::rsp]};
    guest_.kill_stack_below(top, top.value % bounce_frame_alignment(entry_.width()));
  }
  start_sample(base);
  if (options_.hash) {
    hash_word(delivery.vector->address.value);
    hash_word(interrupted.rip);
    hash_word(base.value);
    hash_word(mask);
  }
  trace(TraceEvent::Kind::delivery, state_.current, base.value, delivery.vector);
}

void Execution::load_registers() {
  if (state_.in_model) {
    return;
  }
  state_.in_model = true;
  const Cpu& cpu = guest_.cpu();
  cpu.read_general(state_.registers);
  state_.registers.rip = state_.current.value;
  if (entry_.width() == Width::k32) {
    cpu.read_segments(state_.registers);
  } else {
    // In kernel mode they cannot be others (xen-pv semantics of SYSRET and iret); DS to GS are read when a context
    // resumes.
    state_.registers[Segment::cs] = selectors_of(Width::k64).kernel_code;
    state_.registers[Segment::ss] = selectors_of(Width::k64).kernel_stack;
    load_bases(state_.registers);
  }
  state_.loaded_rflags = state_.registers.rflags;
}

/// Back into the engine, after deliveries from kernel mode: only what a delivery changes.
void Execution::store_delivery() {
  Cpu& cpu = guest_.cpu();
  cpu.write(Gpr::rsp, state_.registers[Gpr::rsp]);
  if (entry_.width() == Width::k64) {
    cpu.write(Gpr::rcx, state_.registers[Gpr::rcx]);
    cpu.write(Gpr::r11, state_.registers[Gpr::r11]);
  }
  if (state_.registers.rflags != state_.loaded_rflags) {
    cpu.write_rflags(state_.registers.rflags);
  }
  cpu.redirect({state_.registers.rip});
  state_.in_model = false;
}

void Execution::store_everything() {
  Cpu& cpu = guest_.cpu();
  cpu.write_general(state_.registers);
  cpu.redirect({state_.registers.rip});
  state_.in_model = false;
}

void Execution::take_hypercall(GuestAddress address) {
  state_.current = address;
  state_.boundary_index = stub_boundary_;
  load_registers();
  sample_stack();
  if (trace_ != nullptr) {
    trace(TraceEvent::Kind::hypercall, address, state_.registers[Gpr::rax] & 0xffffffff);
  }
  const SharedInfo& shared = guest_.shared();
  Raise raised = Raise::nothing;
  const HypercallEnd end = hypercall(state_.vcpu, state_.registers, guest_.memory(), shared, raised);
  if (end == HypercallEnd::domain_crash) {
    violate(ViolationKind::domain_crash, address,
            {"no iret frame that Xen accepts", 0, state_.registers[Gpr::rsp], true});
    return;
  }
  if (end == HypercallEnd::iret) {
    PendingReturn ret;
    ret.at = address;
    ret.target = {state_.registers.rip};
    ret.stack = state_.registers[Gpr::rsp];
    ret.rflags = shared.upcall_mask() == 0 ? rflags::kIf : 0;
    complete_return(ret);
  } else {
    guest_.note_port();
    note_kick(raised);
  }
  state_.current = {state_.registers.rip};
  const bool delivered = give_control(std::nullopt);
  if (state_.stopped) {
    return;
  }
  exit_to_guest(state_.vcpu, state_.registers);
  if (!delivered && in_user_mode(state_.vcpu, state_.registers, entry_.width())) {
    resume();
  } else {
    store_everything();
  }
}

/// Before an iret: what it will consume. Whether it completes, the next boundary shows.
void Execution::prepare_return(GuestAddress address) {
  const unsigned word = word_size(entry_.width());
  const GuestAddress stack{guest_.cpu().read(Gpr::rsp)};
  const std::uint8_t* frame = guest_.memory().find(stack, 3 * word);
  if (frame == nullptr) {
    return;  // it faults
  }
  state_.returning.active = true;
  state_.returning.at = address;
  state_.returning.cs = static_cast<std::uint16_t>(load_word(frame + word, word));
  state_.returning.rflags = load_word(frame + 2 * word, word);
  const bool pops_stack =
      entry_.width() == Width::k64 || (state_.returning.cs & 3) > selectors_of(entry_.width()).kernel_ring;
  const std::uint8_t* slot = guest_.memory().find(stack + 3 * word, word);
  state_.returning.stack = pops_stack && slot != nullptr ? load_word(slot, word) : (stack + 3 * word).value;
}

/// What ends has had its handler called. (An event that had not shows as one that is pending still.)
void Execution::judge_calls(std::size_t first) {
  for (std::size_t i = first; i < activations_.count; ++i) {
    const Activation& ended = activations_.items[i];
    if (ended.kind() != DeliveryKind::event && !ended.called) {
      violate(ViolationKind::handler_frame, ended.vector->address, {"its handler was never called", 0, 0, false});
      return;
    }
  }
}

/// The activation that a return to this place ends: the youngest that interrupted it. None: the number of live ones.
std::size_t Execution::ended_by(const PendingReturn& ret) const {
  for (std::size_t i = activations_.count; i-- > 0;) {
    const Registers& interrupted = activations_.items[i].interrupted;
    if (interrupted.rip == ret.target.value && interrupted[Gpr::rsp] == ret.stack) {
      return i;
    }
  }
  return activations_.count;
}

/// Whether a return leaves the event mask as it should: as IF of the frame that it consumes says, which is what Xen
/// goes by; and as it was where the activation arrived that it ends, since entry code can change the frame.
bool Execution::judge_mask(const PendingReturn& ret, std::size_t ended) {
  const bool enabled = (ret.rflags & rflags::kIf) != 0;
  const std::uint8_t mask = guest_.shared().upcall_mask();
  const bool was_enabled = ended == activations_.count ? enabled : activations_.items[ended].mask == 0;
  const bool right = (mask == 0) == enabled && enabled == was_enabled;
  if (!right) {
    const bool against_frame = (mask == 0) != enabled;
    violate(ViolationKind::mask_mismatch, ret.at, state_.last_return_conditions,
            {against_frame ? "evtchn_upcall_mask" : "evtchn_upcall_mask, and IF of the frame, which was changed",
             std::uint64_t{(against_frame ? enabled : was_enabled) ? 0U : 1U}, mask, true});
  }
  return right;
}

/// A return completed: Xen's iret, or the CPU's. Ends the activation that it returns from, and younger ones. With the
/// wrong event mask, the context is judged as it resumes; what arrives from there on, or on entry code that goes on so,
/// means nothing.
void Execution::complete_return(const PendingReturn& ret) {
  const std::size_t ended = ended_by(ret);
  state_.last_return = ret.at;
  state_.last_return_enables = (ret.rflags & rflags::kIf) != 0;
  state_.last_return_conditions = activations_.empty() ? ConditionSet{0} : conditions_of(activations_.youngest());
  const bool mismatch = !judge_mask(ret, ended);
  trace(TraceEvent::Kind::returned, ret.at, ret.target.value);
  if (ended == activations_.count) {
    if (mismatch) {
      end_judgement();
    }
    return;
  }
  judge_calls(ended);
  if (state_.work_asked) {
    judge_work_left(ret, activations_.items[ended]);
  }
  activations_.count = ended;
  if (coverage_ != nullptr) {
    coverage_->leave();
  }
  state_.settled = ret.target;
  state_.mask_mismatched = mismatch;
  if (mismatch && ended != 0) {
    end_judgement();
  }
}

}  // namespace framefold
