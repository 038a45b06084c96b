// Execution: the modelled C handlers: what they are entitled to see, and what they do.
#include <algorithm>
#include <bit>
#include <utility>

#include "machine/selectors.hpp"
#include "run/clobbers.hpp"
#include "run/execution.hpp"

namespace framefold {

Execution::HandlerCall Execution::handler_call(const Vector& handler) const {
  const unsigned word = word_size(entry_.width());
  const Cpu& cpu = guest_.cpu();
  HandlerCall call;
  // Of several vectors that have one handler, what it does is what the youngest's would.
  const Vector* const youngest = activations_.empty() ? nullptr : activations_.youngest().vector;
  call.handler = youngest != nullptr && youngest->handler == handler.handler ? youngest : &handler;
  call.stack = {cpu.read(Gpr::rsp)};
  if (const std::optional<Gpr> argument = entry_.description.handler.argument) {
    call.frame = {cpu.read(*argument)};
  } else if (const std::uint8_t* slot = guest_.memory().find(call.stack + word, word)) {
    call.frame = {load_word(slot, word)};
  }
  return call;
}

/// The frame that a handler got, as one of `activation`: null where it does not lie inside one stack.
std::uint8_t* Execution::frame_of(const HandlerCall& call, const Activation& activation) {
  const std::uint64_t size = frame_.size_for(activation);
  const std::optional<StackId> stack = guest_.stack_of(call.frame);
  if (!stack || size > guest_.stack_range(*stack).end - call.frame) {
    return nullptr;
  }
  return guest_.memory().find(call.frame, size);
}

void Execution::judge_handler(GuestAddress address, const HandlerCall& call) {
  ++outcome_->handler_calls;
  state_.current = address;
  has_frame_ = !tolerant_ || (!activations_.empty() && frame_of(call, activations_.youngest()) != nullptr);
  if (activations_.empty()) {  // nothing was delivered that could call it
    violate(ViolationKind::handler_frame, address, {"called without a delivery", 0, 0, false});
    return;
  }
  sample_stack(call.stack);
  const bool event = call.handler->description.kind == DeliveryKind::event;
  if (event) {
    judge_event_frame(call);
  } else {
    judge_own_frame(call);
  }
  if (!state_.stopped) {
    judge_abi(call);
  }
  if (event && !state_.stopped) {
    judge_nesting();
    judge_depth(call);
  }
  if (options_.hash && !state_.stopped) {
    const std::uint8_t* frame = frame_of(call, activations_.youngest());
    hash_word(call.frame.value);
    for (std::uint32_t offset = 0; frame != nullptr && offset < frame_.size_for(activations_.youngest()); offset += 4) {
      hash_word(load_word(frame + offset, 4));
    }
  }
}

void Execution::judge_abi(const HandlerCall& call) {
  const std::uint64_t alignment = entry_.description.handler.stack_alignment;
  const std::uint64_t above_return = call.stack.value + word_size(entry_.width());
  if (above_return % alignment != 0) {
    // With a condition of its own: what is known of the alignment hides nothing else at this call, nor a stack pointer
    // that is off by part of a word.
    const bool by_words = above_return % word_size(entry_.width()) == 0;
    const auto misaligned =
        static_cast<ConditionSet>((by_words ? 1U : 0U) << static_cast<unsigned>(KnownCondition::misaligned));
    const ConditionSet conditions = activations_.empty() ? ConditionSet{0} : conditions_of(activations_.youngest());
    violate(ViolationKind::handler_abi, state_.last_boundary, static_cast<ConditionSet>(conditions | misaligned),
            {"stack pointer modulo the alignment", 0, above_return % alignment, true});
  }
  if ((guest_.cpu().read_rflags() & rflags::kDf) != 0) {
    violate(ViolationKind::handler_abi, state_.last_boundary, {"DF", 0, 1, true});
  }
  if (entry_.width() == Width::k32) {
    judge_data_segments();
  }
  const bool event = call.handler->description.kind == DeliveryKind::event;
  if (event && guest_.has_stack(StackId::interrupt) && !guest_.stack_range(StackId::interrupt).contains(call.stack)) {
    violate(ViolationKind::handler_abi, state_.last_boundary,
            {"not on the interrupt stack", 0, call.stack.value, true});
  }
}

/// C takes DS and ES for the flat segment that its stack is in. Ring 3's may be written from ring 1 as well.
void Execution::judge_data_segments() {
  for (const Segment segment : {Segment::ds, Segment::es}) {
    const std::uint16_t selector = guest_.cpu().read(segment);
    if (!is_flat_data(Width::k32, selector)) {
      violate(ViolationKind::handler_abi, state_.last_boundary,
              {name_of(segment), selectors_of(Width::k32).kernel_data, selector, true});
    }
  }
}

/// Owner of the upcall: the activation whose open window it interrupted, where the entry is one that folds. An
/// exception or NMI that interrupted the window may, once it finds an event pending, either re-enter the handler with
/// its own frame or be folded as an event would be.
void Execution::judge_event_frame(const HandlerCall& call) {
  const Activation& youngest = activations_.youngest();
  const bool can_fold = !entry_.description.nests && youngest.interrupted_window >= 0;
  const bool must_fold = can_fold && youngest.kind() == DeliveryKind::event;
  ViolationDetail difference{"frame outside the stacks", 0, call.frame.value, true};
  if (can_fold && merge_into_owner(call, difference)) {
    return;
  }
  trace(TraceEvent::Kind::handler, state_.current, call.frame.value, youngest.vector);
  const std::uint8_t* own = frame_of(call, youngest);
  ViolationDetail own_difference{"frame outside the stacks", 0, call.frame.value, true};
  if (own == nullptr || !frame_.matches(own, youngest, own_difference)) {
    trace_wrong_frame(call, must_fold ? static_cast<std::size_t>(youngest.interrupted_window) : activations_.count - 1);
    if (can_fold && !must_fold) {  // its exit came here by its own jump: where it hit the window says what is wrong
      const Activation& owner = activations_.items[static_cast<std::size_t>(youngest.interrupted_window)];
      violate(ViolationKind::handler_frame, label_of({youngest.interrupted.rip}), conditions_of(owner), own_difference,
              true);
      return;
    }
    violate(ViolationKind::handler_frame, youngest.vector->address, must_fold ? difference : own_difference);
    return;
  }
  if (must_fold && !youngest.nested) {
    trace_wrong_frame(call, static_cast<std::size_t>(youngest.interrupted_window));
    violate(ViolationKind::critical_frame, youngest.vector->address, difference);
  }
}

/// Merges the youngest where the handler got its owner's frame; otherwise `difference` is one from that. An owner that
/// no handler has been called for has one itself, whose frame the handler should have got.
bool Execution::merge_into_owner(const HandlerCall& call, ViolationDetail& difference) {
  const Activation& owner = activations_.items[static_cast<std::size_t>(activations_.youngest().interrupted_window)];
  const std::uint8_t* folded = frame_of(call, owner);
  if (folded == nullptr || !frame_.matches(folded, owner, difference)) {
    return false;
  }
  trace(TraceEvent::Kind::handler, state_.current, call.frame.value, owner.vector);
  merge_youngest(folded);
  if (owner.is_unheard()) {
    judge_event_frame(call);
  }
  return true;
}

/// The youngest's window opens. Where that interrupted a window itself, and nothing is left of its frame, code has
/// folded it, and leaves it to the exit's own test of evtchn_upcall_pending to call the handler: the window is its
/// owner's. (An event whose handler has been called was not folded.)
void Execution::merge_unseen() {
  const Activation& youngest = activations_.youngest();
  if (entry_.description.nests || youngest.interrupted_window < 0 || youngest.nested) {
    return;
  }
  const unsigned word = word_size(entry_.width());
  const std::uint8_t* const rip = guest_.memory().find(youngest.bounce_frame, word);
  const GuestAddress stack{guest_.cpu().read(Gpr::rsp)};
  const bool on_same = guest_.stack_of(stack - 1) == guest_.stack_of(youngest.bounce_frame);
  if (!(on_same && stack > youngest.bounce_frame) && rip != nullptr &&
      load_word(rip, word) == youngest.interrupted.rip) {
    return;
  }
  note_fold(youngest);
  if (youngest.kind() == DeliveryKind::nmi) {
    note_lost_end(youngest);
  }
  activations_.count = static_cast<std::size_t>(youngest.interrupted_window) + 1;
}

void Execution::note_frame(Activation& owner, const HandlerCall& call) {
  owner.frame = owner.frame == GuestAddress{} ? call.frame : std::min(owner.frame, call.frame);
}

void Execution::judge_own_frame(const HandlerCall& call) {
  Activation& youngest = activations_.youngest();
  youngest.called = true;
  note_frame(youngest, call);
  const std::uint8_t* frame = frame_of(call, youngest);
  ViolationDetail difference{"frame outside the stacks", 0, call.frame.value, true};
  trace(TraceEvent::Kind::handler, state_.current, call.frame.value, youngest.vector);
  if (frame == nullptr || !frame_.matches(frame, youngest, difference)) {
    trace_wrong_frame(call, activations_.count - 1);
    violate(ViolationKind::handler_frame, youngest.vector->address, difference);
    return;
  }
  const Vector& expected = *youngest.vector;
  if (call.handler->handler != expected.handler) {
    violate(ViolationKind::handler_frame, expected.address,
            {"handler called", expected.handler.value, call.handler->handler.value, true});
    return;
  }
  if (expected.description.error_code) {
    const HandlerDescription& description = entry_.description.handler;
    std::optional<std::uint64_t> found;
    if (description.error_code_argument) {
      found = guest_.cpu().read(*description.error_code_argument);
    } else if (!description.argument) {  // the second stack argument
      const unsigned word = word_size(entry_.width());
      const std::uint8_t* slot = guest_.memory().find(call.stack + 2 * word, word);
      found = slot == nullptr ? 0 : load_word(slot, word);
    }
    if (found && (*found & 0xffffffff) != youngest.error_code) {
      violate(ViolationKind::handler_frame, youngest.vector->address,
              {"error code", youngest.error_code, *found, true});
    }
  }
}

/// All that is wrong with the frame, where somebody wants the story.
void Execution::trace_wrong_frame(const HandlerCall& call, std::size_t owner) {
  if (trace_ == nullptr) {
    return;
  }
  WrongFrame wrong{owner, {}};
  if (const std::uint8_t* frame = frame_of(call, activations_.items[owner])) {
    wrong.slots = frame_.wrong_slots(frame, activations_.items[owner]);
  }
  wrong_ = &wrong;
  trace(TraceEvent::Kind::wrong_frame, state_.current, call.frame.value, activations_.items[owner].vector);
  wrong_ = nullptr;
}

/// `frame`: that of the owner, into which the youngest was folded.
void Execution::merge_youngest(const std::uint8_t* frame) {
  const Activation& merged = activations_.youngest();
  note_fold(merged);
  note_lost_nmi(merged, activations_.items[static_cast<std::size_t>(merged.interrupted_window)], frame);
  activations_.count = static_cast<std::size_t>(merged.interrupted_window) + 1;
  // Xen's delivery has masked events: the window is closed until entry code opens it again.
  activations_.youngest().window = false;
}

void Execution::note_fold(const Activation& merged) {
  ++outcome_->folds;
  if (coverage_ != nullptr) {
    coverage_->fold(merged.boundary, merged.kind());
  }
  trace(TraceEvent::Kind::fold, state_.current, merged.interrupted.rip, merged.vector);
}

/// Whether this fold loses what would have ended an NMI: its own frame, by which it would have returned, or the marker
/// in the owner's. Where NMIs stay masked, the first that did so is the cause.
void Execution::note_lost_nmi(const Activation& merged, const Activation& owner, const std::uint8_t* frame) {
  if (state_.nmi_lost != GuestAddress{}) {
    return;
  }
  if (merged.kind() == DeliveryKind::nmi) {
    note_lost_end(merged);
  } else if (owner.marked && (frame_.read(frame, frame_.rflags_offset()) & rflags::kNmiMarker) == 0) {
    state_.nmi_lost = label_of({merged.interrupted.rip});
    state_.nmi_lost_conditions = conditions_of(owner);
  }
}

/// Of an NMI that was folded.
void Execution::note_lost_end(const Activation& nmi) {
  if (state_.nmi_lost == GuestAddress{}) {
    state_.nmi_lost = entry_.event().address;
    state_.nmi_lost_conditions = conditions_of(nmi);
  }
}

/// An event that was folded is no longer live: what is the youngest then did not interrupt anybody's window just now.
/// One that was not is judged once, however often its handler is called.
void Execution::judge_nesting() {
  Activation& second = activations_.youngest();
  if (second.kind() != DeliveryKind::event || second.interrupted_window < 0 || std::exchange(second.nested, true)) {
    return;
  }
  const Activation& first = activations_.items[static_cast<std::size_t>(second.interrupted_window)];
  if (first.kind() == DeliveryKind::event && first.interrupted_window >= 0) {
    violate(ViolationKind::unbounded_nesting, second.vector->address);
  }
}

/// A fold that completes the younger frame instead of the owner's hands over the right contents, lower in the stack
/// each time. Lower once can be the code's way; twice repeats for ever, as with frames that are not folded.
void Execution::judge_depth(const HandlerCall& call) {
  Activation& owner = activations_.youngest();
  const GuestAddress before = owner.frame;
  note_frame(owner, call);
  if (before == GuestAddress{} || owner.frame == before || owner.lowered == 2) {
    return;
  }
  if (++owner.lowered == 2) {
    violate(ViolationKind::unbounded_nesting, owner.vector->address,
            {"the handler's frame, lower each time", before.value, call.frame.value, true});
  }
}

void Execution::act(const HandlerCall& call) {
  state_.work_waiting = state_.work_asked && work_waits();
  switch (call.handler->description.kind) {
    case DeliveryKind::event:
      acknowledge();
      if (event_actions()) {
        return;
      }
      if (guest_.shared().upcall_mask() == 0) {  // its contract: events are masked when it returns
        guest_.shared().upcall_mask() = 1;
      }
      break;
    case DeliveryKind::exception:
      write_frame(call);
      break;
    case DeliveryKind::nmi:
      if (call.handler->description.marks) {
        mark_frame(call);
      }
      break;
  }
  leave_handler(*call.handler, call.stack);
}

/// As guests do: the pending byte first, then the selector, then the ports of each selected word.
void Execution::acknowledge() {
  const SharedInfo& shared = guest_.shared();
  state_.kick_is_used = false;
  shared.upcall_pending() = 0;
  std::uint64_t selected = shared.pending_sel();
  shared.set_pending_sel(0);
  for (; selected != 0; selected &= selected - 1) {
    const auto word = static_cast<unsigned>(std::countr_zero(selected));
    if (word * shared.word_bits() >= kPortCount) {
      continue;  // bits that no port has: a guest that wrote to the selector
    }
    for (std::uint64_t ready = shared.take_ports(word); ready != 0; ready &= ready - 1) {
      const Port port{word * shared.word_bits() + static_cast<unsigned>(std::countr_zero(ready))};
      if (port != kNestedPort) {
        outcome_->handled.set(port.number);
      }
    }
  }
}

/// True where the guest now executes something else.
bool Execution::event_actions() {
  const std::uint32_t call = state_.event_calls++;
  if (call >= kActionCalls) {
    return false;
  }
  const EventAction& action = scenario_->event_actions[call];
  if (action.set_work_flag && entry_.work_flag) {
    std::uint8_t* flag = guest_.memory().find(*entry_.work_flag, sizeof(std::uint32_t));
    guest_.note_store(*entry_.work_flag, sizeof(std::uint32_t));
    store_word(flag, load_word(flag, 4) | entry_.description.work_flag->mask, 4);
    state_.work_asked = state_.work_waiting = true;
  }
  if (action.unmask_port && scenario_->context.has_masked_port) {
    note_kick(unmask_port(guest_.shared(), {scenario_->context.masked_port}));
  }
  return action.nested_event && state_.nested_handlers == 0 && take_nested_event();
}

/// Unmasks, takes one event, masks again: the nested activation returns to the handler page, which does the rest.
bool Execution::take_nested_event() {
  ++state_.nested_handlers;
  guest_.shared().upcall_mask() = 0;
  raise(kNestedPort, 1);
  state_.current = layout::kHandlerNested;
  state_.boundary_index = return_boundary_;
  if (!give_control(std::nullopt)) {
    --state_.nested_handlers;
    guest_.shared().upcall_mask() = 1;
    return false;
  }
  if (!state_.stopped) {
    store_delivery();
  }
  return true;
}

/// What a fixup or a tracer does: the handler of the context's own exception changes what it resumes with.
void Execution::write_frame(const HandlerCall& call) {
  const FrameWrite& write = scenario_->frame_write;
  Activation& activation = activations_.youngest();
  if (state_.frame_written || activations_.count != 1 || activation.kind() != DeliveryKind::exception ||
      (!write.rax && !write.rip)) {
    return;
  }
  state_.frame_written = true;
  std::uint8_t* const frame = frame_of(call, activation);
  if (write.rax && frame_.rax_offset()) {
    frame_.write(frame, *frame_.rax_offset(), write.rax_value);
    activation.interrupted[Gpr::rax] = state_.context[Gpr::rax] = write.rax_value;
  }
  if (write.rip) {
    const std::uint64_t rip = place_at(write.rip_offset, state_.context_mode, entry_).value;
    frame_.write(frame, frame_.rip_offset(), rip);
    activation.interrupted.rip = state_.context.rip = rip;
  }
}

void Execution::mark_frame(const HandlerCall& call) {
  Activation& activation = activations_.youngest();
  std::uint8_t* const frame = frame_of(call, activation);
  frame_.write(frame, frame_.rflags_offset(), frame_.read(frame, frame_.rflags_offset()) | rflags::kNmiMarker);
  activation.marked = true;
}

/// Clobbers what the ABI lets it clobber and goes to its `ret`.
void Execution::leave_handler(const Vector& handler, GuestAddress stack) {
  const unsigned word = word_size(entry_.width());
  guest_.kill_stack_below(stack, kFunctionStack);
  if (!entry_.description.handler.argument) {  // its argument slots are its own
    for (unsigned slot = 1; slot <= 2; ++slot) {
      if (slot == 1 || handler.description.kind == DeliveryKind::exception) {
        std::uint8_t* host = guest_.memory().find_writable(stack + slot * word, word);
        if (host != nullptr) {
          store_word(host, overwritten_argument(entry_.width()), word);
        }
      }
    }
  }
  guest_.set_handler_target(layout::handler_return(static_cast<std::size_t>(&handler - entry_.vectors.data())));
  guest_.cpu().redirect(layout::clobber_page(entry_.width()));
}

}  // namespace framefold
