// The report: one HTML page that needs nothing else, about some scenarios. Readable without scripts; with them, each
// scenario has a scrubber over both runs.
#pragma once

#include <string>
#include <vector>

#include "image/source_lines.hpp"
#include "report/boundary_map.hpp"
#include "report/stack_picture.hpp"
#include "report/verdict.hpp"

namespace framefold {

/// What the page says of one scenario.
struct PageItem {
  FileReport report;
  std::string explanation;  // what the file says itself; may be empty
  std::string scenario;     // as text
  std::string timeline;     // a table
  std::vector<StackPicture> pictures;
  std::string data;  // JSON for the script
};

/// Of one entry: the map of its boundaries in its plain contexts.
struct PageMap {
  std::string entry;
  std::string summary;
  std::vector<BoundaryColumn> columns;
  struct Line {
    GuestAddress address;
    std::string place;
    std::string instruction;
    std::string source;
  };
  std::vector<Line> lines;
};

/// Judges and runs the scenario for everything that the page says of it. `report` is what describe() made of it.
PageItem page_item(Oracle& oracle, const Scenario& scenario, FileReport report, const Finding* finding,
                   std::string scenario_text, const SourceLines* lines);
PageMap page_map(Oracle& oracle, const SourceLines* lines);

/// A whole page around `body`, with the style and, where `scripted`, the script of reports.
std::string html_document(const std::string& title, const std::string& body, bool scripted);

std::string html_page(const std::vector<PageItem>& items, const std::vector<PageMap>& maps);

/// One picture as an SVG element: frames as columns of slots, lines from where the fold copied a word to where.
std::string to_svg(const StackPicture& picture);

}  // namespace framefold
