// framefold explore: every interleaving, to closure.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <thread>
#include <vector>

#include "check/undefined_functions.hpp"
#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/explore_files.hpp"
#include "cli/explore_page.hpp"
#include "cli/explore_report.hpp"
#include "cli/interruption.hpp"
#include "cli/output_file.hpp"
#include "cli/progress.hpp"
#include "common/bundled.hpp"
#include "machine/internal_error.hpp"

namespace framefold {

namespace {

struct ExploreOptions {
  std::vector<std::string> entries;
  std::vector<std::string> by_option;
  std::optional<unsigned> nmis;
  std::optional<unsigned> exceptions;
  std::optional<unsigned> nested;
  bool thorough = false;
  std::string contexts;
  bool second_values = false;
  bool no_second_values = false;
  unsigned jobs = 0;
  std::size_t memory = 1024;  // MiB
  std::string save;
  std::string junit;
  std::string sarif;
  std::string page;
  bool force = false;
  bool json = false;
  bool verbose = false;
  bool unchecked = false;
};

/// With NMIs and exceptions, those are what the time is for.
Crossing crossing_of(const ExploreOptions& options, const ExploreBounds& bounds) {
  if (options.contexts.empty()) {
    return bounds.nmis + bounds.exceptions == 0 ? Crossing::pairs : Crossing::each;
  }
  return options.contexts == "all" ? Crossing::all : options.contexts == "each" ? Crossing::each : Crossing::pairs;
}

ExplorationOptions exploration_options(const ExploreOptions& options) {
  ExplorationOptions exploration;
  const unsigned thorough = options.thorough ? 1 : 0;
  exploration.bounds.nmis = options.nmis.value_or(thorough);
  exploration.bounds.exceptions = options.exceptions.value_or(thorough);
  exploration.bounds.nested_depth = options.nested.value_or(1);
  exploration.crossing = crossing_of(options, exploration.bounds);
  exploration.second_values = options.second_values || !(options.no_second_values || options.thorough);
  exploration.jobs = options.jobs != 0 ? options.jobs : std::max(1U, std::thread::hardware_concurrency());
  exploration.memory = options.memory << 20;
  return exploration;
}

std::vector<const Entry*> choose_entries(const ExploreOptions& options, EntryStore& store) {
  std::vector<const Entry*> entries;
  for (const std::string& name : options.entries) {
    entries.push_back(&store.find(name, "explore"));
  }
  for (const std::string& name : options.by_option) {
    entries.push_back(&store.find(name, "--entry"));
  }
  if (entries.empty()) {
    for (const BundledEntry& bundled : bundled_entries()) {
      entries.push_back(&store.find(std::string(bundled.name), "explore"));
    }
  }
  for (const Entry* entry : entries) {
    store.expect_an_oracle(*entry);
  }
  return entries;
}

void save(const std::vector<EntryReport>& reports, const ExploreOptions& options) {
  for (const EntryReport& report : reports) {
    for (const Bug& bug : bugs_of(report)) {
      const ExploredViolation& violation = *bug.violation;
      const std::filesystem::path folder = std::filesystem::path(options.save) / report.entry->name();
      std::error_code error;
      std::filesystem::create_directories(folder, error);
      if (error) {
        throw InputError(fmt::format("{}: expected a folder that can be made: {}", folder.string(), error.message()));
      }
      const std::string path = (folder / scenario_file_name(*report.entry, violation)).string();
      const std::string text = scenario_file(*report.entry, bug);
      write_output_file(path, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, options.force);
      fmt::print(stderr, "framefold: {} shows {}\n", path, violation.signature);
    }
  }
}

/// For a CI, which runs again and again in one folder: what was there before is overwritten.
void write_for_ci(const std::string& path, const std::string& text) {
  write_output_file(path, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, true);
}

/// A path whose scenario does not show what the path has shown: one of the two is wrong, and both are ours.
void check_agreement(const std::vector<EntryReport>& reports) {
  for (const EntryReport& report : reports) {
    if (!report.result.disagreements.empty()) {
      throw InternalError(fmt::format("{}: exploration and run disagree on {}", report.entry->name(),
                                      report.result.disagreements.front()));
    }
  }
}

int exit_status(const std::vector<EntryReport>& reports) {
  if (interrupted) {
    fmt::print(stderr, "framefold: interrupted: what is reported is partial, and proves nothing\n");
    return kExitInterrupted;
  }
  const auto has = [&](ExploreVerdict verdict) {
    return std::any_of(reports.begin(), reports.end(), [=](const EntryReport& r) { return r.verdict == verdict; });
  };
  if (has(ExploreVerdict::violated)) {
    return kExitViolation;
  }
  if (has(ExploreVerdict::not_closed)) {
    const bool data = std::any_of(reports.begin(), reports.end(),
                                  [](const EntryReport& report) { return !report.result.values_waiting.empty(); });
    fmt::print(stderr, "framefold: not closed: raise --memory, or lower the bounds{}\n",
               data ? "; where data that is listed counts without end, no memory is enough" : "");
    return kExitBadUse;
  }
  return kExitClean;
}

/// A violation before which nothing was looked at that a function has returned: it is one whatever that is. What else
/// is found says what it rests on.
bool shows_what_is_wrong(const EntryReport& report) {
  const auto& violations = report.result.violations;
  return report.verdict == ExploreVerdict::violated &&
         std::any_of(violations.begin(), violations.end(), [&](const auto& found) {
           const ExploredViolation& violation = found.second;
           return !rests_on_unsaid_value(*report.entry, violation.scenario, violation.kind);
         });
}

/// What code does with a value that the description does not say shows nothing of what it does with others: it is no
/// proof. `unchecked`: what it does wrong with this one is a verdict that says what it rests on.
void expect_values_said(const std::vector<EntryReport>& reports, bool unchecked) {
  for (const EntryReport& report : reports) {
    if (!report.result.unsaid) continue;
    const bool judged = unchecked ? report.verdict == ExploreVerdict::violated : shows_what_is_wrong(report);
    if (judged) continue;
    try {
      fail_with_unsaid_value(*report.entry, *report.result.unsaid);
    } catch (const InputError& error) {
      if (!unchecked) throw;
      throw InputError(fmt::format(
          "{} (with the value that framefold puts there nothing is wrong, which proves nothing)", error.what()));
    }
  }
}

/// Likewise what it does where it has called a function that nobody has described: its trap ends the run.
void expect_calls_described(const std::vector<EntryReport>& reports) {
  for (const EntryReport& report : reports) {
    for (const auto& [signature, violation] : report.result.violations) {
      if (violation.kind != ViolationKind::guest_fault) continue;
      if (const auto undefined = undefined_function_behind(*report.entry, violation.scenario)) {
        throw InputError(*undefined);
      }
    }
  }
}

/// What a CI shows is of this run, whatever comes of `step`.
template <typename Step>
auto shown_in_ci(const ExploreOptions& options, Step step) {
  try {
    return step();
  } catch (const InputError& error) {
    std::vector<std::string> entries = options.entries;
    entries.insert(entries.end(), options.by_option.begin(), options.by_option.end());
    if (!options.junit.empty()) write_for_ci(options.junit, to_junit(error, entries));
    if (!options.sarif.empty()) write_for_ci(options.sarif, to_sarif(error));
    throw;
  }
}

/// One would overwrite the other.
void expect_another_file(const std::string& output, const std::string& other) {
  std::error_code error;
  const auto whole = [&](const std::string& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  };
  if (output.empty() || other.empty() || whole(output) != whole(other)) return;
  throw InputError(fmt::format("{}: expected a file for each of --report, --junit and --sarif", output));
}

/// What is said at the end of a long run has a place: known before it begins.
void expect_places(const ExploreOptions& options) {
  const std::array<const std::string*, 3> files = {&options.page, &options.junit, &options.sarif};
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) expect_another_file(*files[i], *files[j]);
  }
  if (!options.page.empty()) expect_output_place(options.page, options.force);
  if (!options.junit.empty()) expect_output_place(options.junit, true);
  if (!options.sarif.empty()) expect_output_place(options.sarif, true);
  if (!options.save.empty()) expect_output_folder(options.save);
}

