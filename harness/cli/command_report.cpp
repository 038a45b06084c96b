// framefold report: one HTML page about scenarios.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input_format.hpp"
#include "cli/output_file.hpp"
#include "cli/progress.hpp"
#include "report/minimize.hpp"
#include "report/page.hpp"
#include "report/timeline.hpp"

namespace framefold {

namespace {

struct ReportOptions {
  std::vector<std::string> paths;
  std::string entry;
  std::string output;
  bool map = true;
  bool force = false;
  bool unchecked = false;
};

/// What the file says that it shows, else the violation, else what is known.
const Finding* finding_to_tell(const Verdict& verdict, FileReport& report) {
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    if (report.reproduced == Reproduction::yes && report.findings[i].signature == report.expected_signature) {
      report.violation = i;
    }
  }
  if (!report.violation && !report.findings.empty()) {
    report.violation = 0;
  }
  return report.violation ? &verdict.findings[*report.violation] : nullptr;
}

PageItem item_of(const Input& input, EntryStore& store) {
  Oracle& oracle = store.oracle(*input.entry);
  const Verdict verdict = oracle.judge(input.scenario);
  FileReport report = describe(oracle, input.scenario, verdict, false);
  report.file = input.file;
  if (!input.notes.signature.empty()) {
    expect_signature(report, input.notes.signature);
  }
  const Finding* finding = finding_to_tell(verdict, report);
  std::string text;
  if (finding != nullptr) {
    text = annotated_toml(oracle, input.scenario, {signature_of(*input.entry, *finding), finding->known >= 0});
  } else {
    ScenarioNotes notes;
    notes.entry = input.entry->name();
    text = to_toml(input.scenario, *input.entry, notes);
  }
  PageItem item =
      page_item(oracle, input.scenario, std::move(report), finding, std::move(text), store.lines(*input.entry));
  item.explanation = input.notes.explanation;
  return item;
}

int write_report(const ReportOptions& options) {
  EntryStore store(options.unchecked);
  const std::vector<std::string> files = list_inputs(options.paths);
  std::vector<Input> inputs;
  for (const std::string& file : files) {
    inputs.push_back(read_input(file, options.entry, store));
  }
  note_newer_formats(inputs);
  expect_no_input(options.output, files);
  expect_no_input(options.output, store.files());
  std::vector<PageItem> items;
  std::vector<PageMap> maps;
  std::vector<const Entry*> mapped;
  Progress progress("files", inputs.size());
  for (const Input& input : inputs) {
    items.push_back(item_of(input, store));
    if (options.map && std::find(mapped.begin(), mapped.end(), input.entry) == mapped.end()) {
      mapped.push_back(input.entry);
      maps.push_back(page_map(store.oracle(*input.entry), store.lines(*input.entry)));
    }
    progress.show(items.size());
  }
  progress.clear();
  const std::string page = html_page(items, maps);
  write_output_file(options.output, {reinterpret_cast<const std::uint8_t*>(page.data()), page.size()}, options.force);
  fmt::print("{}: {} scenario{}, {} bytes\n", options.output, items.size(), items.size() == 1 ? "" : "s", page.size());
  return kExitClean;
}

constexpr const char* kReportFooter =
    R"(The page needs no network and no other file. Without scripts it can be read; with them, each scenario has a scrubber that
steps through the nested and the reference run, with registers, stacks and code side by side. At the end: what comes of an
event at each boundary of each entry, in its plain contexts.

Examples:
  framefold report reproducers/minios-x86_64-table -o bugs.html
  framefold report --entry minios-x86_64-table artifacts/minios-x86_64-table/crash-0123 -o crash.html)";

}  // namespace

Command report_command(Arguments parent) {
  auto options = std::make_shared<ReportOptions>();
  Arguments app = parent.add_command("report", "Write one HTML page about scenarios");
  app.add_option("FILE", options->paths, "Scenario files and directories of them").required().type_name("");
  app.add_option("-e,--entry", options->entry,
                 "Name of a bundled entry, or path of an entry.toml; wins over what a file says")
      .type_name("NAME|PATH");
  app.add_option("-o,--output", options->output, "File to write").required().type_name("OUT");
  app.add_flag("!--no-map", options->map, "Leave out what comes of an event at each boundary of each entry");
  app.add_unchecked(options->unchecked);
  app.add_flag("-f,--force", options->force, "Overwrite a file with other contents");
  app.footer(kReportFooter);
  return {app, [options] { return write_report(*options); }};
}

}  // namespace framefold
