// What only the whole description can say: the survey's choices tried one after the other by `check`.
#pragma once

#include "cli/survey_object.hpp"

namespace framefold {

/// The description that holds best; `notes` say what does not hold.
FirstDescription settle(Survey survey, const std::string& description_path);

}  // namespace framefold
