// The table of kinds: every word that framefold says about a kind stands here.
#include <algorithm>

#include "run/violation.hpp"

namespace framefold {

namespace {

using enum ViolationKind;

// In the order of the fields: kind, name, text, promise, why, usual, look, cause, ends_judgement.
constexpr std::array<ViolationKindInfo, kViolationKindCount> kKinds{{
    {register_mismatch, "register-mismatch", "the context resumes with a register that is not its own",
     "Whatever arrives, the interrupted context resumes with its own registers, selectors, mode and GS base.",
     "The context cannot know that it was interrupted: a changed register is silent corruption, far from its cause.",
     "Usually a fold that copies too little, too much or in the wrong direction, a slot restored twice, or a table "
     "value that is off.",
     "The fold that took the arrival of the cause: how many bytes it takes to be restored already at that boundary, "
     "and from where to where it copies. The register that differs says which slot is wrong; a neighbour's tag in it "
     "says by how far.",
     CauseRule::arrival, false},
    {flags_mismatch, "flags-mismatch", "the context resumes with flags that are not its own",
     "CF PF AF ZF SF TF DF OF NT AC and ID come back as they were.",
     "The interrupted code may stand between a comparison and its jump, or inside a string instruction: other flags "
     "send it the wrong way.",
     "Usually a fold that takes RFLAGS from the nested frame, or a test between restoring flags and returning.",
     "The RFLAGS slot of the frame that the last return consumed: who wrote it last, and from which frame it came.",
     CauseRule::arrival, false},
    {mask_mismatch, "mask-mismatch", "a return leaves the event mask against the IF of the frame that Xen pushed",
     "A return leaves evtchn_upcall_mask == 0 exactly where the frame that it consumes says IF=1, and said so when Xen "
     "pushed it.",
     "Xen tells the guest by IF whether events were enabled. Code that had them off finds them on, or a context that "
     "had them on never gets an event again.",
     "Usually an unconditional unmask, or a condition the wrong way round; or an exit that changes IF in the frame.",
     "The last store to the event mask before the return of the cause, and the test of IF that leads to it; or, where "
     "the mask is as the frame says, the store to the frame's RFLAGS.",
     CauseRule::judged, false},
    {early_delivery, "early-delivery", "an event is delivered although the interrupted context had events masked",
     "Between the entry and the return to a context that had events masked, none is delivered.",
     "Code that runs with events masked relies on not being interrupted: it may hold what the handler wants.",
     "Usually an exit path that unmasks without looking at the frame's IF.",
     "The store that opened the window (\"window opens\" in the story), and whether it tests IF of the frame on top "
     "of the stack at all.",
     CauseRule::arrival, false},
    {nmi_masked, "nmi-masked", "the context resumes with NMIs masked otherwise than it was",
     "NMIs are masked at the end exactly where they were at the beginning.",
     "Xen masks NMIs from their delivery to the next iret hypercall; an NMI frame that leaves by a plain iret masks "
     "them for ever.",
     "Usually the marker that tells NMI frames apart is lost on the way.",
     "The way that the marker takes from the NMI handler to the exit: where it is tested, where it is cleared, and "
     "what an event between the two finds in the frame.",
     CauseRule::arrival, false},
    {lost_event, "lost-event",
     "the context resumes with an event pending that nothing makes the guest look at: unmasked, and it was raised "
     "while masked, or delivered without its handler being called; or with what shows it cleared",
     "No context resumes with events enabled while one waits that was raised while they were masked, or that was "
     "delivered and no handler called, nor with a port pending whose evtchn_upcall_pending or selector bit the entry "
     "code has cleared.",
     "Xen does not deliver by itself what was raised while events were masked, nor a second time what it delivered: "
     "the guest has to look after it unmasks, and to call the handler. Until something else makes Xen take control, "
     "the event's handler does not run. Nor does Xen say again "
     "that a port is pending: where what shows it is cleared before a handler runs, no further event of the port is "
     "ever delivered.",
     "Usually the test for pending events misses a value, comes before the unmask, or is skipped after a fold; or a "
     "store to the mask is too wide and clears evtchn_upcall_pending with it.",
     "The test of evtchn_upcall_pending between the unmask and the return of the cause: its operand size, the value "
     "that it compares with, and whether every way to the return goes through it. Of each store to vcpu_info: its "
     "operand size; evtchn_upcall_pending and evtchn_pending_sel are the handler's to clear.",
     CauseRule::judged, false},
    {critical_frame, "critical-frame", "an event that hit the window was not folded: its handler gets the nested frame",
     "An event between the unmask and the return is folded: its handler gets the frame of the context that was about "
     "to resume.",
     "Between the unmask and the return a nested event has to be folded into the interrupted frame, or the stack "
     "grows by a frame each time.",
     "Usually the region's labels leave out a boundary.",
     "The two labels of the region, and the comparison of the nested frame's RIP with them: at either end the first "
     "and the last instruction, and what lies outside, such as the hypercall page.",
     CauseRule::arrival, false},
    {handler_frame, "handler-frame",
     "a handler gets a frame that is not that of the context it belongs to, or is never called",
     "Every handler is called, with the frame of the context that it belongs to: each register as it was when Xen took "
     "control.",
     "A handler reads and writes the interrupted context through its frame, and the context resumes from it.",
     "Usually a fold that computes the wrong distance, forgets to clear the RPL in CS, or folds what is not a nested "
     "frame.",
     "Where the fold takes the interrupted frame's address from, and what it believes of RSP at the boundary of the "
     "cause. For a user context: whether CS is tested before RIP.",
     CauseRule::arrival, true},
    {handler_abi, "handler-abi",
     "a handler is called with DF set, or with a stack or data segments that are not as C code needs them",
     "C handlers are called with DF clear and the stack aligned as their ABI asks; 32-bit ones with flat segments in "
     "DS and ES; the event handler on the interrupt stack, where the entry has one.",
     "C code may rely on DF=0, on the stack alignment of its ABI and on flat segments: a string function runs "
     "backwards, an aligned store faults, every access goes through what user mode left in DS. On a thread's stack a "
     "handler overflows it.",
     "Usually a missing cld, a push between an aligned stack and the call, or a way in that does not load DS and ES.",
     "The call that is the cause: what lies on the stack there since it was last aligned or switched, and whether a "
     "cld, and the loads of DS and ES, come before it on every way in.",
     CauseRule::judged, false},
    {unbounded_nesting, "unbounded-nesting", "nested events stack up frame on frame without a bound",
     "However many events arrive, the stack holds a bounded number of their frames.",
     "Two events that each interrupt the other's window without being folded can repeat for ever, and so can two folds "
     "that each put the frame lower in the stack: it overflows under load. (Two events: no NMI comes before the "
     "hypercall that ends the one before, and an exception "
     "belongs to the instruction that it hit, so neither repeats without end.)",
     "Usually there is no fold, or it does not cover a boundary that every frame passes; or it completes the nested "
     "frame instead of the interrupted one.",
     "Whether a nested frame can be told from a first one at the boundary of the cause, and whether what follows the "
     "unmask could run with events masked instead (the iret hypercall unmasks and returns in one step).",
     CauseRule::arrival, false},
    {stack_smash, "stack-smash", "memory at or above the context's stack pointer was changed",
     "Nothing at or above the interrupted stack pointer is written.",
     "What lies above the interrupted stack pointer belongs to the context: its locals and its return addresses.",
     "Usually a fold that copies to the wrong place or one word too many.",
     "The destination of the fold's copy: its upper end has to be the interrupted RSP, less what Xen's alignment "
     "dropped, and the number of words what was restored already.",
     CauseRule::arrival, false},
    {entry_data, "entry-data", "the entry's own data are not back to their first values",
     "When the context resumes, the entry code's own data are back to their first values.",
     "Nesting counts and stack pointers of the entry code have to be balanced when the context resumes, or the next "
     "entry runs on the wrong stack.",
     "Usually a path that leaves without undoing what another path did.",
     "Every way from where the datum is changed to where it is changed back, the fold's among them: the address that "
     "differs says which datum.",
     CauseRule::arrival, false},
    {work_missed, "work-missed", "user mode resumes with work pending that an event handler asked for",
     "User mode does not resume while the work flag is set.",
     "Before user mode runs, the work flags have to be tested with events masked: a reschedule or a signal waits "
     "until the next entry otherwise.",
     "Usually a nested event sets the flag after the test and nothing goes back to it.",
     "The test of the work flag on the way to user mode: whether events are masked from there to the return, or a "
     "fold goes back to it.",
     CauseRule::arrival, false},
    {guest_fault, "guest-fault", "the entry code faults, or reads dead stack",
     "Entry code does not fault, and does not read below its stack pointer.",
     "A fault in the entry code is fatal, and what lies below the stack pointer may change at any boundary: Xen or "
     "an NMI overwrites it.",
     "Usually a stack pointer or a return address that went wrong earlier.",
     "The stack picture at the last fold or return before the fault: what lies in the slot that is consumed next. "
     "With no arrival: which segment or pointer the instruction uses, and who controls it.",
     CauseRule::arrival, true},
    {domain_crash, "domain-crash", "Xen cannot build a frame or read one, and crashes the domain",
     "Xen can always push its frame, and accepts each frame that the guest returns by.",
     "Xen kills a guest whose stack it cannot write, or whose iret frame it cannot accept.",
     "Usually a stack pointer that went wrong, or user selectors in a kernel frame.",
     "RSP at the boundary of the cause, and the words on top of the stack at the iret hypercall.", CauseRule::arrival,
     true},
    {runaway, "runaway", "the context does not resume",
     "With nothing more arriving, the entry code comes to its end and the context resumes.",
     "The guest hangs with no sign of why.", "Usually a loop that waits for a pending byte that nobody clears.",
     "The instructions that repeat at the end of the story: what the loop waits for, and who would change it.",
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

}  // namespace framefold
