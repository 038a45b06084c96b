// Execution: Xen in control: arrivals, deliveries, hypercalls, returns.
#include "machine/selectors.hpp"
#include "run/execution.hpp"

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

}  // namespace

/// Takes every arrival that is due at this boundary, then lets Xen have control once. True where it delivered
/// something.
bool Execution::take_arrivals(GuestAddress address, std::uint16_t boundary, bool shadowed) {
  std::optional<PendingException> exception;
  const std::size_t first = next_arrival_;
  while (next_arrival_ < arrival_limit_ && countdown_ == 0) {
    const Arrival& arrival = scenario_->arrivals[next_arrival_];
    if (arrival.kind == ArrivalKind::exception) {
      if (exception) {
        break;  // an instruction faults once; the other is due at the next boundary
      }
      exception = PendingException{&entry_.vectors[arrival.vector], arrival.error_code};
    } else if (shadowed) {
      break;
    } else if (arrival.kind == ArrivalKind::event) {
      raise({arrival.port}, arrival.pending_value);
    } else if (arrival.kind == ArrivalKind::nmi) {
      vcpu_.nmi_pending = true;
    }
    const ConditionSet conditions = activations_.empty() ? ConditionSet{0} : conditions_of(activations_.youngest());
    outcome_->arrivals[next_arrival_] = {label_of(address), conditions, true, false};
    trace(TraceEvent::Kind::arrival, address, next_arrival_);
    outcome_->reached = static_cast<std::uint8_t>(++next_arrival_);
    countdown_ = next_arrival_ < arrival_limit_ ? scenario_->arrivals[next_arrival_].distance : 0;
    if (countdown_ != 0) {
      --countdown_;  // the next boundary is number 1
      break;
    }
  }
  if (next_arrival_ == first) {
    return false;
  }
  since_arrival_ = 0;
  current_ = address;
  boundary_index_ = boundary;
  const bool delivered = give_control(exception);
  for (std::size_t i = first; i < next_arrival_; ++i) {
    const ArrivalKind kind = scenario_->arrivals[i].kind;
    outcome_->arrivals[i].delivered = was_delivered(kind, delivered_kinds_);
    if (coverage_ != nullptr) {
      coverage_->arrival(boundary, kind, outcome_->arrivals[i].delivered);
    }
  }
  if (delivered && !stopped_) {
    store_delivery();
  }
  return delivered || stopped_;
}

void Execution::raise(Port port, std::uint8_t value) {
  const SharedInfo& shared = guest_.shared();
  if (raise_event(shared, port, value) == Raise::kicked && shared.upcall_mask() != 0) {
    raised_while_masked_ = true;
  }
}

/// test_all_events to its end, from the guest at current_. True where something was delivered: registers_ are then
/// those of the callback's first instruction.
bool Execution::give_control(std::optional<PendingException> exception) {
  const SharedInfo& shared = guest_.shared();
  delivered_kinds_ = 0;
  while (std::optional<Delivery> delivery = next_delivery(vcpu_, shared, exception, entry_.event(), nmi_)) {
    load_registers();
    const Registers interrupted = registers_;
    const GuestMode mode = in_user_mode(vcpu_, registers_, entry_.width()) ? GuestMode::user : GuestMode::kernel;
    const std::uint8_t mask = shared.upcall_mask();
    if (!deliver(vcpu_, registers_, guest_.memory(), shared, *delivery)) {
      violate(ViolationKind::domain_crash, label_of(current_),
              {"no stack for a frame", 0, interrupted[Gpr::rsp], true});
      return true;
    }
    begin_activation(*delivery, interrupted, mode, mask);
    if (stopped_) {
      return true;
    }
    delivered_kinds_ = static_cast<std::uint8_t>(delivered_kinds_ | bit_of(delivery->vector->description.kind));
    current_ = delivery->vector->address;
  }
  if (delivered_kinds_ != 0) {
    exit_to_guest(vcpu_, registers_);
  }
  return delivered_kinds_ != 0;
}

void Execution::begin_activation(const Delivery& delivery, const Registers& interrupted, GuestMode mode,
                                 std::uint8_t mask) {
  if (activations_.full()) {  // each needs an arrival, or an action of a handler that one needs: see kCapacity
    failure_ = "more live activations than arrivals can make";
    stop();
    return;
  }
  if (delivery.vector->description.kind == DeliveryKind::event) {
    // A window that a return leaves open against its frame's IF shows there already, as mask-mismatch; one of an older
    // activation shows where that activation is the youngest.
    if (!activations_.empty() && activations_.youngest().window && activations_.youngest().mask != 0) {
      violate(ViolationKind::early_delivery, label_of(current_));
    }
  }
  const bool in_entry_code = entry_.text.contains(current_) || guest_.stub_range().contains(current_);
  const bool in_window = in_entry_code && !activations_.empty() && activations_.youngest().window;
  Activation& activation = activations_.items[activations_.count];
  activation.vector = delivery.vector;
  activation.interrupted = interrupted;
  activation.mode = mode;
  activation.mask = mask;
  activation.error_code = delivery.error_code;
  activation.window = false;
  activation.marked = false;
  activation.boundary = boundary_index_;
  activation.interrupted_window = static_cast<std::int8_t>(in_window ? static_cast<int>(activations_.count) - 1 : -1);
  ++activations_.count;
  ++outcome_->deliveries;
  const GuestAddress base{registers_[Gpr::rsp]};
  guest_.note_stack_write(base, 0);
  guest_.note_stack_write({interrupted[Gpr::rsp]},
                          (outcome_->boundaries - sampled_at_) * std::uint64_t{8} + kStackSlack);
  guest_.kill_stack_below(base, kBelowFrame);
  sampled_stack_ = base;
  sampled_at_ = outcome_->boundaries;
  if (options_.hash) {
    hash_word(delivery.vector->address.value);
    hash_word(interrupted.rip);
    hash_word(base.value);
    hash_word(mask);
  }
  trace(TraceEvent::Kind::delivery, current_, base.value, delivery.vector);
}

