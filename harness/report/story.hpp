// A run as it can be told: every event of its trace with the machine as it was then, the frames that lay on the stacks,
// and what each fold did.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "run/oracle.hpp"

namespace framefold {

inline constexpr std::uint64_t kXenStackAlignment = 16;  // of what Xen pushes for 64-bit guests

/// The frame of a delivery that has not ended.
struct LiveFrame {
  const Vector* vector = nullptr;
  GuestAddress base;         // of the frame as its handler gets it, whether the entry code has saved all of it or not
  std::uint32_t size = 0;    // without what Xen pushes only for user mode where it was kernel mode
  GuestAddress interrupted;  // RIP there
  GuestAddress pointer;      // 64-bit: RSP there
  /// Words in [again_low, again_high) were slots, which the exit has popped; it has pushed something else there since:
  /// what Xen's iret hypercall takes.
  GuestAddress again_low;
  GuestAddress again_high;

  bool is(const LiveFrame& other) const {
    return vector == other.vector && base == other.base && size == other.size && interrupted == other.interrupted;
  }

  GuestAddress end() const { return base + size; }
  /// Where the stack was in use up to: Xen aligns it before it pushes, and what that leaves out belongs to no frame.
  GuestAddress end_of_gap() const { return pointer - end() < kXenStackAlignment ? pointer : end(); }
};

/// A stack from the lowest address that the run has used so far up to its end.
struct StackCopy {
  GuestAddress low;
  std::vector<std::uint8_t> bytes;

  /// The word at an address; nothing where it is not among the bytes.
  std::optional<std::uint64_t> word(GuestAddress address, unsigned size) const;
};

/// The machine at one event.
struct Moment {
  TraceEvent event;
  ViolationDetail detail;  // of a violation
  Registers registers;
  std::array<StackCopy, kStackCount> stacks;
  std::vector<LiveFrame> frames;  // oldest first

  std::optional<std::uint64_t> word(GuestAddress address, unsigned size) const;
};

/// A word that a fold put elsewhere.
struct CopiedWord {
  GuestAddress from;
  GuestAddress to;
};

/// A fold, or what became of a frame where a handler gets a wrong one.
struct FoldStory {
  std::size_t delivered = 0;  // index of the moment at which the event that was folded was delivered
  std::size_t handled = 0;    // index of the moment at which the handler got the folded frame
  LiveFrame nested;           // the event's own
  LiveFrame folded;           // of the interrupted activation, where it lies now
  GuestAddress before;        // where it lay
  std::vector<CopiedWord> copies;
  std::vector<WrongSlot> wrong;  // of the folded frame; none: this is a fold
};
/// "16 words copied", "16 words copied, 3 slots wrong"
std::string copied_text(const FoldStory& fold);

struct RunStory {
  std::vector<Moment> moments;
  std::vector<FoldStory> folds;
};

/// Both runs of a scenario; `reference` is empty where none was asked for.
struct Story {
  std::size_t arrivals = 0;  // of the scenario, that the nested run was given
  RunStory nested;
  RunStory reference;
};

/// Runs a scenario again, of whose arrivals only the first few. Leaves the oracle's last verdict and outcomes as they
/// are. Coverage that the execution counts is counted again.
Story tell_story(Oracle& oracle, const Scenario& scenario, std::size_t arrivals, bool with_reference);

/// A word at or above where the context's stack pointer was, on the stack that Xen pushed to, that a run has changed.
struct SmashedWord {
  GuestAddress address;
  std::uint64_t value = 0;
  std::uint64_t old = 0;
  std::size_t stored = 0;  // index of the moment before whose instruction it was another value last
};
/// Those that are not at moment number `index` what they were at the first one, lowest address first.
std::vector<SmashedWord> smashed_words(const Guest& guest, const RunStory& run, std::size_t index);

/// "event frame: rip" for an address in one of a moment's frames: the youngest that holds it. Empty elsewhere.
std::string slot_name(const Entry& entry, const Moment& moment, GuestAddress address);
/// "rip" for an offset in a frame; empty where the description names none there.
std::string slot_at(const Entry& entry, std::uint64_t offset);
/// What lies at an address of a frame now: a slot's name, or "iret flags" for a word of the iret hypercall's.
std::string word_name(const Entry& entry, const LiveFrame& frame, GuestAddress address);

}  // namespace framefold
