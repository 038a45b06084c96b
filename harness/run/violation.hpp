// The kinds of violation: one table drives name and texts everywhere.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "image/guest_address.hpp"

namespace framefold {

/// In the order in which violations of the same moment are reported.
enum class ViolationKind : std::uint8_t {
  register_mismatch,
  flags_mismatch,
  mask_mismatch,
  early_delivery,
  nmi_masked,
  lost_event,
  critical_frame,
  handler_frame,
  handler_abi,
  unbounded_nesting,
  stack_smash,
  entry_data,
  work_missed,
  guest_fault,
  domain_crash,
  runaway,
};
inline constexpr std::size_t kViolationKindCount = 16;

/// Where a violation's cause lies (oracle.md, "Cause, signature, bucket").
enum class CauseRule : std::uint8_t {
  judged,   // the instruction that was judged: the call, or the one that returned
  arrival,  // the boundary of the first arrival without which the kind does not show
};

struct ViolationKindInfo {
  ViolationKind kind;
  std::string_view name;     // "critical-frame"
  std::string_view text;     // one line: what is wrong
  std::string_view promise;  // that was broken
  std::string_view why;      // it matters
  std::string_view usual;    // what usually breaks it
  std::string_view look;     // where to look, given a signature and its story
  CauseRule cause;
  bool ends_judgement;  // what follows in the same run means nothing
};

std::span<const ViolationKindInfo> violation_kinds();
const ViolationKindInfo& info_of(ViolationKind kind);
inline std::string_view name_of(ViolationKind kind) { return info_of(kind).name; }
std::optional<ViolationKind> violation_kind_from_name(std::string_view name);

/// Known conditions that hold of an activation, one bit each (KnownCondition).
using ConditionSet = std::uint16_t;

/// What showed a violation.
enum class ViolationSource : std::uint8_t {
  nested,      // the nested run, by itself
  reference,   // the reference run, by itself
  comparison,  // holding the two against each other
};

/// What exactly was different: `what` is a register, a slot, or an address range; the rest are values.
struct ViolationDetail {
  std::string_view what;  // static text, or text that lives as long as the entry
  std::uint64_t expected = 0;
  std::uint64_t found = 0;
  bool has_values = false;
};

/// One broken promise, as the run saw it.
struct Violation {
  ViolationKind kind = ViolationKind::runaway;
  GuestAddress judged;           // the instruction judged; for a handler's frame the callback
  ConditionSet conditions = 0;   // of the activation in which it was judged
  bool cause_is_judged = false;  // whatever arrived
  std::uint8_t arrivals = 0;     // taken before it was judged
  ViolationSource source = ViolationSource::nested;
  ViolationDetail detail;
};

/// Whether the kind is judged while activations are live, so that a run may break the same promise again at another
/// arrival; others are judged when a context resumes.
bool is_judged_in_flight(ViolationKind kind);

/// A fixed-size list of what a run shows, without repetitions: of a kind whose cause is what was judged, one a place
/// and conditions; of others, one for what arrived until then where activations are live, or one a register, flag or
/// place where the context resumes. Where the list is full judgement has ended.
struct ViolationList {
  std::array<Violation, 32> items{};
  std::size_t count = 0;
  bool closed = false;  // what follows means nothing, or has no place

  void add(const Violation& violation);
  bool contains(ViolationKind kind) const;
  std::span<const Violation> view() const { return {items.data(), count}; }

  // Most lists are empty, and each run has three: only what counts is copied.
  ViolationList() = default;
  ViolationList(const ViolationList& other) { *this = other; }
  ViolationList& operator=(const ViolationList& other) {
    std::copy_n(other.items.begin(), other.count, items.begin());
    count = other.count;
    closed = other.closed;
    return *this;
  }
  ~ViolationList() = default;
};

}  // namespace framefold