void expect_no_inputs(const ExploreOptions& options, std::span<const std::string> inputs) {
  for (const std::string& output : {options.page, options.junit, options.sarif}) {
    expect_no_input(output, inputs);
  }
}

int explore(const ExploreOptions& options) {
  EntryStore store(options.unchecked);
  expect_places(options);
  expect_no_inputs(options, options.entries);
  expect_no_inputs(options, options.by_option);
  const std::vector<const Entry*> entries = shown_in_ci(options, [&] { return choose_entries(options, store); });
  expect_no_inputs(options, store.files());
  const ExplorationOptions exploration = exploration_options(options);
  std::vector<EntryReport> reports;
  {
    const InterruptionGuard guard;
    std::unique_ptr<Progress> progress;
    reports = explore_entries(entries, exploration, interrupted, [&](std::size_t done, std::size_t total) {
      if (!progress) {
        progress = std::make_unique<Progress>("groups of contexts", total);
      }
      progress->show(done);
    });
  }
  shown_in_ci(options, [&] {
    expect_values_said(reports, options.unchecked);
    if (!options.unchecked) expect_calls_described(reports);
  });
  check_agreement(reports);
  if (options.json) {
    fmt::print("{}\n", to_json(reports, exploration).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("{}", to_text(reports, exploration, options.verbose));
  }
  if (!options.save.empty()) {
    save(reports, options);
  }
  if (!options.junit.empty()) {
    write_for_ci(options.junit, to_junit(reports));
  }
  if (!options.sarif.empty()) {
    write_for_ci(options.sarif, to_sarif(reports, store));
  }
  if (!options.page.empty()) {
    const std::string page = explore_page(reports, exploration);
    write_output_file(options.page, {reinterpret_cast<const std::uint8_t*>(page.data()), page.size()}, options.force);
  }
  return exit_status(reports);
}

constexpr const char* kExploreFooter =
    R"(Follows the entry code from every class of interrupted contexts, and at each boundary takes every arrival that Xen
could make there, until no new state comes up: a proof for these contexts, without a bound on the number of events.

Verdicts: `proved`: nothing is wrong whatever arrives where; `proved except known`: nothing but rows of the description,
each listed with the boundaries where it showed; `violated`: with the shortest scenario for each bucket; `not closed`: memory ran
out, or it was interrupted. A row that is `not seen` may need an NMI or an exception: see --thorough.

What an NMI or an exception starts is explored once for all states that it may interrupt alike: of which it looks at the
same. Status flags, ID and AC are taken both ways, all at once. Where the description lists several pending bytes, those
behind the first are raised on paths without NMIs and exceptions only.

Examples:
  framefold explore                                  every bundled entry
  framefold explore -v minios-x86_64-fixed           one, with every context
  framefold explore --thorough minios-x86_64-table   with an NMI and an exception at any boundary besides
  framefold explore --save found my/entry.toml       writes what it finds to found/<entry>/
  framefold explore --report map.html minios-x86_64-table
                                                     states, folds and verdicts, boundary by context
  framefold explore --entry my/entry.toml --junit framefold.xml --sarif framefold.sarif
                                                     as a check of a CI

A description from a file is checked first, as `framefold check` does: where it does not hold, its message is all there is.

Exit status: 0 proved, or proved except known; 1 violated; 2 bad use, a wrong description, or not closed; 3 an error of framefold's own;
130 interrupted.)";

}  // namespace

