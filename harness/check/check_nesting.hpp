// Whether code that is described as one whose frames nest folds them, and code that is not, does.
#pragma once

#include <functional>

#include "image/image.hpp"
#include "run/execution.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// Lets one event in at each of the first `boundaries` boundaries behind `plain`'s delivery. Throws InputError that
/// names `nests` where that is said and an event's frame is folded.
void check_nesting(const Entry& entry, const Scenario& plain, std::uint32_t boundaries);

/// `plain` and one event, so many boundaries behind its delivery.
Scenario with_event(const Scenario& plain, std::uint32_t distance, const Entry& entry);

/// A delivery, and how many boundaries its run has.
struct PlainRun {
  Scenario scenario;
  std::uint32_t boundaries = 0;
};

/// Calls `visit` with the delivery and one event at each of its boundaries; where there are very many, at some hundred
/// of them, evenly.
void visit_events(const PlainRun& run, const Entry& entry, const std::function<void(const Scenario&)>& visit);

/// Throws InputError that names `nests` where that is said, and in no run that `visit_events` visits of any of `plain`
/// a window is open in which a frame could nest.
void check_nests_somewhere(const Entry& entry, std::span<const PlainRun> plain);

/// Likewise for code that is to fold: throws InputError that names `nests` where none of them is folded, at no boundary
/// of any of `plain`. Code that folds here and not there is a finding (`critical-frame`).
void check_folding(Execution& execution, std::span<const PlainRun> plain);

}  // namespace framefold
