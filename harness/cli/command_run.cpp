// framefold run: runs scenarios and says what they show.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/boundary_counter.hpp"
#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input_format.hpp"
#include "cli/progress.hpp"
#include "report/moved.hpp"
#include "report/timeline.hpp"
#include "report/verdict.hpp"

namespace framefold {

namespace {

struct RunOptions {
  std::vector<std::string> paths;
  std::string entry;
  std::string known = "skip";
  std::string signature;
  std::string trace;  // empty: none
  bool full = false;
  bool stacks = false;
  bool json = false;
  bool quiet = false;
  bool reproduce = false;
  bool boundaries = false;
  bool unchecked = false;

  bool traces() const { return !trace.empty() || full || stacks; }
  bool report_known() const { return known == "report"; }
};

/// Colour where standard output is a terminal that shows it and nobody asked for none (no-color.org).
bool wants_colour() {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool refused = no_colour != nullptr && *no_colour != '\0';
  return ::isatty(STDOUT_FILENO) == 1 && !refused && terminal != nullptr && std::strcmp(terminal, "dumb") != 0;
}

/// The finding that a reader of this file wants to see: what the file says that it shows, else the violation.
const Finding* finding_to_tell(const Verdict& verdict, const FileReport& report) {
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    if (report.reproduced == Reproduction::yes && report.findings[i].signature == report.expected_signature) {
      return &verdict.findings[i];
    }
  }
  return report.violation ? &verdict.findings[*report.violation] : nullptr;
}

FileReport report_on(const Input& input, const RunOptions& options, EntryStore& store, const Style& style) {
  Oracle& oracle = store.oracle(*input.entry);
  const Verdict& verdict = oracle.judge(input.scenario);
  FileReport report = describe(oracle, input.scenario, verdict, options.report_known());
  report.file = input.file;
  report.entry_option = input.entry_option;
  report.unchecked = options.unchecked;
  if (!input.notes.signature.empty()) {
    expect_signature(report, input.notes.signature);
  }
  if (options.traces()) {
    const TimelineOptions timeline{options.full || options.trace == "full", options.stacks, store.lines(*input.entry)};
    report.timeline = to_text(make_timeline(oracle, input.scenario, finding_to_tell(verdict, report), timeline), style);
  }
  if (report.reproduced == Reproduction::no) {  // at last: it judges other scenarios
    if (const std::optional<Moved> moved = find_moved(oracle, input.scenario, input.notes.signature)) {
      report.reproduced = Reproduction::moved;
      report.moved = to_text(*moved);
    }
  }
  return report;
}

/// With --reproduce: the file shows what it says, and nothing else that is not known.
bool as_expected(const FileReport& report) {
  const bool nothing_new = std::all_of(report.findings.begin(), report.findings.end(), [&](const FindingReport& f) {
    return f.known.has_value() || f.signature == report.expected_signature;
  });
  const bool shows = report.reproduced == Reproduction::yes || report.reproduced == Reproduction::not_asked;
  return nothing_new && shows;
}

int exit_status(const std::vector<FileReport>& reports, const RunOptions& options) {
  const bool good = std::all_of(reports.begin(), reports.end(), [&](const FileReport& report) {
    return options.reproduce ? as_expected(report) : report.status != FileStatus::violation;
  });
  return good ? kExitClean : kExitViolation;
}

/// All are read before the first one runs: a bad file among them is found before anything is printed.
std::vector<Input> inputs_of(const RunOptions& options, EntryStore& store) {
  const std::vector<std::string> files = list_inputs(options.paths);
  std::vector<Input> inputs;
  Progress progress("files read", files.size());
  for (const std::string& file : files) {
    inputs.push_back(read_input(file, options.entry, store));
    if (!options.signature.empty()) {
      expect_of(inputs.back(), options.signature);
    }
    progress.show(inputs.size());
  }
  progress.clear();
  note_newer_formats(inputs);
  return inputs;
}

int run(const RunOptions& options) {
  EntryStore store(options.unchecked);
  const std::vector<Input> inputs = inputs_of(options, store);
  const Style style{!options.json && wants_colour()};
  std::vector<FileReport> reports;
  Summary summary;
  BoundaryCounter boundaries;
  Progress progress("files", inputs.size());
  for (const Input& input : inputs) {
    if (options.boundaries) {
      boundaries.watch(store.oracle(*input.entry));
    }
    reports.push_back(report_on(input, options, store, style));
    const FileReport& report = reports.back();
    count(summary, report);
    const bool noteworthy = report.status == FileStatus::violation || !as_expected(report);
    if (!options.json && (noteworthy || !options.quiet)) {
      progress.clear();
      fmt::print("{}", to_text(report, style));
    }
    progress.show(reports.size());
  }
  progress.clear();
  if (options.json) {
    nlohmann::json json = to_json(reports, summary);
    if (options.boundaries) {
      json["boundaries"] = boundaries.json();
    }
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}{}", to_text(summary), boundaries.text());
  }
  return exit_status(reports, options);
}

constexpr const char* kRunFooter =
    R"(A FILE that ends in .toml is a scenario in text; any other is a fuzzer's input. A directory stands for all files
in it and below, in the order of their names, without hidden ones and *.md.

A text file can name its entry (entry = "...") and the signature that it shows (signature = "..."): run says whether it
still does, or whether the bug has moved: to another place of its bucket, or to arrivals a few boundaries earlier or later.

Examples:
  framefold run --entry minios-x86_64-table artifacts/minios-x86_64-table/crash-0123
  framefold run --trace --known=report reproducers/minios-x86_64-table/nmi-masked-scrit.toml
  framefold run --entry my/entry.toml --json corpus/my > verdicts.json

Exit status: 0 clean, or nothing but known violations; 1 a violation; 2 bad use; 3 an error of framefold's own.)";

}  // namespace

Command run_command(Arguments parent) {
  auto options = std::make_shared<RunOptions>();
  Arguments app = parent.add_command("run", "Run scenarios and say what they show");
  app.add_option("FILE", options->paths, "Scenario files and directories of them").required().type_name("");
  app.add_option("-e,--entry", options->entry,
                 "Name of a bundled entry, or path of an entry.toml; wins over what a file says")
      .type_name("NAME|PATH");
  app.add_option("--known", options->known, "Known violations: skip them, or report them like any other")
      .one_of({"skip", "report"})
      .type_name("skip|report")
      .shows_default();
  app.add_option("--signature", options->signature,
                 "What each file is to show, and what --trace tells of; wins as well")
      .type_name("SIGNATURE");
  app.add_flag("--trace{short}", options->trace,
               "Tell the story of each scenario: what matters; --trace=full: as with --full")
      .one_of({"short", "full"});
  app.add_flag("--full", options->full, "With every instruction of both runs");
  app.add_flag("--stacks", options->stacks, "With a picture of the stacks at each delivery and fold");
  app.add_flag("--json", options->json, "One JSON document instead of text");
  app.add_flag("-q,--quiet", options->quiet, "Say nothing of files that are as they should be");
  app.add_flag("--reproduce", options->reproduce,
               "Exit 0 if every file that names a signature shows it, and nothing else is new");
  app.add_unchecked(options->unchecked);
  app.add_flag("--boundaries", options->boundaries,
               "At the end, what arrived at each boundary of the region, and how often it was folded");
  app.footer(kRunFooter);
  return {app, [options] { return run(*options); }};
}

}  // namespace framefold
