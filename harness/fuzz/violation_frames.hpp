// The last frames before an abort: what deduplication by stack sees.
//
// ClusterFuzz compares the top three frames, and takes two reports for the same bug where two of them are equal; so
// each kind of violation has two functions of its own. Frames whose names contain "assert", or start with
// LLVMFuzzerTestOneInput or fuzzer::, it does not count.
#pragma once

#include "run/violation.hpp"

namespace framefold {

/// Aborts in framefold_violation_<kind>, called from framefold_found_<kind>.
[[noreturn]] void abort_for(ViolationKind kind);

/// Aborts in framefold_internal_error.
[[noreturn]] void abort_for_internal_error();

}  // namespace framefold
