// framefold table: the fixup table of an entry, derived by running it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "table/check_table.hpp"

namespace framefold {

namespace {

struct TableOptions {
  std::string entry;
  bool check = false;
  bool json = false;
  bool unchecked = false;
  std::string emit;
};

std::string line_of(const SourceLines* lines, GuestAddress address) {
  const SourceLine line = lines == nullptr ? SourceLine{} : lines->find(address);
  return line.line == 0 ? std::string("-") : fmt::format("{}:{}", *line.file, line.line);
}

std::string values_of(const TableBoundary& boundary) {
  std::string text;
  for (const std::int64_t value : boundary.popped) {
    text += fmt::format("{}{:#04x}", text.empty() ? "" : "|", value);
  }
  return text.empty() ? std::string("-") : text;
}

void print_table(const FixupTable& table, const SourceLines* lines) {
  const Entry& entry = *table.entry;
  fmt::print("{:<22} {:<40} {:<6} {}\n", "BOUNDARY", "INSTRUCTION", "POPPED", "STILL SAVED");
  for (const TableBoundary& boundary : table.boundaries) {
    std::string note = fmt::format("{}", fmt::join(boundary.saved, " "));
    if (!boundary.pushed.empty()) {
      note += fmt::format("{}(pushed again: {})", note.empty() ? "" : " ", fmt::join(boundary.pushed, ", "));
    }
    if (!boundary.lost.empty()) {
      note += fmt::format("{}(nowhere: {})", note.empty() ? "" : " ", fmt::join(boundary.lost, ", "));
    }
    if (!boundary.reached()) {
      note = "no context comes here";
    }
    fmt::print("{:<22} {:<40} {:<6} {}\n", format_location(entry, boundary.instruction->address),
               boundary.instruction->text, values_of(boundary), note.empty() ? "-" : note);
  }
  fmt::print("\nOf the frame's {:#x} bytes below what Xen pushes. Source: {}\n", table.frame_words,
             line_of(lines, entry.region.begin));
}

void print_check(const FixupTable& table, const TableCheck& check, const SourceLines* lines) {
  const Entry& entry = *table.entry;
  for (const TableDifference& difference : check.differences) {
    const Instruction& instruction = *difference.boundary->instruction;
    const std::uint64_t inside = difference.address - instruction.address;
    fmt::print("{}: table says {}, the code {}: {}{} ({})\n", format_location(entry, difference.address),
               difference.found, difference.expected, inside == 0 ? "" : fmt::format("byte {} of ", inside),
               instruction.text, line_of(lines, instruction.address));
  }
  for (const GuestAddress address : check.same_effect) {
    fmt::print("{}: another value, to the same effect\n", format_location(entry, address));
  }
  for (const GuestAddress address : check.unreached) {
    fmt::print("{}: not checked: no context comes here\n", format_location(entry, address));
  }
  fmt::print("{}: {}\n", entry.name(),
             check.differences.empty() ? std::string("equal")
                                       : fmt::format("{} of what it says differs", check.differences.size()));
}

nlohmann::ordered_json to_json(const TableBoundary& boundary, const Entry& entry, const SourceLines* lines) {
  const Instruction& instruction = *boundary.instruction;
  nlohmann::ordered_json json{{"place", format_location(entry, instruction.address)},
                              {"offset", instruction.address - entry.region.begin},
                              {"length", instruction.length},
                              {"instruction", instruction.text},
                              {"source", nullptr},
                              {"reached", boundary.reached()},
                              {"popped", boundary.popped},
                              {"saved", boundary.saved},
                              {"pushed", boundary.pushed},
                              {"lost", boundary.lost}};
  if (const SourceLine line = lines == nullptr ? SourceLine{} : lines->find(instruction.address); line.line != 0) {
    json["source"] = {{"file", *line.file}, {"line", line.line}};
  }
  return json;
}

nlohmann::ordered_json to_json(const TableCheck& check, const Entry& entry) {
  auto differences = nlohmann::ordered_json::array();
  for (const TableDifference& difference : check.differences) {
    differences.push_back({{"place", format_location(entry, difference.address)},
                           {"offset", difference.address - entry.region.begin},
                           {"boundary", format_location(entry, difference.boundary->instruction->address)},
                           {"found", difference.found},
                           {"expected", difference.expected}});
  }
  const auto places = [&](const std::vector<GuestAddress>& addresses) {
    auto list = nlohmann::ordered_json::array();
    for (const GuestAddress address : addresses) {
      list.push_back(format_location(entry, address));
    }
    return list;
  };
  return {{"equal", check.differences.empty()},
          {"differences", differences},
          {"same_effect", places(check.same_effect)},
          {"unreached", places(check.unreached)}};
}

void print_json(const FixupTable& table, const TableCheck* check, const SourceLines* lines) {
  const Entry& entry = *table.entry;
  auto boundaries = nlohmann::ordered_json::array();
  for (const TableBoundary& boundary : table.boundaries) {
    boundaries.push_back(to_json(boundary, entry, lines));
  }
  nlohmann::ordered_json json{{"entry", entry.name()}, {"frame_bytes", table.frame_words}, {"boundaries", boundaries}};
  if (check != nullptr) {
    json["check"] = to_json(*check, entry);
  }
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

int run_table(const TableOptions& options) {
  EntryStore store(options.unchecked);
  const Entry& entry = store.find(options.entry, "table");
  if (entry.region.size() == 0) {
    throw description_error(entry.description, "region",
                            "missing: expected the labels around where events are unmasked (`framefold check` says "
                            "where): a fixup table is one byte for each byte between them");
  }
  Oracle& oracle = store.oracle(entry);
  const FixupTable table = derive_table(entry);
  const SourceLines* lines = store.lines(entry);
  if (!options.check && options.emit.empty()) {
    options.json ? print_json(table, nullptr, lines) : print_table(table, lines);
    return kExitClean;
  }
  TableCheck check;
  if (options.check || can_check(entry)) {
    check = check_table(table, oracle);
  }
  if (!options.emit.empty()) {
    fmt::print("{}", to_gas(table, table_bytes(table, &check)));
  }
  if (options.check) {
    options.json ? print_json(table, &check, lines) : print_check(table, check, lines);
    return check.differences.empty() ? kExitClean : kExitViolation;
  }
  return kExitClean;
}

constexpr const char* kTableFooter =
    R"(Runs the entry from every class of contexts, without and with an event that is pending when events are unmasked, and
notes at each boundary of the region how many bytes of the interrupted frame are gone: what a fold by table needs there.
Where the frame lies is taken from the return, or the handler call, that comes after.

--check holds that against the image: the bytes of its table, or, for a fold that saves one register, the two zones before and
behind restore_end. A byte that says something else but is taken for the same (no event at its boundary shows anything) is
no difference.

Examples:
  framefold table minios-x86_64-table
  framefold table --check minios-x86_64-table
  framefold table --check --json minios-x86_64-table
  framefold table --emit gas my/entry.toml > table.inc

Exit status: 0 equal; 1 differs; 2 bad use; 3 an error of framefold's own.)";

}  // namespace

Command table_command(Arguments parent) {
  auto options = std::make_shared<TableOptions>();
  Arguments app = parent.add_command("table", "Derive the fixup table of an entry by running its code");
  app.add_option("ENTRY,-e,--entry", options->entry, "Name of a bundled entry, or path of an entry.toml file")
      .required()
      .type_name("");
  Argument check = app.add_flag("--check", options->check, "Compare with the image; exit status 1 where it differs");
  Argument json = app.add_flag("--json", options->json, "One JSON document instead of text");
  app.add_option("--emit", options->emit, "Print the table as source text, ready to include")
      .one_of({"gas"})
      .type_name("gas")
      .excludes(check)
      .excludes(json);
  app.add_unchecked(options->unchecked);
  app.footer(kTableFooter);
  return {app, [options] { return run_table(*options); }};
}

}  // namespace framefold
