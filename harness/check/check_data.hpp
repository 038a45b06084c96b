// Whether the data that a description names is what the code looks at: the work flag, one vcpu_info of several.
#pragma once

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// `plain`: events that interrupt plain contexts, one a mode. Throws InputError that names the line.
void check_data(const Entry& entry, std::span<const Scenario> plain);

}  // namespace framefold
