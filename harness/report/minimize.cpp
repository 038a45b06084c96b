#include "report/minimize.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "report/scenario_parts.hpp"

namespace framefold {

namespace {

/// Two take a second at most. Three at all distances would take hours.
constexpr std::size_t kSearchedArrivals = 2;
/// How far behind the first a second arrival is looked for where the cause does not say where it is: one that is raised
/// while the first is served comes soon after it.
constexpr std::uint16_t kNear = 4;
/// A search may make room for another reduction, and that for another search. Three rounds have always been enough; the
/// bound only makes sure of an end.
constexpr int kRounds = 8;

/// The boundaries that a run passes from its last arrival on.
class BoundaryList final : public TraceSink {
 public:
  struct Boundary {
    GuestAddress address;
    std::uint16_t distance;
  };

  void record(const TraceEvent& event) override {
    if (event.kind == TraceEvent::Kind::arrival) {
      boundaries_.clear();
      boundaries_.push_back({event.address, 0});
      arrival_step_ = event.step;
      arrived_ = true;
    } else if (event.kind == TraceEvent::Kind::boundary) {
      // The first boundary of a run is number 0, and was executed when it is reported; that behind an arrival number 1.
      const std::uint32_t distance = arrived_ ? event.step - arrival_step_ : event.step - 1;
      if (distance <= UINT16_MAX) {
        boundaries_.push_back({event.address, static_cast<std::uint16_t>(distance)});
      }
    }
  }
  std::vector<Boundary> take() { return std::move(boundaries_); }

 private:
  std::vector<Boundary> boundaries_;
  std::uint32_t arrival_step_ = 0;
  bool arrived_ = false;
};

class Minimizer {
 public:
  Minimizer(Oracle& oracle, const MinimizeTarget& target, const std::function<void(std::uint64_t)>& progress)
      : oracle_(oracle), entry_(oracle.entry()), order_(oracle.entry()), target_(target), progress_(progress) {}

  Minimized run(const Scenario& scenario) {
    best_ = scenario;
    for (int round = 0; round < kRounds; ++round) {
      reduce();
      const Scenario before = best_;
      trade();
      reduce();
      search();
      if (best_ == before) {
        break;
      }
    }
    return {best_, judged_};
  }

 private:
  bool shows(const Scenario& scenario) {
    ++judged_;
    if (progress_) {
      progress_(judged_);
    }
    return find_target(entry_, oracle_.judge(scenario), target_) != nullptr;
  }

  using Places = std::array<GuestAddress, kMaxArrivals>;

  /// Where the best one's arrivals are taken.
  Places places() {
    oracle_.judge(best_);
    Places all{};
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i] = oracle_.nested().arrivals[i].boundary;
    }
    return all;
  }

  /// Takes a candidate as it is, or with its arrivals moved to these places: other contexts have other ways there.
  bool improve_at(Scenario candidate, const Places& places) {
    if (improve(candidate)) {
      return true;
    }
    canonicalise(candidate, entry_);
    for (std::size_t i = 0; i < candidate.arrival_count; ++i) {
      const std::vector<BoundaryList::Boundary> boundaries = boundaries_behind(candidate, i);
      const auto there = std::find_if(boundaries.begin(), boundaries.end(),
                                      [&](const auto& boundary) { return boundary.address == places[i]; });
      if (there == boundaries.end()) {
        return false;
      }
      candidate.arrivals[i].distance = there->distance;
    }
    return improve(candidate);
  }

  /// Takes a candidate that is smaller and still shows it.
  bool improve(Scenario candidate) {
    canonicalise(candidate, entry_);
    if (!order_.smaller(candidate, best_) || !shows(candidate)) {
      return false;
    }
    best_ = candidate;
    return true;
  }

  void reduce() {
    bool changed = true;
    while (changed) {
      changed = cut();
      changed = leave_out() || changed;
      changed = make_plain() || changed;
      changed = move_earlier() || changed;
      changed = move_together() || changed;
    }
  }

  /// Arrivals behind the one that it takes.
  bool cut() {
    const Finding* finding = find_target(entry_, oracle_.judge(best_), target_);
    Scenario candidate = best_;
    candidate.arrival_count = std::min(candidate.arrival_count, finding->arrivals);
    return improve(candidate);
  }

