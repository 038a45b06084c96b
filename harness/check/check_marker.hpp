// Whether the NMI's handler marks its frame, as far as the code's way out shows it.
#pragma once

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// `plain`: a context that an NMI interrupts; anything else is passed over. Throws InputError that names nmi.marks
/// where no instruction looks at a mark that the description claims, or unmasks NMIs only with one
/// that it does not claim.
void check_marker(const Entry& entry, const Scenario& plain);

}  // namespace framefold
