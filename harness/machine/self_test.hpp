// The start-up check of the instructions on whose semantics verdicts rest. A difference is an error of ours, never a
// verdict.
#pragma once

#include "image/width.hpp"

namespace framefold {

/// Runs each checked instruction on an engine of its own. Throws InternalError: "self-test: iretq with CS.RPL 0: ...".
void run_self_test(Width width);

}  // namespace framefold
