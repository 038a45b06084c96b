// Instructions of SSE and x87, whose registers framefold neither gives values nor compares: what a function leaves in
// them, and whether a context gets its own back, is not looked at.
#pragma once

#include <set>
#include <string>

#include "image/image.hpp"

namespace framefold {

/// Whether the entry's instruction at `address` uses one of them. Those that move none of their values (ldmxcsr, emms)
/// count as well.
bool uses_fpu(const Entry& entry, GuestAddress address);

/// What a result leaves out because of them, in one line; empty where there are none.
std::string fpu_text(const Entry& entry, const std::set<GuestAddress>& places);

}  // namespace framefold
