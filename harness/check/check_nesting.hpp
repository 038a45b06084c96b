// Whether code that is described as one whose frames nest folds them.
#pragma once

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// Lets one event in at each of the first `boundaries` boundaries behind `plain`'s delivery. Throws InputError that
/// names `nests` where that is said and an event's frame is folded.
void check_nesting(const Entry& entry, const Scenario& plain, std::uint32_t boundaries);

}  // namespace framefold
