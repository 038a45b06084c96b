// framefold debug: a scenario's run under GDB.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input_format.hpp"
#include "debug/debug_session.hpp"

namespace framefold {

namespace {

struct DebugOptions {
  std::string file;
  std::string entry;
  std::size_t port = 0;
  bool reference = false;
  bool unchecked = false;
};

int debug(const DebugOptions& options) {
  EntryStore store(options.unchecked);
  const Input input = read_input(options.file, options.entry, store);
  note_newer_formats({&input, 1});
  Oracle& oracle = store.oracle(*input.entry);
  const std::vector<std::uint8_t> image = store.image(*input.entry);
  const ExecFile file(input.entry->name() + ".elf", image);
  Listener listener(static_cast<std::uint16_t>(options.port));
  fmt::print("framefold: waiting for gdb: target remote 127.0.0.1:{}\n", listener.port());
  if (std::fflush(stdout) != 0) {
    return kExitBadUse;  // nobody will come; main says why
  }
  DebugSession::End end = DebugSession::End::gone;
  while (end == DebugSession::End::gone) {
    Connection connection(listener.accept(), listener);
    end = DebugSession(oracle, input.scenario, options.reference, file, connection).serve();
  }
  return kExitClean;
}

constexpr const char* kDebugFooter =
    R"(Listens on the loopback address only. gdb finds the run at the first instruction that Xen enters. It gets symbols and source
lines of the entry's image from here; stepi, continue, break (addresses and symbols), x, info registers, writes to registers
and memory, and backwards reverse-stepi and reverse-continue work as usual. To go back, the run is repeated up to there, with
what was written before. Each stop is at a boundary: the points at which Xen can take control.

  monitor next-delivery    the next continue stops where Xen has entered the guest
  monitor where            step, place, event mask, pending byte; at the end of the run, the verdict
  monitor goto STEP        the next continue stops at this step of the story (framefold run --trace)

Of the selectors DS, ES, FS and GS can be written, where the guest could load them. A written RIP or RFLAGS takes effect at
once, and costs the run one boundary more. At the end of the run gdb's console and `monitor where` say what the scenario shows,
signature and meaning. A run ends where nothing behind it is judged: at a handler's wrong frame, a wrong mask. Once something is
written it is no longer the scenario's: it goes on there too, as the guest makes it, and there is no verdict on it.

Ends when gdb detaches or kills; a client that disappears makes room for the next. While one is attached, others are turned
away; one that has sent nothing in a second makes room for one that waits.

Example:
  framefold debug --gdb 1234 reproducers/minios-x86_64-table/nmi-masked-scrit.toml &
  gdb -ex 'target remote 127.0.0.1:1234' -ex 'break scrit' -ex continue)";

}  // namespace

Command debug_command(Arguments parent) {
  auto options = std::make_shared<DebugOptions>();
  Arguments app = parent.add_command("debug", "Step through a scenario's run in gdb, forwards and backwards");
  app.add_option("FILE", options->file, "A fuzzer's input, or a scenario in text").required().type_name("");
  app.add_option("-e,--entry", options->entry,
                 "Name of a bundled entry, or path of an entry.toml; wins over what a file says")
      .type_name("NAME|PATH");
  app.add_option("--gdb", options->port, "Port to listen on; 0: one that is free")
      .required()
      .type_name("PORT")
      .range(0, UINT16_MAX);
  app.add_unchecked(options->unchecked);
  app.add_flag("--reference", options->reference, "The reference run instead of the nested one");
  app.footer(kDebugFooter);
  return {app, [options] { return debug(*options); }};
}

}  // namespace framefold
