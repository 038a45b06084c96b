// The framefold command.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/commands.hpp"
#include "cli/exit_status.hpp"
#include "image/description.hpp"
#include "machine/cpu.hpp"

namespace framefold {

namespace {

constexpr const char* kDescription =
    "framefold runs the interrupt-return code of Xen paravirtual guests with events arriving at any instruction, and\n"
    "holds what comes out against a run without nesting.";

constexpr const char* kFooter = R"(Examples:
  framefold entries                                            which entry codes there are
  framefold new my/entry.o -o my/entry.toml                    a first description of an object of one's own
  framefold check my/entry.toml                                does a description of one's own hold
  framefold run --entry minios-x86_64-table artifacts/minios-x86_64-table/crash-0123
                                                               what does this input show, and why
  framefold run --trace reproducers/minios-x86_64-table/nmi-masked-scrit.toml
                                                               the same for a text file, step by step
  framefold show --entry minios-x86_64-table crash-0123        an input as text
  framefold encode bug.toml                                    a text as a fuzzer's input
  framefold explore                                            every interleaving of every entry, to closure
  framefold table --check minios-x86_64-table                  does its fixup table say what its code does
  framefold mutants minios-x86_64-fixed                        would it be seen if its code were wrong
  framefold minimize --entry minios-x86_64-table crash-0123    the smallest scenario that shows the same
  framefold report bug.toml -o bug.html                        all about it as one HTML page
  framefold debug --gdb 1234 bug.toml                          step through it in gdb
  framefold explain nmi-masked                                 what a kind of violation means
  framefold triage --entry minios-x86_64-table artifacts/minios-x86_64-table
                                                               which bugs do these crashes show
  framefold corpus --help                                      seeds, dictionaries, merging of corpora
  framefold run --help                                         all about one command

Exit status: 0 clean, or nothing but known violations; 1 a violation; 2 bad use; 3 an error of framefold's own.)";

/// What cannot be said because standard error takes nothing either is still in the exit status.
void complain(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fputs(fmt::format("framefold: {}\n", message).c_str(), stderr);
}

/// What CLI11 says, but for an option that nobody has, or a word that is no command: those it takes for something left
/// out.
std::string parse_complaint(const CLI::App& app, const CLI::ParseError& error, std::span<char*> arguments) {
  for (const std::string& unknown : app.remaining(true)) {
    if (unknown.starts_with('-')) return fmt::format("{}: expected no such option", unknown);
  }
  const auto word = std::find_if(arguments.begin(), arguments.end(), [](const char* a) { return *a != '-'; });
  if (!app.get_subcommands().empty() || word == arguments.end()) {
    return error.what();
  }
  std::string names;
  for (const CLI::App* command : app.get_subcommands({})) {
    names += (names.empty() ? "" : ", ") + command->get_name();
  }
  return fmt::format("{}: expected one of {}", *word, names);
}

int refuse_output(std::string_view reason) {
  complain(fmt::format("standard output: expected a place that can be written: {}", reason));
  return kExitBadUse;
}

/// Output that did not arrive must not look like a result.
int finish(int status) {
  const bool arrived = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  return arrived ? status : refuse_output(std::strerror(errno));
}

int parse_and_run(int argc, char** argv) {
  CLI::App app(kDescription, "framefold");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("framefold {} (Unicorn {})", FRAMEFOLD_VERSION, unicorn_version()));
  const Arguments all(&app);
  const std::vector<Command> commands = {
      entries_command(all), run_command(all),      show_command(all),    encode_command(all),
      explain_command(all), minimize_command(all), explore_command(all), report_command(all),
      debug_command(all),   corpus_command(all),   triage_command(all),  coverage_command(all),
      table_command(all),   mutants_command(all),  check_command(all),   new_command(all)};
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    complain(parse_complaint(app, error, {argv + 1, argv + argc}) + " (--help says how to use it)");
    return kExitBadUse;
  }
  const auto chosen =
      std::find_if(commands.begin(), commands.end(), [](const Command& c) { return c.arguments.chosen(); });
  return chosen->run();
}

}  // namespace

}  // namespace framefold

int main(int argc, char** argv) {
  using namespace framefold;      // NOLINT: main cannot lie in the namespace
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may grow no further is one that cannot be written: EFBIG
  try {
    return finish(parse_and_run(argc, argv));
  } catch (const InputError& error) {
    complain(error.what());
    return kExitBadUse;
  } catch (const std::system_error& error) {  // fmt's, of more output than is buffered, or one that nobody expected
    if (std::ferror(stdout) != 0) {
      return refuse_output(error.code().message());
    }
    complain(fmt::format("internal error: {}", error.what()));
    return kExitInternal;
  } catch (const std::exception& error) {  // InternalError, and what nobody expected
    complain(fmt::format("internal error: {}", error.what()));
    return kExitInternal;
  }
}
