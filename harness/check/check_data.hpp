// Whether the data that a description names is what the code looks at: the work flag, one vcpu_info of several,
// counters.
#pragma once

#include <span>

#include "check/check_nesting.hpp"
#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// `plain`: events that interrupt plain contexts, one a mode. Throws InputError that names the line.
void check_data(const Entry& entry, std::span<const Scenario> plain);

/// What no instruction that runs uses, with an event anywhere, nor any other names, is no counter of this code. Throws
/// InputError.
void check_counters(const Entry& entry, std::span<const PlainRun> plain);

}  // namespace framefold
