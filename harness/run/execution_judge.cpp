// Execution: what is judged when the context resumes, and when the guest cannot go on.
#include <utility>

#include "machine/selectors.hpp"
#include "run/execution.hpp"

namespace framefold {

namespace {

constexpr std::uint8_t kDeviceNotAvailable = 7;  // SDM Vol. 3, table 6-1

}  // namespace

/// The first boundary at which the context runs again and Xen has nothing to deliver.
void Execution::resume() {
  state_.at_resumption = true;
  Cpu& cpu = guest_.cpu();
  if (!state_.in_model) {
    state_.in_model = true;
    cpu.read_general(state_.registers);
    load_segments();
    ring_left_ = (state_.registers[Segment::cs] & 3) != selectors_of(entry_.width()).kernel_ring;
    load_bases(state_.registers);
  } else if (entry_.width() == Width::k64) {  // by hypercall to user mode: the data selectors are still the engine's
    const std::uint16_t cs = state_.registers[Segment::cs];
    const std::uint16_t ss = state_.registers[Segment::ss];
    load_segments();
    state_.registers[Segment::cs] = cs;
    state_.registers[Segment::ss] = ss;
  }
  trace(TraceEvent::Kind::resumption, {state_.registers.rip}, 0);
  judge_resumption();
  activations_.count = 0;
  cpu.stop();
  if (std::exchange(state_.mask_mismatched, false)) {
    end_judgement();
  }
}

void Execution::judge_resumption() {
  judge_registers(state_.context);
  if (state_.vcpu.async_exception_mask != state_.first_async_mask) {
    const bool lost = state_.nmi_lost != GuestAddress{};
    violate(ViolationKind::nmi_masked, lost ? state_.nmi_lost : state_.last_return,
            lost ? state_.nmi_lost_conditions : state_.last_return_conditions,
            {"async_exception_mask", state_.first_async_mask, state_.vcpu.async_exception_mask, true}, lost);
  }
  state_.nmi_lost = {};
  judge_events();
  judge_memory();
}

/// Xen delivers by itself nothing that was raised while events were masked, or that it has delivered; and of a port
/// that is pending, what does not show it any more is lost whatever the mask is: who unmasks looks at
/// evtchn_upcall_pending, and the handler at the selector.
void Execution::judge_events() {
  const SharedInfo& shared = guest_.shared();
  const auto lost = [this](std::string_view what, std::uint64_t expected, std::uint64_t found) {
    violate(ViolationKind::lost_event, state_.last_return, state_.last_return_conditions,
            {what, expected, found, true});
  };
  // Where the frame said IF=0, an unmasked guest is a mask-mismatch, and what is pending waits rightly.
  if (state_.last_return_enables && shared.upcall_mask() == 0 && shared.upcall_pending() != 0 && state_.kick_is_used) {
    lost("evtchn_upcall_pending", 0, shared.upcall_pending());
  } else if (const std::optional<Port> port = unshown_port(shared, kPortCount)) {
    if (shared.upcall_pending() == 0) {
      lost("evtchn_upcall_pending with a port pending", 1, 0);
    } else {
      const std::uint64_t selector = std::uint64_t{1} << (port->number / shared.word_bits());
      lost("evtchn_pending_sel", shared.pending_sel() | selector, shared.pending_sel());
    }
  }
}

void Execution::judge_registers(const Registers& expected) {
  const Width width = entry_.width();
  const auto differs = [this](std::string_view what, std::uint64_t want, std::uint64_t found) {
    violate(ViolationKind::register_mismatch, state_.last_return, state_.last_return_conditions,
            {what, want, found, true});
  };
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    if (state_.registers.gpr[i] != expected.gpr[i]) {
      differs(name_of(static_cast<Gpr>(i), width), expected.gpr[i], state_.registers.gpr[i]);
    }
  }
  if (state_.registers.rip != expected.rip) {
    differs("rip", expected.rip, state_.registers.rip);
  }
  for (std::size_t i = 0; i < kSegmentCount; ++i) {
    if (state_.registers.segment[i] != expected.segment[i]) {
      differs(name_of(static_cast<Segment>(i)), expected.segment[i], state_.registers.segment[i]);
    }
  }
  if (state_.vcpu.mode != state_.context_mode) {
    differs("vCPU mode", static_cast<std::uint64_t>(state_.context_mode), static_cast<std::uint64_t>(state_.vcpu.mode));
  }
  if (state_.registers.gs_base != expected.gs_base) {
    differs("GS base", expected.gs_base, state_.registers.gs_base);
  }
  if (state_.registers.fs_base != expected.fs_base) {
    differs("FS base", expected.fs_base, state_.registers.fs_base);
  }
  if (state_.vcpu.kernel_gs_base != entry_.gs_base.value) {  // Xen gives the kernel this one at the next entry
    differs("kernel GS base", entry_.gs_base.value, state_.vcpu.kernel_gs_base);
  }
  if (!same_flags(state_.registers.rflags, expected.rflags)) {
    violate(ViolationKind::flags_mismatch, state_.last_return, state_.last_return_conditions,
            {"rflags", expected.rflags & kContextFlags, state_.registers.rflags & kContextFlags, true});
  }
}

