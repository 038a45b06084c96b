// Whether the region's labels stand where events are unmasked.
#pragma once

#include <vector>

#include "image/image.hpp"

namespace framefold {

/// `unmasked`, sorted: the instructions of entry code that ran with events unmasked. Throws InputError that names the
/// label's line.
void check_region(const Entry& entry, const std::vector<GuestAddress>& unmasked);

}  // namespace framefold
