// Execution: the modelled C handlers: what they are entitled to see, and what they do.
#include <bit>

#include "run/execution.hpp"

namespace framefold {

namespace {

constexpr std::uint64_t kHandlerStack = 512;  // bytes below its stack pointer that a handler overwrites
constexpr Port kNestedPort{kPortCount - 1};   // of the handler's own nested event; not compared between the runs

struct Clobber {
  Gpr gpr;
  std::uint64_t value;
};
/// Caller-saved registers (System V ABI), with values that are nobody's tag.
constexpr std::array<Clobber, 9> kClobbers64{{{Gpr::rax, 0xc10bbe7000000000},
                                              {Gpr::rcx, 0xc10bbe7000000001},
                                              {Gpr::rdx, 0xc10bbe7000000002},
                                              {Gpr::rsi, 0xc10bbe7000000006},
                                              {Gpr::rdi, 0xc10bbe7000000007},
                                              {Gpr::r8, 0xc10bbe7000000008},
                                              {Gpr::r9, 0xc10bbe7000000009},
                                              {Gpr::r10, 0xc10bbe700000000a},
                                              {Gpr::r11, 0xc10bbe700000000b}}};
constexpr std::array<Clobber, 3> kClobbers32{{{Gpr::rax, 0xc10bbe70}, {Gpr::rcx, 0xc10bbe71}, {Gpr::rdx, 0xc10bbe72}}};
constexpr std::uint64_t kClobberedSlot = 0xc10bbe7f;
/// CF PF AF ZF SF OF all set, as after nothing that entry code computes.
constexpr std::uint64_t kClobberedFlags = 0x8d5 | rflags::kFixed | rflags::kIf;

}  // namespace

Execution::HandlerFrame Execution::handler_frame(const Activation& activation) const {
  const HandlerDescription& handler = entry_.description.handler;
  const unsigned word = word_size(entry_.width());
  const Cpu& cpu = guest_.cpu();
  HandlerFrame frame;
  if (handler.argument) {
    frame.address = {cpu.read(*handler.argument)};
  } else {
    const std::uint8_t* slot = guest_.memory().find({cpu.read(Gpr::rsp) + word}, word);
    if (slot == nullptr) {
      return frame;
    }
    frame.address = {load_word(slot, word)};
  }
  const std::uint64_t size = frame_.size_for(activation);
  const std::optional<StackId> stack = guest_.stack_of(frame.address);
  if (stack && size <= guest_.stack_range(*stack).end - frame.address) {
    frame.host = guest_.memory().find(frame.address, size);
  }
  return frame;
}

void Execution::judge_handler(GuestAddress address, const Vector& handler) {
  ++outcome_->handler_calls;
  state_.current = address;
  if (activations_.empty()) {  // nothing was delivered that could call it
    violate(ViolationKind::handler_frame, address, {"called without a delivery", 0, 0, false});
    return;
  }
  sample_stack();
  const bool event = handler.description.kind == DeliveryKind::event;
  if (event) {
    judge_event_frame();
  } else {
    judge_own_frame(handler);
  }
  if (!state_.stopped) {
    judge_abi();
  }
  if (event && !state_.stopped) {
    judge_nesting();
  }
  if (options_.hash && !state_.stopped) {
    const HandlerFrame frame = handler_frame(activations_.youngest());
    hash_word(frame.address.value);
    for (std::uint32_t offset = 0; frame.host != nullptr && offset < frame_.size_for(activations_.youngest());
         offset += 4) {
      hash_word(load_word(frame.host + offset, 4));
    }
  }
}

void Execution::judge_abi() {
  const std::uint64_t alignment = entry_.description.handler.stack_alignment;
  const std::uint64_t above_return = guest_.cpu().read(Gpr::rsp) + word_size(entry_.width());
  if (above_return % alignment != 0) {
    violate(ViolationKind::handler_abi, state_.last_boundary,
            {"stack pointer modulo the alignment", 0, above_return % alignment, true});
  }
  if ((guest_.cpu().read_rflags() & rflags::kDf) != 0) {
    violate(ViolationKind::handler_abi, state_.last_boundary, {"DF", 0, 1, true});
  }
}

/// Owner of the upcall: the activation whose open window it interrupted, where the entry is one that folds. An
/// exception or NMI that interrupted the window may, once it finds an event pending, either re-enter the handler with
/// its own frame or be folded as an event would be.
void Execution::judge_event_frame() {
  const Activation& youngest = activations_.youngest();
  const bool can_fold = !entry_.description.nests && youngest.interrupted_window >= 0;
  const bool must_fold = can_fold && youngest.kind() == DeliveryKind::event;
  const Activation& owner =
      can_fold ? activations_.items[static_cast<std::size_t>(youngest.interrupted_window)] : youngest;
  const HandlerFrame folded = handler_frame(owner);
  const HandlerFrame own = handler_frame(youngest);
  ViolationDetail difference{"frame outside the stacks", 0, folded.address.value, true};
  ViolationDetail own_difference = difference;
  if (can_fold && folded.host != nullptr && frame_.matches(folded.host, owner, difference)) {
    trace(TraceEvent::Kind::handler, state_.current, folded.address.value, owner.vector);
    merge_youngest();
    return;
  }
  trace(TraceEvent::Kind::handler, state_.current, own.address.value, youngest.vector);
  if (own.host == nullptr || !frame_.matches(own.host, youngest, own_difference)) {
    violate(ViolationKind::handler_frame, youngest.vector->address, must_fold ? difference : own_difference);
    return;
  }
  if (must_fold) {
    violate(ViolationKind::critical_frame, youngest.vector->address, difference);
  }
}

void Execution::judge_own_frame(const Vector& handler) {
  const Activation& youngest = activations_.youngest();
  const HandlerFrame frame = handler_frame(youngest);
  ViolationDetail difference{"frame outside the stacks", 0, frame.address.value, true};
  trace(TraceEvent::Kind::handler, state_.current, frame.address.value, youngest.vector);
  if (frame.host == nullptr || !frame_.matches(frame.host, youngest, difference)) {
    violate(ViolationKind::handler_frame, youngest.vector->address, difference);
    return;
  }
  if (handler.description.error_code && youngest.vector->description.error_code) {
    const HandlerDescription& description = entry_.description.handler;
    std::optional<std::uint64_t> found;
    if (description.error_code_argument) {
      found = guest_.cpu().read(*description.error_code_argument);
    } else if (!description.argument) {  // the second stack argument
      const unsigned word = word_size(entry_.width());
      const std::uint8_t* slot = guest_.memory().find({guest_.cpu().read(Gpr::rsp) + 2 * word}, word);
      found = slot == nullptr ? 0 : load_word(slot, word);
    }
    if (found && (*found & 0xffffffff) != youngest.error_code) {
      violate(ViolationKind::handler_frame, youngest.vector->address,
              {"error code", youngest.error_code, *found, true});
    }
  }
}

void Execution::merge_youngest() {
  const Activation& merged = activations_.youngest();
  ++outcome_->folds;
  if (coverage_ != nullptr) {
    coverage_->fold(merged.boundary, merged.kind());
  }
  trace(TraceEvent::Kind::fold, state_.current, merged.interrupted.rip, merged.vector);
  activations_.count = static_cast<std::size_t>(merged.interrupted_window) + 1;
  // Xen's delivery has masked events: the window is closed until entry code opens it again.
  activations_.youngest().window = false;
}

/// An event that was folded is no longer live: what is the youngest then did not interrupt anybody's window just now.
void Execution::judge_nesting() {
  const Activation& second = activations_.youngest();
  if (second.kind() != DeliveryKind::event || second.interrupted_window < 0) {
    return;
  }
  const Activation& first = activations_.items[static_cast<std::size_t>(second.interrupted_window)];
  if (first.kind() == DeliveryKind::event && first.interrupted_window >= 0) {
    violate(ViolationKind::unbounded_nesting, second.vector->address);
  }
}

void Execution::act(const Vector& handler) {
  switch (handler.description.kind) {
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
      write_frame();
      break;
    case DeliveryKind::nmi:
      if (handler.description.marks) {
        mark_frame();
      }
      break;
  }
  leave_handler(handler);
}

/// As guests do: the pending byte first, then the selector, then the ports of each selected word.
void Execution::acknowledge() {
  const SharedInfo& shared = guest_.shared();
  state_.raised_while_masked = false;
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
    state_.work_asked = true;
  }
  if (action.unmask_port && scenario_->context.has_masked_port) {
    const SharedInfo& shared = guest_.shared();
    if (unmask_port(shared, {scenario_->context.masked_port}) == Raise::kicked && shared.upcall_mask() != 0) {
      state_.raised_while_masked = true;
    }
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
void Execution::write_frame() {
  const FrameWrite& write = scenario_->frame_write;
  Activation& activation = activations_.youngest();
  if (state_.frame_written || activations_.count != 1 || activation.kind() != DeliveryKind::exception ||
      (!write.rax && !write.rip)) {
    return;
  }
  state_.frame_written = true;
  const HandlerFrame frame = handler_frame(activation);
  if (write.rax && frame_.rax_offset()) {
    frame_.write(frame.host, *frame_.rax_offset(), write.rax_value);
    activation.interrupted[Gpr::rax] = state_.context[Gpr::rax] = write.rax_value;
  }
  if (write.rip) {
    const std::uint64_t rip = (layout::kResumePage + write.rip_offset).value;
    frame_.write(frame.host, frame_.rip_offset(), rip);
    activation.interrupted.rip = state_.context.rip = rip;
  }
}

void Execution::mark_frame() {
  Activation& activation = activations_.youngest();
  const HandlerFrame frame = handler_frame(activation);
  frame_.write(frame.host, frame_.rflags_offset(),
               frame_.read(frame.host, frame_.rflags_offset()) | rflags::kNmiMarker);
  activation.marked = true;
}

/// Clobbers what the ABI lets it clobber and goes to its `ret`.
void Execution::leave_handler(const Vector& handler) {
  Cpu& cpu = guest_.cpu();
  const unsigned word = word_size(entry_.width());
  const GuestAddress stack{cpu.read(Gpr::rsp)};
  guest_.kill_stack_below(stack, kHandlerStack);
  if (entry_.width() == Width::k64) {
    for (const Clobber& clobber : kClobbers64) {
      cpu.write(clobber.gpr, clobber.value);
    }
  } else {
    for (const Clobber& clobber : kClobbers32) {
      cpu.write(clobber.gpr, clobber.value);
    }
  }
  if (!entry_.description.handler.argument) {  // its argument slots are its own
    for (unsigned slot = 1; slot <= 2; ++slot) {
      if (slot == 1 || handler.description.kind == DeliveryKind::exception) {
        std::uint8_t* host = guest_.memory().find_writable(stack + slot * word, word);
        if (host != nullptr) {
          store_word(host, kClobberedSlot, word);
        }
      }
    }
  }
  cpu.write_rflags(kClobberedFlags);
  cpu.redirect(layout::handler_return(static_cast<std::size_t>(&handler - entry_.vectors.data())));
}

}  // namespace framefold