void Execution::judge_memory() {
  const bool user = state_.context_mode == GuestMode::user;
  std::optional<GuestAddress> smashed;
  if (user) {
    smashed = guest_.first_change(StackId::kernel, {guest_.stack_range(StackId::kernel).end - layout::kAboveStack});
    if (!smashed) {
      smashed = guest_.first_change(StackId::user, guest_.stack_range(StackId::user).begin);
    }
  } else {
    smashed = guest_.first_change(state_.context_stack, {state_.context[Gpr::rsp]});
  }
  if (smashed) {
    violate(ViolationKind::stack_smash, state_.last_return, state_.last_return_conditions,
            {"stack at", smashed->value, 0, false});
  }
  if (const std::optional<GuestAddress> changed = guest_.first_data_change()) {
    violate(ViolationKind::entry_data, state_.last_return, state_.last_return_conditions,
            {"entry data at", changed->value, 0, false});
  }
  if (entry_.work_flag) {
    judge_work_flag(user);
  }
}

std::uint32_t Execution::work_flag() const {
  return static_cast<std::uint32_t>(load_word(guest_.memory().find(*entry_.work_flag, 4), 4));
}

bool Execution::work_waits() const { return (work_flag() & entry_.description.work_flag->mask) != 0; }

/// On resumption: no work is left for user mode, and of the word nothing is changed but what handlers ask by.
void Execution::judge_work_flag(bool user) {
  const std::uint32_t flag = work_flag();
  const std::uint32_t mask = entry_.description.work_flag->mask;
  const std::uint32_t asked = state_.work_asked ? mask : 0;
  if (user && (flag & asked) != 0) {
    violate(ViolationKind::work_missed, state_.last_return, state_.last_return_conditions,
            {"work flag", 0, flag, true});
  }
  if (((flag ^ state_.first_work_flag) & ~asked) != 0) {
    violate(ViolationKind::entry_data, state_.last_return, state_.last_return_conditions,
            {"work flag", state_.first_work_flag, flag, true});
  }
}

/// Work is for the way to user mode. A return into entry code is on that way, for all that can be seen; one to kernel
/// code outside it leaves the flag as it was.
void Execution::judge_work_left(const PendingReturn& ret, const Activation& ended) {
  const GuestAddress rip{ended.interrupted.rip};
  const bool to_kernel =
      ended.mode == GuestMode::kernel && !entry_.text.contains(rip) && !guest_.stub_range().contains(rip);
  if (to_kernel && state_.work_waiting && !work_waits()) {
    violate(ViolationKind::entry_data, ret.at, state_.last_return_conditions,
            {"work flag", entry_.description.work_flag->mask, work_flag(), true});
  }
  state_.work_waiting = work_waits();
}

void Execution::judge_fault(const GuestFault& fault) {
  ViolationDetail detail{"exception", 0, fault.vector, true};
  switch (fault.kind) {
    case GuestFault::Kind::exception:
      if (fault.vector == kDeviceNotAvailable) {
        detail.what = "x87, MMX or SSE while CR0.TS may be set: exception";
      }
      break;
    case GuestFault::Kind::read:
      detail = {"cannot read", 0, fault.address.value, true};
      break;
    case GuestFault::Kind::write:
      detail = {"cannot write", 0, fault.address.value, true};
      break;
    case GuestFault::Kind::fetch:
      detail = {"cannot execute", 0, fault.address.value, true};
      break;
  }
  // A fetch from nowhere says only where RIP went, which depends on data: what sent it there is the last boundary.
  const bool inside = entry_.text.contains(fault.rip) || guest_.stub_range().contains(fault.rip);
  violate(ViolationKind::guest_fault, inside ? fault.rip : state_.last_boundary, detail);
}

}  // namespace framefold
