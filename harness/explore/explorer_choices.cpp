// Explorer: what Xen or the handler may do at a boundary besides nothing.
#include "explore/explorer.hpp"

namespace framefold {

namespace {

bool is_exception(const Vector& vector) { return vector.description.kind == DeliveryKind::exception; }

}  // namespace

/// Whether anything but going on may be chosen here. Where nothing can, there is no need to know the state: that paths
/// have joined shows at the next boundary where something can.
bool Explorer::may_choose(const Boundary& boundary) {
  const SharedInfo& shared = execution_.guest().shared();
  if (shared.upcall_mask() == 0 || boundary.handler != nullptr || may_interrupt(boundary)) {
    return true;
  }
  if ((shared.upcall_pending() & all_pending_) == all_pending_ && !shared_reads_.ports) {
    return false;
  }
  if (instructions_[boundary.index].event_use == EventUse::access) {
    read_registers(boundary);
  }
  return may_see_event(boundary);
}

/// Whether an NMI or an exception may arrive here. An NMI that comes while NMIs are masked stays pending until a
/// hypercall: before another instruction, it comes to the same as right behind it.
bool Explorer::may_interrupt(const Boundary& boundary) const {
  return (exceptions_ > 0 || may_take_nmi(boundary)) && may_arrive();
}

bool Explorer::may_take_nmi(const Boundary& boundary) const {
  const Vcpu& vcpu = execution_.state().vcpu;
  return nmis_ > 0 && !vcpu.nmi_pending &&
         ((vcpu.async_exception_mask & kTrapNmi) == 0 || instructions_[boundary.index].event_use == EventUse::always);
}

bool Explorer::may_arrive() const {
  const ActivationStack& live = execution_.activations();
  return !bounds_.in_windows_only || (!live.empty() && live.youngest().window);
}

/// Whether the instruction may see or change what an event raises. Where that depends on what it accesses, the
/// registers have been read.
bool Explorer::may_see_event(const Boundary& boundary) {
  const KnownInstruction& known = instructions_[boundary.index];
  return known.event_use == EventUse::always ||
         (known.event_use == EventUse::access &&
          accesses_shared_page(*known.instruction, registers_, execution_.guest()));
}

void Explorer::queue_choices(const Boundary& boundary, std::uint64_t key, const EventState& events) {
  node_ = -1;
  if (entry().description.nests && would_nest_twice(boundary)) {
    return;
  }
  if (!boundary.shadowed && may_arrive()) {
    queue_events(boundary, key, events);
    if (execution_.guest().shared().upcall_mask() == 0 && events.pending != 0) {
      push(boundary, {Choice::Kind::tick}, 0, 0);
    }
    if (may_take_nmi(boundary)) {
      push(boundary, {Choice::Kind::nmi}, 0, 0);
    }
  }
  for (std::size_t i = 0; exceptions_ > 0 && may_arrive() && i < entry().vectors.size(); ++i) {
    if (is_exception(entry().vectors[i])) {
      Choice choice{Choice::Kind::exception};
      choice.vector = static_cast<std::uint8_t>(i);
      push(boundary, choice, 0, 0);
    }
  }
  if (bounds_.actions && boundary.handler == &entry().event()) {
    queue_actions(boundary);
  }
}

/// In an entry that folds nothing, a third frame is what proves the nesting unbounded: which is tried once for each
/// boundary, and each state of the frame that a `known` row can ask for. Where that has been done, or an event would
/// not be delivered, exploration goes on.
bool Explorer::would_nest_twice(const Boundary& boundary) {
  const ActivationStack& activations = execution_.activations();
  if (activations.empty() || !activations.youngest().window || activations.youngest().interrupted_window < 0 ||
      activations.youngest().kind() != DeliveryKind::event || execution_.guest().shared().upcall_mask() != 0) {
    return false;
  }
  const ConditionSet conditions = execution_.conditions_of(activations.youngest());
  return !level().nested_twice.emplace(boundary.address, conditions).second;
}

/// An event counts only where it sets a bit of the pending byte that is clear, but where code reads which ports are
/// pending; control for Xen is a tick's. It gets a port in a word of its own, whose selector bit is clear.
///
/// A spurious tick sets the same bits of the pending byte, and no port's. Code that never reads which ports are pending
/// does the same behind either: Xen goes by the byte, and the handler clears all there is, whatever it finds. What then
/// may differ is which ports were handled, and that a port is pending with nothing to show it: behind an event, not
/// behind the tick. So where events are taken, such ticks show nothing more, and there are none.
///
/// Raised while events are masked, either changes only what Xen shares: before an instruction that has nothing to do
/// with that, it comes to the same as right behind it, and is left to the next boundary.
void Explorer::queue_events(const Boundary& boundary, std::uint64_t key, const EventState& events) {
  const SharedInfo& shared = execution_.guest().shared();
  if (shared.upcall_mask() != 0 && boundary.handler == nullptr && !may_see_event(boundary)) {
    return;
  }
  const unsigned words = kPortCount / shared.word_bits();
  unsigned word = 0;
  while (word < words && (events.selector >> word & 1) != 0) {
    ++word;
  }
  const Port port{word * shared.word_bits() + 1};
  const bool free = word < words && !shared.port_pending(port);
  for (const std::uint8_t value : entry().description.pending_values) {
    const bool is_set = (events.pending & value) == value;
    if (goes_alone(value) && !may_go_alone()) {
      continue;
    }
    EventState next = events;
    next.kick_is_used = events.kick_is_used || events.pending == 0;
    next.pending = static_cast<std::uint8_t>(events.pending | value);
    if (shared_reads_.ports && !is_set) {
      Choice spurious{Choice::Kind::tick};
      spurious.pending_value = value;
      spurious.spurious = true;
      queue_raise(boundary, spurious, {}, key, next);
    }
    if (free && (shared_reads_.ports || !is_set)) {
      Choice event{Choice::Kind::event};
      event.pending_value = value;
      next.selector |= std::uint64_t{1} << word;
      next.ports[port.number / 64] |= std::uint64_t{1} << (port.number % 64);
      queue_raise(boundary, event, port, key, next);
    }
  }
}

/// `next`: what is pending where events are masked, so that nothing is delivered.
void Explorer::queue_raise(const Boundary& boundary, const Choice& choice, Port port, std::uint64_t key,
                           const EventState& next) {
  std::uint64_t next_key = 0;
  if (execution_.guest().shared().upcall_mask() != 0) {
    next_key = full_key(key, next);
    if (bounds_.outline) {
      const GuestAddress stack{registers_[Gpr::rsp]};
      const OutlineNode raised = outline_node(execution_, scope_.seed, boundary, stack, next.pending);
      result_->outline.add_step(outline_, raised.key);
      if (raised.joint) {
        result_->outline.add_joint(raised.key);
      }
    }
    if (is_known(next_key, shown_, dominating_[goes_alone(choice.pending_value) ? alone_budget() : budget_here()])) {
      ++counts().transitions;
      return;
    }
  }
  push(boundary, choice, static_cast<std::uint8_t>(port.number), next_key);
}

void Explorer::queue_actions(const Boundary& boundary) {
  const bool nested = execution_.state().nested_handlers == 0 && execution_.activations().count <= bounds_.nested_depth;
  const bool work = entry().work_flag.has_value();
  for (const bool nested_event : {false, true}) {
    for (const bool set_work_flag : {false, true}) {
      if ((nested_event || set_work_flag) && (nested || !nested_event) && (work || !set_work_flag)) {
        Choice choice{Choice::Kind::action};
        choice.nested_event = nested_event;
        choice.set_work_flag = set_work_flag;
        push(boundary, choice, 0, 0);
      }
    }
  }
}

void Explorer::push(const Boundary& boundary, const Choice& choice, std::uint8_t port, std::uint64_t key) {
  if (by_class_ && goes_nowhere(boundary, choice, port)) {
    return;
  }
  if (node_ < 0) {
    node_ = node_here(boundary);
  }
  const auto node = static_cast<std::uint32_t>(node_);
  ++nodes_[node].references;
  Branch branch;
  branch.node = node;
  branch.parent = leg_;
  branch.step = static_cast<std::uint32_t>(step_);
  branch.choice = choice;
  branch.port = port;
  branch.key = key;
  level().queue.push(depth_ + 1, branch);
}

std::uint32_t Explorer::free_node() {
  if (free_nodes_.empty()) {
    free_nodes_.push_back(static_cast<std::uint32_t>(nodes_.size()));
    nodes_.emplace_back();
  }
  const std::uint32_t index = free_nodes_.back();
  free_nodes_.pop_back();
  return index;
}

std::uint32_t Explorer::node_here(const Boundary& boundary) {
  const std::uint32_t index = free_node();
  Node& node = nodes_[index];
  node_bytes_ -= node.snapshot.size();
  execution_.save(boundary, registers_, live_, node.snapshot);
  node_bytes_ += node.snapshot.size();
  node.references = 0;
  node.handler_calls = handler_calls_;
  node.budget = budget_here();
  node.outline = outline_;
  node.depth = depth_;
  node.handled = outcome_.handled;
  node.shown = shown_;
  node.activations = 0;
  if (by_class_) {
    node.key = here_key_;
    node.events = here_events_;
    node.activations = execution_.activations().count;
    if (node.activations != 0) {
      classify(boundary);
      node.chain_class = *here_class_;
      node.boundary = boundary.index;
      node.exact_place = is_exact_place(boundary.address, execution_.activations().youngest().window);
      node.open = is_open();
      node.pending_record = execution_.record_arrival(boundary.address);
      node.record = {};
      node.record.boundary = node.record.cause = execution_.label(boundary.address);
      node.record.conditions = node.record.cause_conditions =
          execution_.conditions_of(execution_.activations().youngest());
      node.record.reached = node.record.delivered = node.record.has_cause = true;
    }
  }
  return index;
}

void Explorer::release(std::uint32_t node) {
  if (--nodes_[node].references == 0) {
    free_nodes_.push_back(node);
  }
}

}  // namespace framefold
