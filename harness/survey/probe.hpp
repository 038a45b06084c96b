// One delivery to code that nothing describes yet, run to the first function that is called with a frame. Every
// register holds a tag of its own, so that what lies where can be read off.
//
// The context runs on a stack of framefold's; what the entry code's data must hold to get that far (a pointer to the
// vcpu_info, a GS base) is guessed by the caller.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "image/elf.hpp"
#include "image/instruction.hpp"
#include "image/registers.hpp"
#include "machine/cpu.hpp"

namespace framefold {

/// What a probe runs.
struct ProbeCode {
  Width width = Width::k64;
  const ElfImage* image = nullptr;
  std::vector<Instruction> instructions;           // of every executable segment, sorted by address
  std::set<std::uint64_t> traps;                   // functions that nobody defines: they return at once
  std::map<std::uint64_t, std::uint64_t> returns;  // with what, where not with 0
  std::set<std::uint64_t> helpers;                 // of `traps`: called with a frame as well, and not the handler
  std::vector<GuestAddress> info_pointers;         // words that get the vcpu_info's address
  std::vector<GuestAddress> stack_pointers;        // words that get an address near the end of kProbeInterruptStack
  std::vector<std::pair<std::uint16_t, GuestAddress>> segments;  // of the guest's own: selectors and bases
  GuestAddress gs_base;                                          // in kernel code. 0: none
  GuestAddress fs_base;
};

/// One probe's delivery.
struct ProbeVector {
  GuestAddress address;
  bool error_code = false;
  bool masks_events = false;
  unsigned number = 0;
  bool event = false;
  std::optional<Segment> marked_segment;  // this one holds another selector than the rest
};

inline constexpr std::uint32_t kProbeErrorCode = 0xe0d0;
/// The probe's own stack.
inline constexpr GuestAddress kProbeStack{0x08040000};
inline constexpr std::uint64_t kProbeStackSize = 0x4000;
inline constexpr GuestRange kProbeStackRange{kProbeStack, kProbeStack + kProbeStackSize};
/// And one that the code may switch to by a pointer.
inline constexpr GuestAddress kProbeInterruptStack{0x08048000};
inline constexpr GuestRange kProbeInterruptRange{kProbeInterruptStack, kProbeInterruptStack + kProbeStackSize};

/// A place where a C function may find its first argument: a register, or the first stack slot.
struct ArgumentPlace {
  std::optional<Gpr> gpr;
  std::uint64_t value = 0;
};

/// A call with a frame.
struct ProbeCall {
  GuestAddress function;
  Registers interrupted;              // what the frame should show
  Registers registers;                // at the function's first instruction
  std::vector<ArgumentPlace> frames;  // arguments that hold the address of a frame, in the order of likelihood
  std::uint32_t rip_offset = 0;       // of the interrupted RIP in the first of them
  std::vector<std::uint64_t> words;   // of that frame, up to the end of what Xen pushes for user mode
  std::vector<Gpr> error_code_in;     // registers that hold the error code
  bool stack_switched = false;        // RSP is not in the probe's stack
  struct Change {
    GuestAddress address;
    std::uint32_t before = 0;
    std::uint32_t after = 0;
  };
  std::vector<Change> changes;  // 32-bit words of the image's data that changed, stacks left out
};

/// What a probe wants that would let it go on: a pointer to a stack in a word, a segment, a function where the object
/// has undefined data.
struct ProbeNeed {
  enum class Kind : std::uint8_t { stack_pointer, segment, function };
  Kind kind = Kind::function;
  GuestAddress address;        // of the word, or of the function
  std::uint16_t selector = 0;  // of the segment
};

struct ProbeResult {
  std::optional<ProbeCall> call;
  std::optional<ProbeNeed> need;      // where it ended without one
  std::optional<Segment> through;     // FS or GS, where the instruction at which it ended goes through it
  std::string stopped;                // where it ended without one: "0x100019: cannot read 0x8"
  std::vector<GuestAddress> trapped;  // functions of `traps` that were called before
  std::set<std::uint64_t> executed;
};

/// Throws InputError where the image lies where framefold keeps its own pages. `name` is for that message.
ProbeResult probe(const ProbeCode& code, const ProbeVector& vector, const std::string& name);

}  // namespace framefold
