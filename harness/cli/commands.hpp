// The subcommands: each adds itself to the command line and says what to run when it was chosen.
#pragma once

#include <CLI/App.hpp>
#include <functional>

namespace framefold {

struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;  // gives the exit status; throws InputError and InternalError
};

Command entries_command(CLI::App& parent);
Command check_command(CLI::App& parent);
Command new_command(CLI::App& parent);
Command run_command(CLI::App& parent);
Command show_command(CLI::App& parent);
Command encode_command(CLI::App& parent);
Command explore_command(CLI::App& parent);
Command table_command(CLI::App& parent);
Command mutants_command(CLI::App& parent);
Command explain_command(CLI::App& parent);
Command minimize_command(CLI::App& parent);
Command report_command(CLI::App& parent);
Command debug_command(CLI::App& parent);
Command corpus_command(CLI::App& parent);
Command coverage_command(CLI::App& parent);
Command triage_command(CLI::App& parent);

}  // namespace framefold
