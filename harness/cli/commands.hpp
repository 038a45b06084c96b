// The subcommands: each adds itself to the command line and says what to run when it was chosen.
#pragma once

#include <functional>

#include "cli/arguments.hpp"

namespace framefold {

struct Command {
  Arguments arguments;
  std::function<int()> run;  // gives the exit status; throws InputError and InternalError
};

Command entries_command(Arguments parent);
Command check_command(Arguments parent);
Command new_command(Arguments parent);
Command run_command(Arguments parent);
Command show_command(Arguments parent);
Command encode_command(Arguments parent);
Command explore_command(Arguments parent);
Command table_command(Arguments parent);
Command mutants_command(Arguments parent);
Command explain_command(Arguments parent);
Command minimize_command(Arguments parent);
Command report_command(Arguments parent);
Command debug_command(Arguments parent);
Command corpus_command(Arguments parent);
Command coverage_command(Arguments parent);
Command triage_command(Arguments parent);

}  // namespace framefold
