// Execution: what is judged when the context resumes, and when the guest cannot go on.
#include "machine/selectors.hpp"
#include "run/execution.hpp"

namespace framefold {

/// The first boundary at which the context runs again and Xen has nothing to deliver.
void Execution::resume() {
  at_resumption_ = true;
  Cpu& cpu = guest_.cpu();
  if (!in_model_) {
    const std::uint64_t gs_base = entry_.width() == Width::k64 ? vcpu_.kernel_gs_base : 0;
    in_model_ = true;
    cpu.read_general(registers_);
    cpu.read_segments(registers_);
    ring_left_ = (registers_[Segment::cs] & 3) != selectors_of(entry_.width()).kernel_ring;
    registers_.gs_base = gs_base;
  } else if (entry_.width() == Width::k64) {  // by hypercall to user mode: the data selectors are still the engine's
    Registers live = registers_;
    cpu.read_segments(live);
    for (const Segment segment : {Segment::ds, Segment::es, Segment::fs, Segment::gs}) {
      registers_[segment] = live[segment];
    }
  }
  trace(TraceEvent::Kind::resumption, {registers_.rip}, 0);
  judge_resumption();
  activations_.count = 0;
  cpu.stop();
}

void Execution::judge_resumption() {
  const SharedInfo& shared = guest_.shared();
  judge_registers(context_);
  if (vcpu_.async_exception_mask != first_async_mask_) {
    violate(ViolationKind::nmi_masked, last_return_, last_return_conditions_,
            {"async_exception_mask", first_async_mask_, vcpu_.async_exception_mask, true});
  }
  // Where the frame said IF=0, an unmasked guest is a mask-mismatch, and what is pending waits rightly.
  if (last_return_enables_ && shared.upcall_mask() == 0 && shared.upcall_pending() != 0 && raised_while_masked_) {
    violate(ViolationKind::lost_event, last_return_, last_return_conditions_,
            {"evtchn_upcall_pending", 0, shared.upcall_pending(), true});
  }
  judge_memory();
}

void Execution::judge_registers(const Registers& expected) {
  const Width width = entry_.width();
  const auto differs = [this](std::string_view what, std::uint64_t want, std::uint64_t found) {
    violate(ViolationKind::register_mismatch, last_return_, last_return_conditions_, {what, want, found, true});
  };
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    if (registers_.gpr[i] != expected.gpr[i]) {
      differs(name_of(static_cast<Gpr>(i), width), expected.gpr[i], registers_.gpr[i]);
    }
  }
  if (registers_.rip != expected.rip) {
    differs("rip", expected.rip, registers_.rip);
  }
  for (std::size_t i = 0; i < kSegmentCount; ++i) {
    if (registers_.segment[i] != expected.segment[i]) {
      differs(name_of(static_cast<Segment>(i)), expected.segment[i], registers_.segment[i]);
    }
  }
  if (vcpu_.mode != context_mode_) {
    differs("vCPU mode", static_cast<std::uint64_t>(context_mode_), static_cast<std::uint64_t>(vcpu_.mode));
  }
  if (registers_.gs_base != expected.gs_base) {
    differs("GS base", expected.gs_base, registers_.gs_base);
  }
  if (!same_flags(registers_.rflags, expected.rflags)) {
    violate(ViolationKind::flags_mismatch, last_return_, last_return_conditions_,
            {"rflags", expected.rflags & kContextFlags, registers_.rflags & kContextFlags, true});
  }
}

void Execution::judge_memory() {
  const bool user = context_mode_ == GuestMode::user;
  std::optional<GuestAddress> smashed;
  if (user) {
    smashed = guest_.first_change(StackId::kernel, {guest_.stack_range(StackId::kernel).end - layout::kAboveStack});
    if (!smashed) {
      smashed = guest_.first_change(StackId::user, guest_.stack_range(StackId::user).begin);
    }
  } else {
    smashed = guest_.first_change(context_stack_, {context_[Gpr::rsp]});
  }
  if (smashed) {
    violate(ViolationKind::stack_smash, last_return_, last_return_conditions_, {"stack at", smashed->value, 0, false});
  }
  if (const std::optional<GuestAddress> changed = guest_.first_data_change()) {
    violate(ViolationKind::entry_data, last_return_, last_return_conditions_,
            {"entry data at", changed->value, 0, false});
  }
  if (user && work_asked_ && entry_.work_flag) {
    const std::uint64_t flag = load_word(guest_.memory().find(*entry_.work_flag, 4), 4);
    if ((flag & entry_.description.work_flag->mask) != 0) {
      violate(ViolationKind::work_missed, last_return_, last_return_conditions_, {"work flag", 0, flag, true});
    }
  }
}

void Execution::judge_fault(const GuestFault& fault) {
  ViolationDetail detail{"exception", 0, fault.vector, true};
  switch (fault.kind) {
    case GuestFault::Kind::exception:
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
  violate(ViolationKind::guest_fault, inside ? fault.rip : last_boundary_, detail);
}

}  // namespace framefold
