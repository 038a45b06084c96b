// A dictionary for fuzzers that mutate bytes and know nothing of scenarios.
#pragma once

#include <string>

#include "image/image.hpp"

namespace framefold {

/// In the format that libFuzzer and AFL++ share: the header of each context that can be, and each arrival that can be,
/// at the distances between which the entry's window is open. From the description and a run of each context; the same
/// on each machine.
std::string make_dictionary(const Entry& entry);

}  // namespace framefold
