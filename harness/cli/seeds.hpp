// Seeds: inputs from which a fuzzer starts that has seen nothing yet. The regression corpora are made of them as well.
#pragma once

#include <vector>

#include "scenario/scenario.hpp"

namespace framefold {

/// Built from the description alone, the same on each machine: arrival by arrival, in a fixed order of kinds, each at
/// the boundary where it reaches the most guest features that nothing has reached before. Each begins with an event
/// that is folded, as long as that leads to something new: what a fuzzer starts from should be what the entry code is
/// about. What shows a violation that is not known is left out, and so are inputs whose features others have as well.
/// At most kMaxCorpusInputs. Takes seconds.
std::vector<Scenario> make_seeds(const Entry& entry);

}  // namespace framefold