Command explore_command(Arguments parent) {
  auto options = std::make_shared<ExploreOptions>();
  Arguments app = parent.add_command("explore", "Take every interleaving, to closure: a proof, or what is wrong");
  app.add_option("ENTRY", options->entries, "Names of bundled entries, or paths of entry.toml files; none: all bundled")
      .type_name("");
  app.add_option("-e,--entry", options->by_option, "One more of them; may be repeated")
      .one_value()
      .type_name("NAME|PATH");
  const auto bound = [&](const char* name, std::optional<unsigned>& value, const char* help) {
    app.add_option(name, value, help).range(0U, ExploreBounds::kMost).type_name("N");
  };
  bound("--nmi", options->nmis, "NMIs on a path, at most 3 (default 0)");
  bound("--exceptions", options->exceptions, "Exceptions on a path, at most 3 (default 0)");
  bound("--nested", options->nested,
        "Live activations with which an event handler may be interrupted by an event, at most 3 (default 1)");
  app.add_flag("--thorough", options->thorough,
               "One NMI and one exception on a path; second values only with --second-values");
  app.add_option(
         "--contexts", options->contexts,
         "Variations of contexts (DF, alignment, null selectors...): each by itself; and all at once besides, so "
         "that each two meet (default without NMIs and exceptions); or all crossed")
      .one_of({"each", "pairs", "all"})
      .type_name("each|pairs|all");
  const Argument second = app.add_flag(
      "--second-values", options->second_values,
      "Explore again with other register values, to see whether the graph depends on them (default without "
      "--thorough)");
  app.add_flag("--no-second-values", options->no_second_values, "Do not").excludes(second);
  app.add_option("-j,--jobs", options->jobs, "Threads (default: one a processor)").range(1U, 256U).type_name("N");
  app.add_option(
         "--memory", options->memory,
         "MiB of states and paths at which an exploration ends, not closed (the engine takes some 20 a thread besides)")
      .range(std::size_t{16}, std::size_t{1} << 20)
      .type_name("MIB")
      .shows_default();
  app.add_option("--save", options->save, "Write a reproducer of each bucket to DIR/<entry>/, with its known row")
      .type_name("DIR");
  app.add_option("--report", options->page, "Write a page to FILE: a map of boundaries and contexts an entry")
      .type_name("FILE");
  app.add_flag("-f,--force", options->force, "Overwrite files with other contents");
  app.add_option("--junit", options->junit, "Write JUnit XML for a CI to FILE, whatever is there").type_name("FILE");
  app.add_option("--sarif", options->sarif, "Write SARIF 2.1.0 for a CI to FILE, whatever is there").type_name("FILE");
  app.add_unchecked(options->unchecked);
  app.add_flag("--json", options->json, "One JSON document instead of text");
  app.add_flag("-v,--verbose", options->verbose, "Every context");
  app.footer(kExploreFooter);
  return {app, [options] { return explore(*options); }};
}

}  // namespace framefold
