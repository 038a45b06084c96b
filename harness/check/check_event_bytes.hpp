// Whether what the code stores to, and no line describes, is the vcpu_info.
#pragma once

#include <span>

#include "check/check_nesting.hpp"
#include "image/image.hpp"

namespace framefold {

/// Code whose every frame leaves by the hypercall page resumes wherever its mask lies. Throws InputError that names the
/// vcpu_info's line, where nothing in `runs`, nor with an event at any of their boundaries, reads or writes the
/// described event bytes, and something stores to data that no object defines and no line describes, or beside the
/// described structure.
void check_event_bytes(const Entry& entry, std::span<const PlainRun> runs);

}  // namespace framefold