  bool leave_out() {
    bool changed = false;
    for (std::size_t i = best_.arrival_count; i-- > 0;) {
      Places left = places();
      std::copy(left.begin() + static_cast<std::ptrdiff_t>(i) + 1, left.end(),
                left.begin() + static_cast<std::ptrdiff_t>(i));
      const bool done = improve(without(i, true)) || improve_at(without(i, false), left) || leave_out_called(i, left);
      changed = done || changed;
    }
    return changed;
  }

  /// An arrival together with a call of the event handler that it may have led to: those behind it count one less.
  bool leave_out_called(std::size_t left_out, const Places& left) {
    const auto fewer_calls = [](Scenario candidate, std::size_t call) {
      std::array<EventAction, kActionCalls>& actions = candidate.event_actions;
      std::copy(actions.begin() + static_cast<std::ptrdiff_t>(call) + 1, actions.end(),
                actions.begin() + static_cast<std::ptrdiff_t>(call));
      actions.back() = EventAction{};
      return candidate;
    };
    for (std::size_t call = 0; call < kActionCalls; ++call) {
      const Scenario in_place = fewer_calls(without(left_out, true), call);
      if (in_place.event_actions != best_.event_actions &&
          (improve(in_place) || improve_at(fewer_calls(without(left_out, false), call), left))) {
        return true;
      }
    }
    return false;
  }

  /// With `in_place`, those behind it stay where they are.
  Scenario without(std::size_t left_out, bool in_place) const {
    Scenario candidate = best_;
    Arrival* arrivals = candidate.arrivals.data();
    const std::uint16_t distance = arrivals[left_out].distance;
    std::copy(arrivals + left_out + 1, arrivals + candidate.arrival_count, arrivals + left_out);
    --candidate.arrival_count;
    if (in_place && left_out < candidate.arrival_count) {
      arrivals[left_out].distance = static_cast<std::uint16_t>(arrivals[left_out].distance + distance);
    }
    return candidate;
  }

  bool make_plain() {
    bool changed = false;
    for (const ScenarioPart& part : scenario_parts(entry_, best_.arrival_count)) {
      const std::uint64_t value = part.get(best_);
      if (is_plain(part, best_)) {
        continue;
      }
      const Places now = places();
      bool done = improve_at(with(part, part.plain(best_)), now);
      for (std::uint64_t choice = 0; !done && choice < std::min(value, part.choices); ++choice) {
        done = improve_at(with(part, choice), now);
      }
      changed = changed || done;
    }
    return changed;
  }

  Scenario with(const ScenarioPart& part, std::uint64_t value) const {
    Scenario candidate = best_;
    part.set(candidate, value);
    return candidate;
  }

  /// Each arrival as close to the one behind it as it can be.
  bool move_together() {
    bool changed = false;
    for (std::size_t i = 0; i + 1U < best_.arrival_count; ++i) {
      bool done = false;
      for (std::uint16_t by = best_.arrivals[i + 1].distance; !done && by > 0; --by) {
        Scenario candidate = best_;
        candidate.arrivals[i].distance = static_cast<std::uint16_t>(candidate.arrivals[i].distance + by);
        candidate.arrivals[i + 1].distance = static_cast<std::uint16_t>(candidate.arrivals[i + 1].distance - by);
        done = improve(candidate);
      }
      changed = changed || done;
    }
    return changed;
  }

  /// Each arrival as early as it can be, with those behind it where they are, or moved along.
  bool move_earlier() {
    bool changed = false;
    for (std::size_t i = 0; i < best_.arrival_count; ++i) {
      const std::uint16_t now = best_.arrivals[i].distance;
      bool done = false;
      for (std::uint16_t distance = 0; !done && distance < now; ++distance) {
        Scenario candidate = best_;
        candidate.arrivals[i].distance = distance;
        done = improve(candidate);
        if (!done && i + 1 < best_.arrival_count) {
          Arrival& next = candidate.arrivals[i + 1];
          next.distance = static_cast<std::uint16_t>(next.distance + now - distance);
          done = improve(candidate);
        }
      }
      changed = changed || done;
    }
    return changed;
  }