void Execution::load_registers() {
  if (in_model_) {
    return;
  }
  in_model_ = true;
  const Cpu& cpu = guest_.cpu();
  cpu.read_general(registers_);
  registers_.rip = current_.value;
  if (entry_.width() == Width::k32) {
    cpu.read_segments(registers_);
  } else {
    // In kernel mode they cannot be others (xen-pv semantics of SYSRET and iret); DS to GS are read when a context
    // resumes.
    registers_[Segment::cs] = selectors_of(Width::k64).kernel_code;
    registers_[Segment::ss] = selectors_of(Width::k64).kernel_stack;
    registers_.gs_base = vcpu_.kernel_gs_base;
  }
  loaded_rflags_ = registers_.rflags;
}

/// Back into the engine, after deliveries from kernel mode: only what a delivery changes.
void Execution::store_delivery() {
  Cpu& cpu = guest_.cpu();
  cpu.write(Gpr::rsp, registers_[Gpr::rsp]);
  if (entry_.width() == Width::k64) {
    cpu.write(Gpr::rcx, registers_[Gpr::rcx]);
    cpu.write(Gpr::r11, registers_[Gpr::r11]);
  }
  if (registers_.rflags != loaded_rflags_) {
    cpu.write_rflags(registers_.rflags);
  }
  cpu.redirect({registers_.rip});
  in_model_ = false;
}

void Execution::store_everything() {
  Cpu& cpu = guest_.cpu();
  cpu.write_general(registers_);
  cpu.redirect({registers_.rip});
  in_model_ = false;
}

void Execution::take_hypercall(GuestAddress address) {
  current_ = address;
  boundary_index_ = stub_boundary_;
  load_registers();
  sample_stack();
  if (trace_ != nullptr) {
    trace(TraceEvent::Kind::hypercall, address, registers_[Gpr::rax] & 0xffffffff);
  }
  const SharedInfo& shared = guest_.shared();
  Raise raised = Raise::nothing;
  const HypercallEnd end = hypercall(vcpu_, registers_, guest_.memory(), shared, raised);
  if (end == HypercallEnd::domain_crash) {
    violate(ViolationKind::domain_crash, address, {"no iret frame that Xen accepts", 0, registers_[Gpr::rsp], true});
    return;
  }
  if (end == HypercallEnd::iret) {
    PendingReturn ret;
    ret.at = address;
    ret.target = {registers_.rip};
    ret.stack = registers_[Gpr::rsp];
    ret.rflags = shared.upcall_mask() == 0 ? rflags::kIf : 0;
    complete_return(ret);
  } else if (raised == Raise::kicked && shared.upcall_mask() != 0) {
    raised_while_masked_ = true;
  }
  current_ = {registers_.rip};
  const bool delivered = give_control(std::nullopt);
  if (stopped_) {
    return;
  }
  exit_to_guest(vcpu_, registers_);
  if (!delivered && in_user_mode(vcpu_, registers_, entry_.width())) {
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
  return_.active = true;
  return_.at = address;
  return_.cs = static_cast<std::uint16_t>(load_word(frame + word, word));
  return_.rflags = load_word(frame + 2 * word, word);
  const bool pops_stack = entry_.width() == Width::k64 || (return_.cs & 3) > selectors_of(entry_.width()).kernel_ring;
  const std::uint8_t* slot = guest_.memory().find(stack + 3 * word, word);
  return_.stack = pops_stack && slot != nullptr ? load_word(slot, word) : (stack + 3 * word).value;
}

/// A return completed: Xen's iret, or the CPU's. Ends the activation that it returns from, and younger ones.
void Execution::complete_return(const PendingReturn& ret) {
  const bool enabled = (ret.rflags & rflags::kIf) != 0;
  const std::uint8_t mask = guest_.shared().upcall_mask();
  last_return_ = ret.at;
  last_return_enables_ = enabled;
  last_return_conditions_ = activations_.empty() ? ConditionSet{0} : conditions_of(activations_.youngest());
  if ((mask == 0) != enabled) {
    violate(ViolationKind::mask_mismatch, ret.at, last_return_conditions_,
            {"evtchn_upcall_mask", std::uint64_t{enabled ? 0U : 1U}, mask, true});
  }
  trace(TraceEvent::Kind::returned, ret.at, ret.target.value);
  for (std::size_t i = activations_.count; i-- > 0;) {
    const Registers& interrupted = activations_.items[i].interrupted;
    if (interrupted.rip != ret.target.value || interrupted[Gpr::rsp] != ret.stack) {
      continue;
    }
    activations_.count = i;
    settled_ = ret.target;
    return;
  }
}

}  // namespace framefold
