#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "report/page.hpp"
#include "report/page_parts.hpp"
#include "report/place.hpp"
#include "report/run_data.hpp"
#include "report/text.hpp"
#include "report/timeline.hpp"

namespace framefold {

namespace {

/// Inside a script element only "<" could end it.
std::string script_json(const nlohmann::json& json) {
  const std::string text = json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::string result;
  for (const char c : text) {
    result += c == '<' ? std::string("\\u003c") : std::string(1, c);
  }
  return result;
}

std::string_view row_class(const TimelineRow& row) {
  switch (row.ink) {
    case Ink::good:
      return "fold";
    case Ink::bad:
      return row.cells.empty() ? "differs" : "violation";
    case Ink::note:
      return "arrival";
    case Ink::faint:
      return "section";
    default:
      return "";
  }
}

std::string timeline_html(const Timeline& timeline) {
  std::string html = fmt::format("<p>{}</p>\n<div class=\"scroll tall\"><table>\n", html_text(timeline.heading));
  const std::size_t columns = timeline.rows.front().cells.size();
  for (std::size_t i = 0; i < timeline.rows.size(); ++i) {
    const TimelineRow& row = timeline.rows[i];
    const char* cell = i == 0 ? "th" : "td";
    html += fmt::format("<tr class=\"{}\">", i == 0 ? "" : row_class(row));
    if (row.cells.empty()) {
      html += fmt::format("<td class=\"wrap\" colspan=\"{}\">{}</td>", columns, html_text(row.text));
    }
    for (const std::string& text : row.cells) {
      html += fmt::format("<{0}>{1}</{0}>", cell, html_text(text));
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n";
}

std::string term(std::string_view name, std::string_view text) {
  return text.empty() ? std::string() : fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, html_text(text));
}

std::string finding_html(const FindingReport& finding) {
  const ViolationKindInfo& info = info_of(finding.kind);
  std::string html = "<dl>\n" + term("what", info.text) + term("signature", finding.signature);
  html += term("cause",
               finding.instruction.empty() ? finding.cause : fmt::format("{}: {}", finding.cause, finding.instruction));
  html += term("there", fmt::format("{}", fmt::join(finding.conditions, ", ")));
  html += term("difference", difference_text(finding));
  if (finding.source != ViolationSource::nested) {
    html += term("seen in", text_of(finding.source));
  }
  html += term("rests on", finding.rests_on);
  const auto told = [&finding](std::string_view text) { return for_width(text, finding.width); };
  html += term("promise", told(info.promise)) + term("why", told(info.why)) + term("usual", told(info.usual)) +
          term("look at", told(info.look));
  if (finding.known) {
    html += term("known", finding.known->why);
  }
  return html + "</dl>\n";
}

/// A text whose paragraphs are set apart by empty lines.
std::string paragraphs_html(std::string_view text) {
  std::string html;
  while (!text.empty()) {
    const std::size_t end = text.find("\n\n");
    html += fmt::format("<p>{}</p>\n", html_text(std::string(text.substr(0, end))));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
  }
  return html;
}

std::string item_html(const PageItem& item, std::size_t number) {
  const FileReport& report = item.report;
  const bool tells = report.violation.has_value() || !report.findings.empty();
  const FindingReport* finding = tells ? &report.findings[report.violation.value_or(0)] : nullptr;
  std::string html = fmt::format("<section data-run id=\"run{}\">\n<h2>{}</h2>\n<p>{}, {}: {}</p>\n", number,
                                 html_text(finding == nullptr ? printable(report.file) : finding->signature),
                                 html_text(printable(report.file)), html_text(report.entry), name_of(report.status));
  html += finding == nullptr ? std::string("<p>Every promise was kept.</p>\n") : finding_html(*finding);
  for (const FindingReport& other : report.findings) {
    if (&other != finding) {
      html += fmt::format("<p>also <code>{}</code>{}</p>\n", html_text(other.signature), other.known ? ", known" : "");
    }
  }
  if (!item.explanation.empty()) {
    html += paragraphs_html(item.explanation);
  }
  html += fmt::format("<h3>Scenario</h3>\n<pre>{}</pre>\n", html_text(item.scenario));
  html +=
      "<h3>Step by step</h3>\n<div class=\"player\" hidden aria-label=\"scrubber\"></div>\n"
      "<noscript><p>With scripts, both runs can be stepped through here.</p></noscript>\n";
  html += "<h3>What happened</h3>\n" + item.timeline + "<h3>The stacks</h3>\n";
  for (const StackPicture& picture : item.pictures) {
    html += fmt::format("<p>Step {}: {}</p>\n<div class=\"scroll\">{}</div>\n", picture.step, html_text(picture.title),
                        to_svg(picture));
  }
  return html + fmt::format("<script type=\"application/json\">{}</script>\n</section>\n", item.data);
}

constexpr std::string_view kMarks = " hdfnk!";  // in the order of BoundaryOutcome

std::string key_html() {
  std::string html = "<p class=\"key\">An event there is: ";
  for (int i = 1; i <= static_cast<int>(BoundaryOutcome::violation); ++i) {
    html += fmt::format("<span class=\"o{}\">{} {}</span>", i, kMarks[static_cast<std::size_t>(i)],
                        name_of(static_cast<BoundaryOutcome>(i)));
  }
  return html + "</p>\n";
}

/// What breaks where: each signature with the contexts in which an event brings it about.
std::string broken_html(const PageMap& map) {
  std::map<std::pair<std::string, BoundaryOutcome>, std::set<std::string>> contexts;
  for (const BoundaryColumn& column : map.columns) {
    for (const auto& [address, result] : column.results) {
      if (!result.signature.empty()) {
        contexts[{result.signature, result.outcome}].insert(column.context);
      }
    }
  }
  std::string html;
  for (const auto& [what, names] : contexts) {
    html +=
        fmt::format("<li>{} {}: <code>{}</code>; in {}</li>\n", kMarks[static_cast<std::size_t>(what.second)],
                    name_of(what.second), html_text(what.first), html_text(fmt::format("{}", fmt::join(names, "; "))));
  }
  return html.empty() ? std::string("<p>An event breaks nothing there.</p>\n")
                      : "<p>What an event breaks there, and in which contexts:</p>\n<ul>\n" + html + "</ul>\n";
}

std::string map_html(const PageMap& map) {
  std::string html = fmt::format("<section>\n<h2>Every boundary of {}</h2>\n<p>{}</p>\n", html_text(map.entry),
                                 html_text(map.summary));
  html += key_html() + "<div class=\"scroll tall\"><table class=\"map\"><tr><th>place</th><th>instruction</th>";
  for (const BoundaryColumn& column : map.columns) {
    html += fmt::format("<th>{}</th>", html_text(column.context));
  }
  html += "</tr>\n";
  for (const PageMap::Line& line : map.lines) {
    html += fmt::format("<tr><td>{}</td><td>{}</td>", html_text(line.place), html_text(line.instruction));
    for (const BoundaryColumn& column : map.columns) {
      const auto found = column.results.find(line.address);
      const BoundaryResult result = found == column.results.end() ? BoundaryResult{} : found->second;
      const auto outcome = static_cast<std::size_t>(result.outcome);
      html += fmt::format("<td class=\"o{}\" title=\"{}\">{}</td>", outcome,
                          html_text(result.signature.empty() ? name_of(result.outcome) : result.signature),
                          kMarks[outcome]);
    }
    html += "</tr>\n";
  }
  return html + "</table></div>\n" + broken_html(map) + "</section>\n";
}

std::string contents_html(const std::vector<PageItem>& items) {
  std::string html = "<ul>\n";
  for (std::size_t i = 0; i < items.size(); ++i) {
    const FileReport& report = items[i].report;
    const std::string name =
        report.findings.empty() ? printable(report.file) : report.findings[report.violation.value_or(0)].signature;
    html += fmt::format("<li><a href=\"#run{}\">{}</a>: {}</li>\n", i, html_text(name), name_of(report.status));
  }
  return html + "</ul>\n";
}

}  // namespace

PageItem page_item(Oracle& oracle, const Scenario& scenario, FileReport report, const Finding* finding,
                   std::string scenario_text, const SourceLines* lines) {
  PageItem item;
  item.report = std::move(report);
  item.scenario = std::move(scenario_text);
  const TimelineOptions options{false, true, lines};
  Timeline timeline = make_timeline(oracle, scenario, finding, options);
  item.timeline = timeline_html(timeline);
  item.pictures = std::move(timeline.pictures);
  const Story story = tell_story(oracle, scenario, kMaxArrivals, true);
  const BoundaryColumn column = boundary_column(oracle, scenario, "");
  item.data = script_json(run_data(oracle.execution().guest(), scenario, story, column, lines));
  return item;
}

PageMap page_map(Oracle& oracle, const SourceLines* lines) {
  const Guest& guest = oracle.execution().guest();
  PageMap map;
  map.entry = oracle.entry().name();
  map.summary = oracle.entry().description.summary;
  map.columns = boundary_map(oracle);
  const auto add = [&](GuestAddress address) {
    const bool reached = std::any_of(map.columns.begin(), map.columns.end(),
                                     [address](const BoundaryColumn& c) { return c.results.count(address) != 0; });
    if (reached) {
      map.lines.push_back(
          {address, place_text(guest, address), instruction_text(guest, address), source_text(lines, address)});
    }
  };
  for (const Instruction& instruction : oracle.entry().instructions) {
    add(instruction.address);
  }
  for (const Instruction& instruction : guest.stub()) {
    add(instruction.address);
  }
  return map;
}

std::string html_document(const std::string& title, const std::string& body, bool scripted) {
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\">\n<title>{0}</title>\n<style>\n{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n{2}"
      "<footer>A verdict is about the entry code on a model of Xen.</footer>\n",
      html_text(title), page_style(), body);
  if (scripted) {
    html += fmt::format("<script>\n{}</script>\n", page_script());
  }
  return html + "</body>\n</html>\n";
}

std::string html_page(const std::vector<PageItem>& items, const std::vector<PageMap>& maps) {
  std::string body =
      "<p class=\"keys\" hidden>Keys, once a scrubber has the focus: left and right step, n and p go to the next and "
      "the previous event, "
      "Home and End to the ends.</p>\n" +
      contents_html(items) + key_html();
  for (std::size_t i = 0; i < items.size(); ++i) {
    body += item_html(items[i], i);
  }
  for (const PageMap& map : maps) {
    body += map_html(map);
  }
  return html_document("framefold report", body, true);
}

}  // namespace framefold