  /// One of too many arrivals for something else that could bring the same about: an NMI that was masked before, a
  /// handler that raises an event.
  void trade() {
    if (best_.arrival_count <= kSearchedArrivals) {
      return;
    }
    Scenario more = best_;
    more.context.nmi_masked = true;
    more.context.has_masked_port = true;
    more.context.masked_port = 1;
    more.event_actions[0].unmask_port = true;
    more.event_actions[0].nested_event = true;
    const std::vector<Scenario> others = contexts(more);
    const Cause cause = cause_of_best();
    const Scenario before = best_;
    for (std::size_t left_out = before.arrival_count; left_out-- > 0;) {
      for (Scenario other : others) {
        std::remove_copy_if(before.arrivals.begin(), before.arrivals.end(), other.arrivals.begin(),
                            [&](const Arrival& arrival) { return &arrival == &before.arrivals[left_out]; });
        other.arrival_count = static_cast<std::uint8_t>(before.arrival_count - 1);
        for (Arrival& arrival : other.arrivals) {
          arrival.distance = 0;
        }
        canonicalise(other, entry_);
        place_arrivals(other, 0, cause);
      }
    }
  }

  /// All that is smaller, in order.
  void search() {
    for (std::size_t arrivals = 0; arrivals <= kSearchedArrivals; ++arrivals) {
      const Cause cause = cause_of_best();
      for (const Scenario& skeleton : skeletons(arrivals)) {
        if (!order_.smaller(skeleton, best_)) {
          break;
        }
        place_arrivals(skeleton, 0, cause);
      }
    }
  }

  struct Cause {
    GuestAddress place;
    bool at_last_arrival = false;  // which is taken there
    Places arrivals{};             // of the best one
  };

  Cause cause_of_best() {
    Cause cause;
    cause.arrivals = places();
    const Finding* finding = find_target(entry_, oracle_.judge(best_), target_);
    cause.place = finding->cause;
    if (finding->arrivals != 0 && finding->arrivals == best_.arrival_count) {
      const ArrivalRecord& last = oracle_.nested().arrivals[finding->arrivals - 1U];
      cause.at_last_arrival = info_of(finding->kind).cause == CauseRule::arrival && last.delivered &&
                              last.boundary == finding->cause && finding->source != ViolationSource::reference;
    }
    return cause;
  }

  /// Whether arrival number `i` is tried at a boundary.
  static bool may_be(const Scenario& scenario, std::size_t i, const BoundaryList::Boundary& boundary,
                     const Cause& cause) {
    if (boundary.address == cause.place) {
      return true;
    }
    const bool last = i + 1U == scenario.arrival_count;
    if (cause.at_last_arrival) {
      return !last;
    }
    const bool seen = std::find(cause.arrivals.begin(), cause.arrivals.end(), boundary.address) != cause.arrivals.end();
    return scenario.arrival_count == 1 || seen || (last && boundary.distance <= kNear);
  }

  /// Contexts and kinds of arrivals, all of them at distance 0: each is at most as large as what it can become.
  std::vector<Scenario> skeletons(std::size_t arrivals) const {
    std::vector<Scenario> all = contexts(best_);
    const std::vector<Arrival> kinds = arrival_kinds();
    for (std::size_t i = 0; i < arrivals; ++i) {
      std::vector<Scenario> longer;
      for (const Scenario& scenario : all) {
        for (const Arrival& arrival : kinds) {
          longer.push_back(scenario);
          longer.back().arrivals[i] = arrival;
          ++longer.back().arrival_count;
        }
      }
      all = std::move(longer);
    }
    for (Scenario& scenario : all) {
      canonicalise(scenario, entry_);
    }
    std::sort(all.begin(), all.end(), [this](const Scenario& a, const Scenario& b) { return order_.smaller(a, b); });
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }

