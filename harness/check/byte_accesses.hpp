// Where code reads and stores single bytes: so it reaches the event bytes, whatever the description says of the
// vcpu_info.
#pragma once

#include <vector>

#include "image/guest_address.hpp"
#include "image/image.hpp"

namespace framefold {

/// On the way of one event from its delivery on, each once, in order; not on the stacks.
std::vector<GuestAddress> byte_accesses(const Entry& entry);

}  // namespace framefold
