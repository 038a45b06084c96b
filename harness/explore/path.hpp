// Paths through the state graph: what was chosen where, and the scenario that goes the same way.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "run/execution.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// What happens at a boundary: something arrives, or the event handler that is called there does more than acknowledge.
struct Choice {
  enum class Kind : std::uint8_t { none, event, tick, nmi, exception, action };
  Kind kind = Kind::none;
  std::uint8_t pending_value = 1;  // event, spurious tick
  std::uint8_t vector = 0;         // exception
  bool spurious = false;           // tick
  bool nested_event = false;       // action
  bool set_work_flag = false;      // action
  bool sets_pending() const { return kind == Kind::event || spurious; }
};

/// What arrives by a choice; nothing for an action.
std::optional<ArrivalKind> arrival_kind(Choice::Kind kind);
/// That arrives by a choice which is no action, at a distance of 0.
Arrival arrival_of(const Choice& choice, std::uint8_t port, std::uint32_t error_code);

/// One choice of several that follow each other.
struct WayStep {
  std::uint32_t step = 0;  // boundaries since the choice before it
  Choice choice;
  std::uint8_t port = 0;            // event
  std::uint32_t handler_calls = 0;  // event handler calls since where the way starts
  ArrivalRecord record;             // an arrival's
};
using Way = std::vector<WayStep>;

/// A path from one choice to where it joins known states, resumes or ends.
struct Leg {
  std::uint32_t parent = 0;  // the root is its own
  std::uint32_t step = 0;    // boundaries of the parent before the choice
  Choice choice;
  std::uint8_t port = 0;            // event
  std::uint32_t handler_calls = 0;  // action: event handler calls on the whole path before this one
  ArrivalRecord record;             // an arrival's
  const Way* way = nullptr;         // that was taken behind the choice
};

class PathTree {
 public:
  void clear() { segments_.clear(); }
  /// Forgets all segments but the first ones.
  void cut(std::size_t segments) { segments_.resize(segments); }
  std::uint32_t add(const Leg& segment) {
    segments_.push_back(segment);
    return static_cast<std::uint32_t>(segments_.size() - 1);
  }
  Leg& operator[](std::uint32_t index) { return segments_[index]; }
  const Leg& operator[](std::uint32_t index) const { return segments_[index]; }
  std::size_t bytes() const { return segments_.capacity() * sizeof(Leg); }
  std::size_t size() const { return segments_.size(); }

  /// What is chosen behind the choice of `root`, up to this segment.
  Way way_from(std::uint32_t root, std::uint32_t segment) const;
  /// The last thing that arrives behind the choice of `root`, up to this segment.
  std::optional<WayStep> last_arrival(std::uint32_t segment, std::uint32_t root) const;
  /// The scenario that takes the same way from `context`; nothing where it has more arrivals, or an action at a later
  /// handler call, than a scenario can hold.
  std::optional<Scenario> scenario_of(const Scenario& context, std::uint32_t segment, const Entry& entry) const;
  /// A hash of where what arrived on the way from `root`, independent of data.
  std::uint64_t sequence_key(std::uint32_t root, std::uint32_t segment) const;

 private:
  std::vector<Leg> segments_;
};

}  // namespace framefold
