#include "cli/explore_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/explore_report.hpp"
#include "report/page.hpp"
#include "report/place.hpp"
#include "report/text.hpp"

namespace framefold {

namespace {

/// What a cell of the map says, and its class in the style sheet of reports.
struct Mark {
  std::string_view name;
  std::string_view style;
};
constexpr Mark kNotReached{"no state", "o0"};
constexpr Mark kReached{"states", "o2"};
constexpr Mark kFolded{"states, and frames folded from there", "o3"};
constexpr Mark kKnown{"a known violation shows", "o5"};
constexpr Mark kViolated{"a violation shows", "o6"};

Mark mark_of(const GroupReport& group, GuestAddress address, const BoundaryTally& tally) {
  if (group.violated.count(address) != 0) {
    return kViolated;
  }
  if (group.known.count(address) != 0) {
    return kKnown;
  }
  if (tally.folds != 0) {
    return kFolded;
  }
  return tally.states != 0 ? kReached : kNotReached;
}

std::string key_html() {
  std::string html = "<p class=\"key\">A number is one of states. At that boundary: ";
  for (const Mark& mark : {kReached, kFolded, kKnown, kViolated}) {
    html += fmt::format("<span class=\"{}\">{}</span>", mark.style, mark.name);
  }
  return html +
         "</p>\n<p>A column stands for contexts that resume alike; they are listed below. A boundary has a line where "
         "what comes there can lead elsewhere than at the next one: an event that is raised while they are masked "
         "waits "
         "for the first instruction that may look at it.</p>\n";
}

std::string_view verdict_of(const GroupReport& group) {
  if (!group.violated.empty()) {
    return "violated";
  }
  if (!group.explored) {
    return "not closed";
  }
  return group.known.empty() ? "nothing wrong" : "nothing but what is known";
}

/// Columns have numbers: what they stand for is too long for a table's head.
std::string groups_html(const EntryReport& report) {
  std::string html = "<ol>\n";
  for (const GroupReport& group : report.groups) {
    const std::string more = group.contexts == 1 ? "" : fmt::format(", and {} that resume alike", group.contexts - 1);
    html += fmt::format("<li>{}{}: {} states, {} folds, {} resumptions, {} bytes of stack; {}</li>\n",
                        html_text(describe_context(group.first, *report.entry)), more, grouped(group.counts.states),
                        grouped(group.counts.folds), grouped(group.counts.resumptions),
                        grouped(group.counts.deepest_stack), verdict_of(group));
  }
  return html + "</ol>\n";
}

std::string line_html(const EntryReport& report, const Guest& guest, GuestAddress address, std::size_t index) {
  const bool reached = std::any_of(report.groups.begin(), report.groups.end(), [&](const GroupReport& group) {
    return group.boundaries[index].states != 0 || group.known.count(address) != 0 || group.violated.count(address) != 0;
  });
  if (!reached) {
    return "";
  }
  std::string html = fmt::format("<tr><td>{}</td><td>{}</td>", html_text(place_text(guest, address)),
                                 html_text(instruction_text(guest, address)));
  for (std::size_t i = 0; i < report.groups.size(); ++i) {
    const BoundaryTally& tally = report.groups[i].boundaries[index];
    const Mark mark = mark_of(report.groups[i], address, tally);
    html += fmt::format("<td class=\"{}\" title=\"context {}: {}; {} states, {} folds\">{}</td>", mark.style, i + 1,
                        mark.name, tally.states, tally.folds,
                        tally.states == 0 ? std::string() : fmt::format("{}", tally.states));
  }
  return html + "</tr>\n";
}

std::string map_html(const EntryReport& report) {
  const Guest guest(*report.entry);
  std::string html = "<div class=\"scroll tall\"><table class=\"map\"><tr><th>place</th><th>instruction</th>";
  for (std::size_t i = 0; i < report.groups.size(); ++i) {
    html += fmt::format("<th title=\"{}\">{}</th>", html_text(describe_context(report.groups[i].first, *report.entry)),
                        i + 1);
  }
  html += "</tr>\n";
  std::size_t index = 0;
  for (const std::span<const Instruction> code : {std::span(report.entry->instructions), guest.stub()}) {
    for (const Instruction& instruction : code) {
      html += line_html(report, guest, instruction.address, index++);
    }
  }
  return html + "</table></div>\n";
}

std::string violations_html(const EntryReport& report) {
  std::string html;
  for (const Bug& bug : bugs_of(report)) {
    html += fmt::format("<h3>{}</h3>\n<pre>{}</pre>\n", html_text(bug.violation->signature),
                        html_text(scenario_file(*report.entry, *bug.violation)));
  }
  return html;
}

std::string ports_html(const EntryReport& report) {
  const std::string note = ports_note(report);
  return note.empty() ? "" : fmt::format("<p>Ports: {}.</p>\n", html_text(note));
}

std::string entry_html(const EntryReport& report) {
  const ExploreCounts& counts = report.result.counts;
  return fmt::format(
             "<section>\n<h2>{}: {}</h2>\n<p>{}</p>\n<p>{} contexts, {} states, {} transitions, {} folds; the deepest "
             "stack is {} bytes.</p>\n",
             html_text(report.entry->name()), name_of(report.verdict), html_text(report.entry->description.summary),
             grouped(counts.contexts), grouped(counts.states), grouped(counts.transitions), grouped(counts.folds),
             grouped(counts.deepest_stack)) +
         ports_html(report) + violations_html(report) + "<h3>Boundaries and contexts</h3>\n" + key_html() +
         map_html(report) + "<h3>The contexts</h3>\n" + groups_html(report) + "</section>\n";
}

}  // namespace

std::string explore_page(std::span<const EntryReport> reports, const ExplorationOptions& options) {
  std::string body = fmt::format(
      "<p>Every interleaving, to closure: events without a bound, {} NMIs and {} exceptions on a path.</p>\n<ul>\n",
      options.bounds.nmis, options.bounds.exceptions);
  for (const EntryReport& report : reports) {
    body += fmt::format("<li>{}: {}</li>\n", html_text(report.entry->name()), name_of(report.verdict));
  }
  body += "</ul>\n";
  for (const EntryReport& report : reports) {
    body += entry_html(report);
  }
  return html_document("framefold: every interleaving", body, false);
}

}  // namespace framefold
