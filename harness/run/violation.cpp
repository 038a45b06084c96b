#include "run/violation.hpp"

#include <algorithm>

namespace framefold {

namespace {

using enum ViolationKind;

constexpr std::array<ViolationKindInfo, kViolationKindCount> kKinds{{
    {register_mismatch, "register-mismatch", "the context resumes with a register that is not its own",
     "Whatever arrives, the interrupted context resumes with its registers, its mode and its GS base. Usually a fold "
     "that "
     "copies too little, too much or in the wrong direction, a slot restored twice, or a table value that is off.",
     CauseRule::arrival, false},
    {flags_mismatch, "flags-mismatch", "the context resumes with flags that are not its own",
     "CF PF AF ZF SF TF DF OF NT AC and ID come back as they were. Usually a fold that takes RFLAGS from the nested "
     "frame, or "
     "a test between restoring flags and returning.",
     CauseRule::arrival, false},
    {mask_mismatch, "mask-mismatch", "a return leaves the event mask against the IF of the frame that it consumed",
     "Xen tells the guest by IF whether events were enabled; a return has to leave evtchn_upcall_mask == 0 exactly "
     "where the "
     "frame says IF=1. Usually an unconditional unmask, or a condition the wrong way round.",
     CauseRule::judged, true},
    {early_delivery, "early-delivery", "an event is delivered although the interrupted context had events masked",
     "Code that runs with events masked relies on not being interrupted. Usually an exit path that unmasks without "
     "looking "
     "at the frame's IF.",
     CauseRule::arrival, false},
    {nmi_masked, "nmi-masked", "the context resumes with NMIs masked otherwise than it was",
     "Xen masks NMIs from their delivery to the next iret hypercall; an NMI frame that leaves by a plain iret masks "
     "them for "
     "ever. Usually the marker that tells NMI frames apart is lost on the way.",
     CauseRule::arrival, false},
    {lost_event, "lost-event", "the context resumes unmasked with an event pending that was raised while masked",
     "Xen does not deliver by itself what was raised while events were masked: the guest has to look after it unmasks. "
     "Usually the test for pending events misses a value, comes before the unmask, or is skipped after a fold.",
     CauseRule::judged, false},
    {critical_frame, "critical-frame", "an event that hit the window was not folded: its handler gets the nested frame",
     "Between the unmask and the return a nested event has to be folded into the interrupted frame, or the stack grows "
     "by a "
     "frame each time. Usually the region's labels leave out a boundary.",
     CauseRule::arrival, false},
    {handler_frame, "handler-frame", "a handler gets a frame that is not that of the context it belongs to",
     "A handler reads and writes the interrupted context through its frame. Usually a fold that computes the wrong "
     "distance, "
     "forgets to clear the RPL in CS, or folds what is not a nested frame.",
     CauseRule::arrival, true},
    {handler_abi, "handler-abi", "a handler is called with DF set or with a misaligned stack",
     "C code may rely on DF=0 and on the stack alignment of its ABI. Usually a missing cld, or a push between an "
     "aligned "
     "stack and the call.",
     CauseRule::judged, false},
    {unbounded_nesting, "unbounded-nesting", "nested events stack up frame on frame without a bound",
     "Two events that each interrupt the other's window without being folded can repeat for ever: the stack overflows "
     "under "
     "load. Usually there is no fold, or it does not cover a boundary that every frame passes.",
     CauseRule::arrival, false},
    {stack_smash, "stack-smash", "memory at or above the context's stack pointer was changed",
     "What lies above the interrupted stack pointer belongs to the context. Usually a fold that copies to the wrong "
     "place or "
     "one word too many.",
     CauseRule::arrival, false},
    {entry_data, "entry-data", "the entry's own data are not back to their first values",
     "Nesting counts and stack pointers of the entry code have to be balanced when the context resumes. Usually a path "
     "that "
     "leaves without undoing what another path did.",
     CauseRule::arrival, false},
    {work_missed, "work-missed", "user mode resumes with work pending that an event handler asked for",
     "Before user mode runs, the work flags have to be tested with events masked. Usually a nested event sets the flag "
     "after "
     "the test and nothing goes back to it.",
     CauseRule::arrival, false},
    {guest_fault, "guest-fault", "the entry code faults, or reads dead stack",
     "Entry code must not fault, and memory below the stack pointer may change at any boundary. Usually a stack "
     "pointer or a "
     "return address that went wrong earlier.",
     CauseRule::arrival, true},
    {domain_crash, "domain-crash", "Xen cannot build a frame or read one, and crashes the domain",
     "Xen kills a guest whose stack it cannot write, or whose iret frame it cannot accept. Usually a stack pointer "
     "that went "
     "wrong, or user selectors in a kernel frame.",
     CauseRule::arrival, true},
    {runaway, "runaway", "the context does not resume",
     "With nothing more arriving, the entry code has to come to its end. Usually a loop that waits for a pending byte "
     "that "
     "nobody clears.",
     CauseRule::arrival, true},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    if (static_cast<std::size_t>(kKinds[i].kind) != i) {
      return false;
    }
  }
  return true;
}
static_assert(in_order());

}  // namespace

std::span<const ViolationKindInfo> violation_kinds() { return kKinds; }

const ViolationKindInfo& info_of(ViolationKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

std::optional<ViolationKind> violation_kind_from_name(std::string_view name) {
  const auto* found =
      std::find_if(kKinds.begin(), kKinds.end(), [name](const auto& info) { return info.name == name; });
  return found == kKinds.end() ? std::nullopt : std::optional(found->kind);
}

void ViolationList::add(const Violation& violation) {
  if (closed) {
    return;
  }
  closed = info_of(violation.kind).ends_judgement;
  const bool by_place = info_of(violation.kind).cause == CauseRule::judged;
  for (const Violation& known : view()) {
    const bool same_place = known.judged == violation.judged && known.conditions == violation.conditions;
    if (known.kind == violation.kind && (!by_place || same_place)) {
      return;
    }
  }
  if (count < items.size()) {
    items[count++] = violation;
  }
}

bool ViolationList::contains(ViolationKind kind) const {
  return std::any_of(items.begin(), items.begin() + count, [kind](const Violation& v) { return v.kind == kind; });
}

}  // namespace framefold
