// framefold explain: what a kind of violation means, and what a signature says.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "report/place.hpp"
#include "report/text.hpp"

namespace framefold {

namespace {

struct ExplainOptions {
  std::string what;
  std::string entry;
  bool json = false;
};

/// A signature taken apart and found in its entry.
struct Place {
  const Entry* entry = nullptr;
  std::string location;      // "scrit+0x84"
  GuestAddress address;      // of the boundary
  std::string instruction;   // there; may be empty
  bool offset_said = false;  // otherwise it is a bucket: any boundary behind the symbol
};

const ViolationKindInfo& kind_of(const std::string& name) {
  const std::optional<ViolationKind> kind = violation_kind_from_name(name);
  if (!kind) {
    std::string names;
    for (const ViolationKindInfo& info : violation_kinds()) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", info.name);
    }
    throw InputError(fmt::format("explain: '{}': expected a signature, or one of {}", name, names));
  }
  return info_of(*kind);
}

const Entry& entry_of(const std::string& name, const ExplainOptions& options, EntryStore& store) {
  const Entry& entry = store.find(options.entry.empty() ? name : options.entry,
                                  options.entry.empty() ? "explain: entry of the signature" : "--entry");
  if (entry.name() != name) {
    throw InputError(fmt::format("explain: '{}': expected a signature of {}", options.what, entry.name()));
  }
  return entry;
}

Place place_of(const Entry& entry, const std::string& location, const ExplainOptions& options, EntryStore& store) {
  Place place;
  place.entry = &entry;
  const std::optional<GuestAddress> address = parse_location(*place.entry, location);
  if (!address) {
    throw InputError(fmt::format("explain: '{}': expected a place of {} after the kind, such as {}", options.what,
                                 entry.name(), entry.named.front().name));
  }
  place.location = location;
  place.address = *address;
  place.offset_said = location.find('+') != std::string::npos;
  place.instruction = instruction_text(store.oracle(*place.entry).execution().guest(), *address);
  if (place.offset_said && place.instruction.empty()) {
    throw InputError(
        fmt::format("explain: '{}': expected the place of an instruction, none begins at {}", options.what, location));
  }
  return place;
}

bool same_place(const KnownRow& row, const Place& place) {
  return row.first <= place.address && place.address <= row.last;
}

/// Rows of the description for this place, and for others behind the same symbol.
std::vector<const KnownRow*> known_rows(const ViolationKindInfo& info, const Place& place) {
  std::vector<const KnownRow*> rows;
  for (const KnownRow& row : place.entry->known) {
    const std::optional<Location> at = locate(*place.entry, row.first);
    const std::optional<Location> asked = locate(*place.entry, place.address);
    const bool near = at && asked && at->symbol == asked->symbol;
    if (row.description.kind == info.name && (near || same_place(row, place))) {
      rows.push_back(&row);
    }
  }
  return rows;
}

std::string known_text(const KnownRow& row, const Place& place) {
  const KnownDescription& known = row.description;
  std::string when;
  for (const KnownCondition condition : known.when) {
    when += fmt::format("{}{}", when.empty() ? ", when " : ", ", name_of(condition));
  }
  const std::string at = known.first == known.last ? known.first : fmt::format("{} to {}", known.first, known.last);
  const std::string_view near = place.offset_said && !same_place(row, place) ? "not here, but near: " : "";
  return fmt::format("{}at {}{}: {} (reproducers/{}/{})", near, at, when, known.why, place.entry->name(),
                     known.reproducer);
}

void print_place(const ViolationKindInfo& info, const Place& place) {
  fmt::print("{}", labelled("entry", fmt::format("{}: {}", place.entry->name(), place.entry->description.summary)));
  const std::string_view which = place.offset_said ? "boundary before" : "a boundary behind this symbol; there:";
  fmt::print("{}", labelled("where", place.instruction.empty()
                                         ? place.location
                                         : fmt::format("{}, {} {}", place.location, which, place.instruction)));
  fmt::print("{}", labelled("which is", info.cause == CauseRule::arrival
                                            ? "where the arrival is taken without which it does not show, or where it "
                                              "shows if none is needed"
                                            : "the instruction that was judged: the call, or the return"));
  for (const KnownRow* row : known_rows(info, place)) {
    fmt::print("{}", labelled("known", known_text(*row, place)));
  }
}

void print_explanation(const ViolationKindInfo& info, const std::optional<Place>& place) {
  fmt::print("{}: {}\n", info.name, info.text);
  if (place) {
    print_place(info, *place);
  }
  const auto told = [&place](std::string_view label, std::string_view text) {
    return labelled(label, place ? for_width(text, place->entry->width()) : std::string(text));
  };
  fmt::print("{}{}{}{}", told("promise", info.promise), told("why", info.why), told("usual", info.usual),
             told("look at", info.look));
}

nlohmann::json to_json(const ViolationKindInfo& info, const std::optional<Place>& place) {
  nlohmann::json json = {{"kind", info.name}, {"text", info.text},   {"promise", info.promise},
                         {"why", info.why},   {"usual", info.usual}, {"look_at", info.look}};
  if (place) {
    nlohmann::json known = nlohmann::json::array();
    for (const KnownRow* row : known_rows(info, *place)) {
      known.push_back({{"at", {row->description.first, row->description.last}},
                       {"here", same_place(*row, *place)},
                       {"why", row->description.why},
                       {"reproducer", row->description.reproducer}});
    }
    json["entry"] = place->entry->name();
    json["place"] = place->location;
    json["instruction"] = place->instruction;
    json["known"] = std::move(known);
  }
  return json;
}

int explain_all(bool json) {
  nlohmann::json all = nlohmann::json::array();
  for (const ViolationKindInfo& info : violation_kinds()) {
    if (json) {
      all.push_back(to_json(info, std::nullopt));
    } else {
      fmt::print("{:<18} {}\n", info.name, info.text);
    }
  }
  if (json) {
    fmt::print("{}\n", all.dump(2));
  }
  return kExitClean;
}

int explain(const ExplainOptions& options) {
  if (options.what.empty()) {
    return explain_all(options.json);
  }
  // <entry>:<kind>:<place>; the place may be left out.
  const std::size_t first = options.what.find(':');
  const std::size_t second = first == std::string::npos ? first : options.what.find(':', first + 1);
  EntryStore store;
  std::optional<Place> place;
  const std::string kind =
      first == std::string::npos ? options.what : options.what.substr(first + 1, second - first - 1);
  const ViolationKindInfo& info = kind_of(kind);
  if (first != std::string::npos) {
    const Entry& entry = entry_of(options.what.substr(0, first), options, store);
    if (second != std::string::npos) {
      place = place_of(entry, options.what.substr(second + 1), options, store);
    }
  }
  if (options.json) {
    fmt::print("{}\n", to_json(info, place).dump(2));
  } else {
    print_explanation(info, place);
  }
  return kExitClean;
}

constexpr const char* kExplainFooter =
    R"(A signature is <entry>:<kind>:<symbol+offset>; without the offset it names a bug's bucket. Without an argument: all kinds,
a line each.

Examples:
  framefold explain
  framefold explain lost-event
  framefold explain minios-x86_64-table:nmi-masked:scrit+0x84)";

}  // namespace

Command explain_command(Arguments parent) {
  auto options = std::make_shared<ExplainOptions>();
  Arguments app = parent.add_command("explain", "Say what a kind of violation, or a signature, means");
  app.add_option("WHAT", options->what, "A kind of violation, or a signature").type_name("");
  app.add_option("-e,--entry", options->entry,
                 "Name of a bundled entry, or path of an entry.toml, for a signature of an entry of one's own")
      .type_name("NAME|PATH");
  app.add_flag("--json", options->json, "JSON instead of text");
  app.footer(kExplainFooter);
  return {app, [options] { return explain(*options); }};
}

}  // namespace framefold
