// The story of a scenario, line by line, in aligned columns: step (boundaries executed before) of the nested run and of
// the reference run, place, source line where the image says it, instruction or what happened, event mask, pending
// byte, stack pointer, live activations.
//
// The two runs stand side by side (alignment.hpp). Once they have gone apart, lines that both have are followed by what
// differs there, whenever that changes.
//
// What makes one runs the scenario again and leaves the oracle's last verdict and outcomes as they are. Any coverage
// that the execution counts is counted again.
#pragma once

#include <string>
#include <vector>

#include "image/source_lines.hpp"
#include "report/stack_picture.hpp"
#include "report/style.hpp"
#include "run/oracle.hpp"

namespace framefold {

struct TimelineOptions {
  bool full = false;                   // every boundary and event of both runs
  bool stacks = false;                 // with a picture of the stacks at each delivery and fold of the nested run
  const SourceLines* lines = nullptr;  // nothing: no column for them
};

/// Columns; or, where there are none, a text between the lines.
struct TimelineRow {
  std::vector<std::string> cells;
  Ink ink = Ink::plain;
  std::string text;
};

struct Timeline {
  std::string heading;
  std::vector<TimelineRow> rows;  // the first one names the columns
  std::vector<StackPicture> pictures;
};

/// Unless `full`, what matters of a finding: arrivals and the instructions that they hit, deliveries, handlers, folds,
/// openings of the window, returns, the violation, and the ten instructions before it. Of the scenario only as many
/// arrivals as it takes. The reference run stands beside it where the finding shows no earlier than at the resumption,
/// or comes from holding one against the other. Without a finding, what matters of the nested run.
Timeline make_timeline(Oracle& oracle, const Scenario& scenario, const Finding* finding,
                       const TimelineOptions& options = {});

std::string to_text(const Timeline& timeline, const Style& style = {});

/// What matters of a finding, as text.
std::string short_timeline(Oracle& oracle, const Scenario& scenario, const Finding& finding, const Style& style = {});

/// What happened, in words: "> event delivered, enters hypervisor_callback"; for a boundary its instruction.
std::string event_text(const TraceEvent& event, const Scenario& scenario, const Guest& guest);

/// "minios-x86_64-table.S:43"; empty where nothing is known.
std::string source_text(const SourceLines* lines, GuestAddress address);

/// Where an arrival of the last nested run was taken and what came of it: "scrit+0x84 (jmp 0x1012e0), delivered",
/// "scrit (testb $0xff, (%rsi)), not delivered", "not reached".
std::string arrival_label(const Guest& guest, const ArrivalRecord& arrival);

}  // namespace framefold
