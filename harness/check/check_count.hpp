// Whether the word that says on which stack the guest is, has the described values there.
#pragma once

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// `plain`: an event that interrupts the thread stack, whose delivery holds. Throws InputError that names the value's
/// line, where the code is seen to set another. Code that never sets the count shows nothing.
void check_count(const Entry& entry, const Scenario& plain);

}  // namespace framefold
