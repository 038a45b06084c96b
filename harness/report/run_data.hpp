// A story as data for the page's script: each moment as what changed since the one before.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "image/source_lines.hpp"
#include "report/boundary_map.hpp"
#include "report/story.hpp"

namespace framefold {

/// {"wide", "registers", "stacks", "slots", "code", "texts", "runs", "pairs"}; page.js says what is in them.
nlohmann::json run_data(const Guest& guest, const Scenario& scenario, const Story& story,
                        const BoundaryColumn& outcomes, const SourceLines* lines);

}  // namespace framefold
