// framefold triage: which bugs a pile of crash files shows.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input.hpp"
#include "cli/progress.hpp"
#include "cli/triage.hpp"

namespace framefold {

namespace {

struct TriageOptions {
  std::vector<std::string> paths;
  std::string entry;
  bool json = false;
  bool unchecked = false;
};

FileReport replay(const Input& input, const TriageOptions& options, EntryStore& store) {
  Oracle& oracle = store.oracle(*input.entry);
  FileReport report = describe(oracle, input.scenario, oracle.judge(input.scenario), false);
  report.file = input.file;
  report.entry_option = input.entry_option;
  report.unchecked = options.unchecked;
  return report;
}

int run(const TriageOptions& options) {
  EntryStore store(options.unchecked);
  const std::vector<std::string> files = list_inputs(options.paths);
  Triage triage;
  bool violation = false;
  Progress progress("files", files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    const FileReport report = replay(read_input(files[i], options.entry, store), options, store);
    violation = violation || report.violation;
    triage.add(report);
    progress.show(i + 1);
  }
  progress.clear();
  if (options.json) {
    fmt::print("{}\n", to_json(triage).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}", to_text(triage));
  }
  return violation ? kExitViolation : kExitClean;
}

constexpr const char* kTriageFooter =
    R"(Replays every file and groups them by bucket: one bug, one bucket. First what is not known: a file stands for its first
violation that is not. Then, apart, every known bug with all files that it shows in; a file may be of several. What shows
nothing is listed. The example of a group is the file with the fewest arrivals.

Example:
  framefold triage --entry minios-x86_64-table artifacts/minios-x86_64-table

Exit status: 0 nothing but known violations; 1 a violation; 2 bad use; 3 an error of framefold's own.)";

}  // namespace

Command triage_command(Arguments parent) {
  auto options = std::make_shared<TriageOptions>();
  Arguments app = parent.add_command("triage", "Group crash files by the bug that they show");
  app.add_option("DIR", options->paths, "Directories of crash files, and files").required().type_name("");
  app.add_option("-e,--entry", options->entry,
                 "Name of a bundled entry, or path of an entry.toml; wins over what a file says")
      .type_name("NAME|PATH");
  app.add_unchecked(options->unchecked);
  app.add_flag("--json", options->json, "One JSON document instead of text");
  app.footer(kTriageFooter);
  return {app, [options] { return run(*options); }};
}

}  // namespace framefold
