// A scenario: one interrupted context, what the modelled handlers do, and what arrives when. What one fuzz input
// decodes to.
//
// A scenario is always one that Xen can produce for its entry (oracle.md, "Contexts that exist"): `canonicalise` makes
// it so, and every way in (bytes, TOML, mutator) goes through it or refuses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "image/image.hpp"
#include "image/registers.hpp"
#include "xen/guest_mode.hpp"

namespace framefold {

inline constexpr std::size_t kMaxArrivals = 16;
/// Ports that a scenario may name: two words of evtchn_pending on 64-bit, four on 32-bit.
inline constexpr unsigned kPortCount = 128;
/// Handler calls of the event kind that have an action of their own.
inline constexpr std::size_t kActionCalls = 4;

enum class ArrivalKind : std::uint8_t { event, tick, nmi, exception };
inline constexpr std::size_t kArrivalKindCount = 4;
constexpr std::string_view name_of(ArrivalKind kind) {
  constexpr std::array<std::string_view, kArrivalKindCount> kNames = {"event", "tick", "nmi", "exception"};
  return kNames[static_cast<std::size_t>(kind)];
}

/// Something that makes Xen take control at a boundary.
struct Arrival {
  ArrivalKind kind = ArrivalKind::event;
  std::uint16_t distance =
      0;                  // boundaries since the previous arrival; 0: at the same boundary. The first: since the entry
                          // vector's delivery, whose first boundary is the callback's first instruction, number 0
  std::uint8_t port = 0;  // event: below kPortCount
  std::uint8_t pending_value = 1;  // what is or-ed into evtchn_upcall_pending, by an event or a spurious tick; one
                                   // of the description's pending_values
  std::uint8_t vector = 0;         // exception: index into Entry::vectors, kind exception
  bool spurious = false;           // tick: Xen sets evtchn_upcall_pending, with no port
  std::uint32_t error_code = 0;    // exception with an error code
  friend bool operator==(const Arrival&, const Arrival&) = default;
  /// Whether Xen sets evtchn_upcall_pending, so that it delivers an upcall.
  bool sets_pending() const { return kind == ArrivalKind::event || spurious; }
  /// As what coverage counts it: a spurious upcall comes wherever an event does, and is one to most entry code.
  ArrivalKind counted_as() const { return sets_pending() ? ArrivalKind::event : kind; }
};

/// Where a kernel context's RSP lies. A user context has a stack of its own and enters on the kernel stack.
enum class ContextStack : std::uint8_t { thread, interrupt };
constexpr std::string_view name_of(ContextStack stack) {
  return stack == ContextStack::thread ? "thread" : "interrupt";
}

/// Where the context was interrupted.
enum class ContextPlace : std::uint8_t {
  resume_page,  // a page of framefold's own
  region,       // user mode only: an address that lies inside the entry's critical region
};
constexpr std::string_view name_of(ContextPlace place) {
  return place == ContextPlace::resume_page ? "resume_page" : "region";
}

/// What an event handler does on one call, besides acknowledging events.
struct EventAction {
  bool nested_event = false;  // unmasks, takes one event, masks again
  bool unmask_port =
      false;  // EVTCHNOP_unmask of `masked_port`; only on the first call, which both runs are sure to have
  bool set_work_flag = false;  // only where the description has one
  friend bool operator==(const EventAction&, const EventAction&) = default;
};

/// What the handler of the context's own vector writes to the frame, where that vector is an exception.
struct FrameWrite {
  bool rax = false;
  bool rip = false;  // to another address of the resume page
  std::uint64_t rax_value = 0;
  std::uint8_t rip_offset = 0;  // bytes into the resume page
  friend bool operator==(const FrameWrite&, const FrameWrite&) = default;
};

struct Context {
  std::uint8_t vector = 0;       // index into Entry::vectors: what interrupted the context
  std::uint32_t error_code = 0;  // where the vector has one
  GuestMode mode = GuestMode::kernel;
  ContextStack stack = ContextStack::thread;
  ContextPlace place = ContextPlace::resume_page;
  std::uint16_t place_offset = 0;  // which place (context_places.hpp), or bytes into the region
  std::uint8_t stack_offset = 0;   // RSP = stack top - 256 - stack_offset; 32-bit kernel: a multiple of 4
  std::uint8_t mask = 0;           // evtchn_upcall_mask, any byte
  std::uint8_t pending =
      0;  // evtchn_upcall_pending before the delivery; not 0 only where mask is not 0, or the vector is the event
  std::uint8_t port = 0;  // the port that is pending with it
  std::uint8_t masked_port =
      0;  // a port that is pending but masked in evtchn_mask; differs from every other port in use
  bool has_masked_port = false;
  bool nmi_masked =
      false;  // async_exception_mask has the NMI bit: only an exception in kernel mode, of an entry whose nmi.marks
  bool null_data_segments = false;             // DS = ES = 0: 32-bit user mode
  std::array<std::uint64_t, kGprCount> gpr{};  // RSP's slot is not used (it follows from the stack)
  std::uint64_t rflags = 0;                    // bits of kContextFlags only; IF, IOPL, VM, RF and bit 1 are derived
  friend bool operator==(const Context&, const Context&) = default;
};

/// RFLAGS bits that a context chooses: CF PF AF ZF SF TF DF OF NT AC ID (oracle.md, `flags-mismatch`).
inline constexpr std::uint64_t kContextFlags = 0x244dd5;

struct FlagName {
  std::string_view name;  // "cf"
  std::uint64_t bit = 0;
};
/// The bits of kContextFlags, lowest first.
std::span<const FlagName> context_flag_names();

// How many addresses and stack pointers a context chooses from.
inline constexpr unsigned kResumePlaces = 256;  // bytes of the resume page that a context may be interrupted at
inline constexpr unsigned kStackOffsets = 64;   // every RSP mod 16, in four neighbouring 16-byte lines

struct Scenario {
  Context context;
  std::array<EventAction, kActionCalls> event_actions{};
  FrameWrite frame_write;
  std::uint8_t arrival_count = 0;
  std::array<Arrival, kMaxArrivals> arrivals{};  // those behind arrival_count are default-constructed
  friend bool operator==(const Scenario&, const Scenario&) = default;
};

/// The recognisable value that a register has where a fuzz input says nothing (zero bytes): distinct for every
/// register.
std::uint64_t register_tag(Gpr gpr, Width width);

/// Makes a scenario one that Xen can produce for `entry`, changing as little as it can. Idempotent; total.
void canonicalise(Scenario& scenario, const Entry& entry);
/// The same for a scenario of which nothing but arrivals has changed since it was canonical.
void canonicalise_arrivals(Scenario& scenario, const Entry& entry);

}  // namespace framefold
