// Lines whose places in the image belong together: where one is wrong, the message names the others as well.
#pragma once

#include "image/image.hpp"

namespace framefold {

/// Each of them throws InputError. `entry` is as far loaded as they need.

/// A handler is one place in the code, whichever vector calls it.
void check_returns(const Entry& entry);

/// A vector whose two names are both where another one is entered is the wrong one of the two.
void check_vectors_differ(const Entry& entry);

/// The region's labels are in their order.
void check_region_order(const Entry& entry);

}  // namespace framefold
