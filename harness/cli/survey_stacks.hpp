// Which stacks an object shows: by name, and the one that the handler was seen to run on.
#pragma once

#include "cli/survey_object.hpp"
#include "survey/object_image.hpp"
#include "survey/probe.hpp"

namespace framefold {

/// Fills in the stacks of `survey`. `call` is the event handler's, if it was reached; `per_cpu` the symbol of the GS
/// base, if there is one.
void survey_stacks(const ObjectImage& image, const ProbeCall* call, const std::string& per_cpu, Survey& survey);

}  // namespace framefold
