// framefold triage: which bugs a pile of crash files shows.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input_format.hpp"
#include "cli/progress.hpp"
#include "cli/triage.hpp"
#include "image/input_file.hpp"

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

/// Nothing where the file is none that could have crashed; `triage` says why then.
std::optional<Input> read_crash(const std::string& file, const std::string& entry, EntryStore& store, Triage& triage) {
  std::vector<std::uint8_t> bytes;
  std::optional<std::string> reason;
  try {
    if (is_toml_file(file)) return read_input(file, entry, store);
    bytes = read_input_file(file, kMaxInputFile);
    reason = why_no_input(file, bytes);
  } catch (const InputError& error) {
    reason = reason_of(error, file);
  }
  if (std::filesystem::path(file).filename().string().starts_with("slow-unit-")) {
    reason = "expected a crash, found a slow input by its name";
  }
  if (reason) {
    triage.skip({file, *reason});
    return std::nullopt;
  }
  return to_input(file, bytes, entry, store);
}

int run(const TriageOptions& options) {
  EntryStore store(options.unchecked);
  if (!options.entry.empty()) store.find(options.entry, "--entry");  // if it cannot be had, no file can be read
  const std::vector<std::string> files = list_inputs(options.paths);
  Triage triage;
  NewerFormats newer;
  bool violation = false;
  Progress progress("files", files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (const std::optional<Input> input = read_crash(files[i], options.entry, store, triage)) {
      newer.add(input->file, input->version);
      const FileReport report = replay(*input, options, store);
      violation = violation || report.violation;
      triage.add(report);
    }
    progress.show(i + 1);
  }
  progress.clear();
  expect_not_all_skipped(triage.files(), triage.skipped());
  newer.note();
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
nothing is listed, and so is what was skipped since it is no crash: slow inputs, logs and other texts, what is above 1 MiB
or cannot be read. The example of a group is the file with the fewest arrivals.

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