  /// Every vector, mode and mask, with and without whatever else this one's context and handlers have.
  std::vector<Scenario> contexts(Scenario bare) const {
    bare.arrival_count = 0;
    bare.arrivals = {};
    std::vector<Scenario> all;
    for (std::size_t vector = 0; vector < entry_.vectors.size(); ++vector) {
      for (const GuestMode mode : {GuestMode::kernel, GuestMode::user}) {
        for (const std::uint8_t mask : {0, 1}) {
          all.push_back(bare);
          all.back().context.vector = static_cast<std::uint8_t>(vector);
          all.back().context.mode = mode;
          all.back().context.mask = mask;
          if (enters_by_event(all.back()) && !enters_by_event(bare)) {
            all.push_back(one_call_later(all.back()));
          }
        }
      }
    }
    for (const ScenarioPart& part : scenario_parts(entry_, 0)) {
      if (part.key == "vector" || part.key == "mode" || part.key == "mask" || is_plain(part, bare)) {
        continue;
      }
      const std::size_t count = all.size();
      for (std::size_t i = 0; i < count; ++i) {
        all.push_back(all[i]);
        part.set(all.back(), part.plain(all.back()));
      }
    }
    return all;
  }

  bool enters_by_event(const Scenario& scenario) const {
    return entry_.vectors[scenario.context.vector].description.kind == DeliveryKind::event;
  }

  /// The event that enters calls the handler first: what it did in its n-th call it does in the next one.
  static Scenario one_call_later(Scenario scenario) {
    std::array<EventAction, kActionCalls>& actions = scenario.event_actions;
    std::copy_backward(actions.begin(), actions.end() - 1, actions.end());
    actions.front() = EventAction{};
    return scenario;
  }

  std::vector<Arrival> arrival_kinds() const {
    std::vector<Arrival> kinds;
    for (const std::uint8_t value : entry_.description.pending_values) {
      kinds.emplace_back();
      kinds.back().pending_value = value;
    }
    kinds.emplace_back();
    kinds.back().kind = ArrivalKind::tick;
    for (std::size_t i = 0; i < entry_.vectors.size(); ++i) {
      const DeliveryKind kind = entry_.vectors[i].description.kind;
      if (kind != DeliveryKind::event) {
        kinds.emplace_back();
        kinds.back().kind = kind == DeliveryKind::nmi ? ArrivalKind::nmi : ArrivalKind::exception;
        kinds.back().vector = kind == DeliveryKind::nmi ? std::uint8_t{0} : static_cast<std::uint8_t>(i);
      }
    }
    for (std::size_t i = 0; i < best_.arrival_count; ++i) {
      kinds.push_back(best_.arrivals[i]);
      kinds.back().distance = 0;
    }
    return kinds;
  }

  /// Tries the distances of the arrivals from number `i` on, nearest first.
  void place_arrivals(const Scenario& scenario, std::size_t i, const Cause& cause) {
    if (i == scenario.arrival_count) {
      improve(scenario);
      return;
    }
    for (const BoundaryList::Boundary& boundary : boundaries_behind(scenario, i)) {
      if (!may_be(scenario, i, boundary, cause)) {
        continue;
      }
      Scenario placed = scenario;
      placed.arrivals[i].distance = boundary.distance;
      if (!order_.smaller(placed, best_)) {
        return;  // what is farther is larger
      }
      place_arrivals(placed, i + 1, cause);
    }
  }

  std::vector<BoundaryList::Boundary> boundaries_behind(const Scenario& scenario, std::size_t arrivals) {
    BoundaryList list;
    Outcome outcome;
    oracle_.execution().set_trace(&list);
    try {
      oracle_.execution().run_nested(scenario, arrivals, outcome);
    } catch (...) {
      oracle_.execution().set_trace(nullptr);
      throw;
    }
    oracle_.execution().set_trace(nullptr);
    return outcome.reached == arrivals ? list.take() : std::vector<BoundaryList::Boundary>();
  }

  Oracle& oracle_;
  const Entry& entry_;
  ScenarioOrder order_;
  const MinimizeTarget& target_;
  const std::function<void(std::uint64_t)>& progress_;
  Scenario best_;
  std::uint64_t judged_ = 0;
};

}  // namespace

const Finding* find_target(const Entry& entry, const Verdict& verdict, const MinimizeTarget& target) {
  for (const Finding& finding : verdict.view()) {
    if ((finding.known >= 0) == target.known && signature_of(entry, finding) == target.signature) {
      return &finding;
    }
    if (finding.known < 0) {
      return nullptr;
    }
  }
  return nullptr;
}

Minimized minimize(Oracle& oracle, const Scenario& scenario, const MinimizeTarget& target,
                   const std::function<void(std::uint64_t)>& progress) {
  return Minimizer(oracle, target, progress).run(scenario);
}

}  // namespace framefold
