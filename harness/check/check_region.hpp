// Whether the region's labels stand where events are unmasked.
#pragma once

#include <set>
#include <vector>

#include "image/image.hpp"

namespace framefold {

/// Code that compares addresses with the region's start does so on the way in: `way_in` is what ran before the event
/// handlers of plain contexts. Throws InputError that names the callback's line.
void check_callback(const Entry& entry, const std::set<GuestAddress>& way_in);

/// `unmasked`, sorted: the instructions of entry code that ran with events unmasked. Throws InputError that names the
/// label's line.
void check_region(const Entry& entry, const std::vector<GuestAddress>& unmasked);

}  // namespace framefold
