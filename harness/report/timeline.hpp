// The story of a scenario, line by line, in aligned columns: step (boundaries executed before) of the nested run and of
// the reference run, place, source line where the image says it, instruction or what happened, event mask, pending
// byte, stack pointer, live activations.
//
// The two runs stand side by side (alignment.hpp). Once they have gone apart, lines that both have are followed by what
// differs there, whenever that changes.
//
// All functions run the scenario again and leave the oracle's last verdict and outcomes as they are. Any coverage that
// the execution counts is counted again.
#pragma once

#include <string>

#include "image/source_lines.hpp"
#include "report/style.hpp"
#include "run/oracle.hpp"

namespace framefold {

struct TimelineOptions {
  Style style = {};
  const SourceLines* lines = nullptr;  // nothing: no column for them
  bool stacks = false;                 // with a picture of the stacks at each delivery and fold of the nested run
};

/// What matters of a finding: arrivals and the instructions that they hit, deliveries, handlers, folds, openings of the
/// window, returns, the violation, and the ten instructions before it. Of the scenario only as many arrivals as it
/// takes. The reference run stands beside it where the finding shows no earlier than at the resumption, or comes from
/// holding one against the other.
std::string short_timeline(Oracle& oracle, const Scenario& scenario, const Finding& finding,
                           const TimelineOptions& options = {});

/// The same of a scenario that shows nothing: the nested run.
std::string short_timeline(Oracle& oracle, const Scenario& scenario, const TimelineOptions& options = {});

/// Every boundary and event of both runs.
std::string full_timeline(Oracle& oracle, const Scenario& scenario, const TimelineOptions& options = {});

/// What happened, in words: "> event delivered, enters hypervisor_callback"; for a boundary its instruction.
std::string event_text(const TraceEvent& event, const Scenario& scenario, const Guest& guest);

/// "minios-x86_64-table.S:43"; empty where nothing is known.
std::string source_text(const SourceLines* lines, GuestAddress address);

/// Where an arrival of the last nested run was taken and what came of it: "scrit+0x84 (jmp 0x1012e0), delivered",
/// "scrit (testb $0xff, (%rsi)), not delivered", "not reached".
std::string arrival_label(const Guest& guest, const ArrivalRecord& arrival);

}  // namespace framefold
