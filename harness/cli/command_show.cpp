// framefold show: a scenario as text, with what running it says about its arrivals.
#include <fmt/format.h>

#include <memory>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input_format.hpp"
#include "report/timeline.hpp"

namespace framefold {

namespace {

struct ShowOptions {
  std::string file;
  std::string entry;
  bool unchecked = false;
};

int show(const ShowOptions& options) {
  EntryStore store(options.unchecked);
  const Input input = read_input(options.file, options.entry, store);
  note_newer_formats({&input, 1});
  Oracle& oracle = store.oracle(*input.entry);
  ScenarioNotes notes = input.notes;
  notes.entry = input.entry->name();
  const Finding* violation = oracle.judge(input.scenario).violation();
  if (notes.signature.empty() && violation != nullptr) {
    notes.signature = signature_of(*input.entry, *violation);
  }
  const auto label = [&](std::size_t i) {
    return arrival_label(oracle.execution().guest(), oracle.nested().arrivals[i]);
  };
  fmt::print("{}", to_toml(input.scenario, *input.entry, notes, label));
  return kExitClean;
}

constexpr const char* kShowFooter =
    R"(The text says beside each arrival where it was taken. Where the scenario shows a violation that is not known, the text
names its signature, so that `framefold run` can tell whether it still does.

Example:
  framefold show --entry minios-x86_64-table artifacts/minios-x86_64-table/crash-0123 > bug.toml)";

}  // namespace

Command show_command(Arguments parent) {
  auto options = std::make_shared<ShowOptions>();
  Arguments app = parent.add_command("show", "Print a scenario as text (TOML)");
  app.add_option("FILE", options->file, "A fuzzer's input, or a scenario in text").required().type_name("");
  app.add_option("-e,--entry", options->entry,
                 "Name of a bundled entry, or path of an entry.toml; wins over what a file says")
      .type_name("NAME|PATH");
  app.add_unchecked(options->unchecked);
  app.footer(kShowFooter);
  return {app, [options] { return show(*options); }};
}

}  // namespace framefold
