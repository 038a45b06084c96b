// The story of a run, line by line, in aligned columns: step (boundaries executed before), place, instruction or what
// happened, event mask, pending byte, stack pointer, live activations.
//
// Both functions run the scenario again and leave the oracle's last verdict and outcomes as they are. Any coverage that
// the execution counts is counted again.
#pragma once

#include <string>

#include "report/style.hpp"
#include "run/oracle.hpp"

namespace framefold {

/// What matters of a finding: arrivals and the instructions that they hit, deliveries, handlers, folds, openings of the
/// window, returns, the violation, and the ten instructions before it. Of the scenario only as many arrivals as it
/// takes; both runs where the finding comes from holding one against the other.
std::string short_timeline(Oracle& oracle, const Scenario& scenario, const Finding& finding, const Style& style = {});

/// The same of a scenario that shows nothing: the nested run.
std::string short_timeline(Oracle& oracle, const Scenario& scenario, const Style& style = {});

/// Every boundary and event of the nested run, then of the reference run.
std::string full_timeline(Oracle& oracle, const Scenario& scenario, const Style& style = {});

/// Where an arrival of the last nested run was taken and what came of it: "scrit+0x84 (jmp 0x1012e0), delivered",
/// "scrit (testb $0xff, (%rsi)), not delivered", "not reached".
std::string arrival_label(const Guest& guest, const ArrivalRecord& arrival);

}  // namespace framefold
