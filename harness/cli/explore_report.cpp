#include "cli/explore_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "check/check_fault.hpp"
#include "check/claims.hpp"
#include "report/text.hpp"
#include "scenario/toml.hpp"

namespace framefold {

namespace {

std::vector<std::string> names_of(const Entry& entry, const std::vector<GuestAddress>& places) {
  std::vector<std::string> names;
  std::transform(places.begin(), places.end(), std::back_inserter(names),
                 [&](GuestAddress place) { return format_location(entry, place); });
  return names;
}

std::vector<std::string> conditions_of(ConditionSet set) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kKnownConditionCount; ++i) {
    if ((set >> i & 1) != 0) {
      names.push_back(fmt::format("\"{}\"", name_of(static_cast<KnownCondition>(i))));
    }
  }
  return names;
}

std::string coverage_of(const EntryReport& report) {
  return report.region_boundaries == 0 ? "none" : fmt::format("{}/{}", report.region_covered, report.region_boundaries);
}

std::string verdict_text(const EntryReport& report) {
  std::string text(name_of(report.verdict));
  if (const std::string why = why_partial(report); !why.empty()) {
    text += fmt::format(" ({})", why);
  }
  return text;
}

constexpr std::size_t kColumns = 8;
using Row = std::array<std::string, kColumns>;

std::string table_of(std::span<const EntryReport> reports) {
  std::vector<Row> rows{{"ENTRY", "CONTEXTS", "STATES", "TRANSITIONS", "REGION", "FOLDS", "STACK", "VERDICT"}};
  for (const EntryReport& report : reports) {
    const ExploreCounts& counts = report.result.counts;
    rows.push_back({report.entry->name(), grouped(counts.contexts), grouped(counts.states), grouped(counts.transitions),
                    coverage_of(report), grouped(counts.folds), grouped(counts.deepest_stack), verdict_text(report)});
  }
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < kColumns; ++i) {
      text += i == 0 ? fmt::format("{:<{}}  ", row[i], widths[i]) : fmt::format("{:>{}}  ", row[i], widths[i]);
    }
    text += row.back() + "\n";
  }
  return text;
}

std::string rows_text(const EntryReport& report) {
  const Entry& entry = *report.entry;
  std::string text;
  for (const RowReport& row : report.rows) {
    const KnownDescription& known = entry.known[row.row].description;
    const std::string when = known.when.empty() ? "" : [&] {
      std::vector<std::string_view> words;
      std::transform(known.when.begin(), known.when.end(), std::back_inserter(words),
                     [](KnownCondition c) { return name_of(c); });
      return fmt::format(", when {}", fmt::join(words, ", "));
    }();
    if (!row.seen.empty()) {
      text += fmt::format("  known       {} at {}{}\n", known.kind, fmt::join(names_of(entry, row.seen), ", "), when);
    }
    if (!row.unseen.empty()) {
      text += fmt::format("  not seen    {} at {}{}\n", known.kind, fmt::join(names_of(entry, row.unseen), ", "), when);
    }
  }
  return text;
}

/// Rows of `calls` that say something of another code, or of what only other bounds reach.
std::string calls_text(const EntryReport& report) {
  const Entry& entry = *report.entry;
  std::string text;
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    const Instruction* const first = find_instruction(entry, entry.calls[i].address);
    const auto index = static_cast<std::size_t>(first - entry.instructions.data());
    if (first == nullptr || entry.calls[i].description.never || report.result.covered[index] != 0) continue;
    text += fmt::format("  not called  {} (calls[{}])\n", entry.calls[i].description.symbol, i);
  }
  return text;
}

/// Where memory ran out: data that counts without end makes states without end.
std::string data_text(const EntryReport& report) {
  std::string text;
  for (const auto& [word, values] : report.result.values_waiting) {
    text += fmt::format("  data        {}: {} values in the states that waited when memory ran out\n",
                        data_name(*report.entry, word), grouped(values));
  }
  return text;
}

std::string ports_text(const EntryReport& report) {
  const std::string note = ports_note(report);
  return note.empty() ? "" : fmt::format("  ports       {}\n", note);
}

std::string dimensions_text(const EntryReport& report) {
  std::vector<ContextClass> classes;
  std::transform(report.contexts.begin(), report.contexts.end(), std::back_inserter(classes),
                 [](const ContextReport& c) { return c.context; });
  std::vector<std::string> parts;
  for (const Dimension& dimension : dimensions_of(classes)) {
    if (dimension.values > 1) {
      parts.push_back(fmt::format("{} {}", dimension.values, dimension.name));
    }
  }
  return fmt::format("  contexts    {} of {}\n", classes.size(), fmt::join(parts, ", "));
}

/// Which RIPs of the window contexts have.
std::string places_text(const Entry& entry) {
  if (!entry.description.user_mode) return "no user's context is judged, so none has its RIP there";
  if (entry.critical.size() == 0)
    return "no context has its RIP there: code that takes such a one for its own is not told";
  return fmt::format("users' contexts have their RIP there too, from {} up to {}",
                     format_location(entry, entry.critical.begin), format_location(entry, entry.critical.end));
}

/// Where no labels are described: the region as it was seen.
std::string region_text(const EntryReport& report) {
  const Entry& entry = *report.entry;
  if (entry.region.size() != 0) {
    return "";
  }
  std::vector<std::string> parts;
  const auto add = [&](std::string_view where, const std::vector<GuestAddress>& seen) {
    if (!seen.empty()) {
      parts.push_back(fmt::format("{}from {} to {}, at {} instructions", where, format_location(entry, seen.front()),
                                  format_location(entry, seen.back()), seen.size()));
    }
  };
  add("", report.unmasked);
  add("on the hypercall page ", report.unmasked_on_page);
  return parts.empty() ? "  region      none: events are unmasked nowhere\n"
                       : fmt::format(
                             "  region      not described; events are unmasked {}\n"
                             "              {}\n",
                             fmt::join(parts, ", and "), places_text(entry));
}

/// Which RIPs of it users' contexts have.
nlohmann::json places_json(const Entry& entry) {
  if (!entry.description.user_mode || entry.critical.size() == 0) return nullptr;
  return {{"from", format_location(entry, entry.critical.begin)},
          {"up_to", format_location(entry, entry.critical.end)}};
}

nlohmann::json unmasked_json(const EntryReport& report) {
  std::vector<GuestAddress> all = report.unmasked;
  all.insert(all.end(), report.unmasked_on_page.begin(), report.unmasked_on_page.end());
  return names_of(*report.entry, all);
}

std::string contexts_text(const EntryReport& report) {
  std::string text;
  for (const ContextReport& context : report.contexts) {
    const std::string shown = context.violations != 0 ? fmt::format(", {} violations", context.violations) : "";
    const std::string known = context.known != 0 ? fmt::format(", {} known", context.known) : "";
    text += fmt::format("    {}: {} states, {} transitions{}{}{}\n", describe_context(context.context, *report.entry),
                        grouped(context.counts.states), grouped(context.counts.transitions), shown, known,
                        context.explored ? "" : ", not closed");
  }
  return text;
}

std::string violations_text(const EntryReport& report) {
  std::string text;
  for (const Bug& bug : bugs_of(report)) {
    const ExploredViolation& violation = *bug.violation;
    const std::string others =
        bug.signatures == 1 ? "" : fmt::format("; the same at {} other boundaries", bug.signatures - 1);
    text +=
        fmt::format("  violation   {}: {} arrivals{}\n", violation.signature, violation.scenario.arrival_count, others);
    const std::string claims = rests_on(violation.kind, violation.cause, *report.entry, violation.scenario);
    text += claims.empty() ? "" : fmt::format("  rests on    {}\n", claims);
    text += fmt::format("\n{}\n", scenario_file(*report.entry, violation));
  }
  for (const std::string& kind : report.result.inexpressible) {
    text += fmt::format("  violation   {}, on a path of more than {} arrivals: no scenario can hold it\n", kind,
                        kMaxArrivals);
  }
  return text;
}

std::string rests_text(const Entry& entry) {
  std::string text;
  for (const std::string& line : scope_of(entry)) text += fmt::format("  rests on    {}\n", line);
  std::vector<std::string> keys;
  for (const Claim& claim : claims_of(entry)) keys.push_back(claim.key);
  return keys.empty() ? text
                      : text + fmt::format("  rests on    what no code shows, as `framefold check` lists it: {}\n",
                                           fmt::join(keys, ", "));
}

std::string entry_text(const EntryReport& report, bool verbose) {
  const Entry& entry = *report.entry;
  std::string text =
      fmt::format("\n{}: {}\n{}", entry.name(), verdict_text(report), dimensions_text(report) + region_text(report));
  text += rests_text(entry);
  text += verbose ? contexts_text(report) : "";
  text += rows_text(report) + calls_text(report) + data_text(report) + ports_text(report);
  if (!report.value_dependent.empty()) {
    text += fmt::format(
        "  values      {} graphs are others with other values of registers, flags, error codes and a masked "
        "port; the first: {}\n",
        report.value_dependent.size(), describe_context(report.value_dependent.front(), entry));
  }
  if (report.refined_groups != 0) {
    text += fmt::format(
        "  classes     {} groups of contexts explored anew: what is interrupted alike does not go on alike\n",
        report.refined_groups);
  }
  return text + violations_text(report);
}

std::string_view name_of(Crossing crossing) {
  constexpr std::array<std::string_view, 4> kNames = {"none", "each", "pairs", "all"};
  return kNames[static_cast<std::size_t>(crossing)];
}

std::string_view variations_text(Crossing crossing) {
  constexpr std::array<std::string_view, 4> kTexts = {"without variations", "with one variation at a time",
                                                      "with one variation at a time and all at once",
                                                      "with all variations crossed"};
  return kTexts[static_cast<std::size_t>(crossing)];
}

std::string bounds_text(const ExplorationOptions& options) {
  const ExploreBounds& b = options.bounds;
  const auto count = [](unsigned n, std::string_view noun) {
    return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
  };
  const bool by_class = b.chains && b.nmis + b.exceptions > 0;
  return fmt::format(
      "Bounds: events unbounded; at most {} and {} on a path; an event handler is interrupted by an event of its own\n"
      "with at most {} live, one deep; contexts {}{}.\n{}",
      count(b.nmis, "NMI"), count(b.exceptions, "exception"), count(b.nested_depth, "activation"),
      variations_text(options.crossing),
      options.second_values ? ", each graph the same with other register values unless said otherwise" : "",
      by_class
          ? "What an NMI or exception starts is explored once for all states of which it looks at the same. With it, "
            "of a description's\npending bytes only the first is raised.\n"
          : "");
}

nlohmann::json context_json(const ContextReport& context, const Entry& entry) {
  return {{"context", describe_context(context.context, entry)},
          {"states", context.counts.states},
          {"transitions", context.counts.transitions},
          {"folds", context.counts.folds},
          {"deepest_stack", context.counts.deepest_stack},
          {"known", context.known},
          {"violations", context.violations},
          {"closed", context.explored}};
}

nlohmann::json contexts_json(const std::vector<ContextClass>& contexts, const Entry& entry) {
  nlohmann::json names = nlohmann::json::array();
  std::transform(contexts.begin(), contexts.end(), std::back_inserter(names),
                 [&](const ContextClass& c) { return describe_context(c, entry); });
  return names;
}

nlohmann::json entry_json(const EntryReport& report) {
  const Entry& entry = *report.entry;
  const ExploreCounts& counts = report.result.counts;
  nlohmann::json rows = nlohmann::json::array();
  for (const RowReport& row : report.rows) {
    rows.push_back({{"row", row.row},
                    {"kind", entry.known[row.row].description.kind},
                    {"seen", names_of(entry, row.seen)},
                    {"unseen", names_of(entry, row.unseen)}});
  }
  nlohmann::json violations = nlohmann::json::array();
  for (const auto& [signature, violation] : report.result.violations) {
    const std::string claims = rests_on(violation.kind, violation.cause, entry, violation.scenario);
    violations.push_back({{"signature", signature},
                          {"rests_on", claims.empty() ? nlohmann::json(nullptr) : nlohmann::json(claims)},
                          {"arrivals", violation.scenario.arrival_count},
                          {"scenario", scenario_file(entry, violation)},
                          {"known_row", known_row(entry, violation)}});
  }
  nlohmann::json contexts = nlohmann::json::array();
  std::transform(report.contexts.begin(), report.contexts.end(), std::back_inserter(contexts),
                 [&](const ContextReport& c) { return context_json(c, entry); });
  std::vector<std::string> vectors;
  std::transform(entry.vectors.begin(), entry.vectors.end(), std::back_inserter(vectors),
                 [](const Vector& vector) { return vector.description.name; });
  return {{"name", entry.name()},
          {"verdict", name_of(report.verdict)},
          {"modes", entry.description.user_mode ? std::vector{"kernel", "user"} : std::vector{"kernel"}},
          {"vectors", std::move(vectors)},
          {"interrupted", report.result.interrupted},
          {"memory_limit", report.result.out_of_memory},
          {"cut_short", report.result.cut_short},
          {"states", counts.states},
          {"transitions", counts.transitions},
          {"folds", counts.folds},
          {"deepest_stack", counts.deepest_stack},
          {"region",
           {{"boundaries", report.region_boundaries},
            {"covered", report.region_covered},
            {"unmasked", unmasked_json(report)},
            {"places", places_json(*report.entry)}}},
          {"known", std::move(rows)},
          {"violations", std::move(violations)},
          {"too_long", report.result.inexpressible},
          {"refined_groups", report.refined_groups},
          {"unlike", report.result.unlike},
          {"value_dependent", contexts_json(report.value_dependent, entry)},
          {"reads_ports", report.result.reads_ports},
          {"contexts", std::move(contexts)}};
}

}  // namespace

std::string why_partial(const EntryReport& report) {
  if (report.result.interrupted) {
    return "interrupted";
  }
  if (report.result.out_of_memory) {
    return "memory limit";
  }
  if (report.result.cut_short) {
    return "contexts that show it over and over were left";
  }
  if (report.verdict == ExploreVerdict::not_closed) {
    return report.result.unlike.empty() ? "a path is longer than a scenario"
                                        : "states that code tells apart were taken for alike";
  }
  return "";
}

std::string ports_note(const EntryReport& report) {
  if (!report.result.reads_ports) return "";
  return "the code looks at which ports are pending: one of each word was raised, for all of that word; code that "
         "tells "
         "these apart needs fuzzing as well";
}

std::vector<Bug> bugs_of(const EntryReport& report) {
  std::map<std::string, Bug> bugs;
  for (const auto& [signature, violation] : report.result.violations) {
    Bug& bug = bugs[scenario_file_name(*report.entry, violation)];
    ++bug.signatures;
    bug.all.push_back(&violation);
    if (bug.violation == nullptr || shorter(violation, *bug.violation)) {
      bug.violation = &violation;
    }
  }
  std::vector<Bug> list;
  for (auto& [name, bug] : bugs) {
    std::sort(bug.all.begin(), bug.all.end(), [](const auto* a, const auto* b) { return a->cause < b->cause; });
    list.push_back(std::move(bug));
  }
  return list;
}

namespace {

std::string known_row(const Entry& entry, const ExploredViolation& first, GuestAddress last) {
  return fmt::format("[[known]]\nkind = \"{}\"\nat = [\"{}\", \"{}\"]\nwhen = [{}]\nwhy = \"\"\nreproducer = \"{}\"\n",
                     name_of(first.kind), format_location(entry, first.cause), format_location(entry, last),
                     fmt::join(conditions_of(first.common), ", "), scenario_file_name(entry, first));
}

/// By its boundaries, those of the hypercall page's stub among them: whether none lies between two.
bool follow_each_other(const Entry& entry, const Guest& guest, GuestAddress first, GuestAddress second) {
  for (const std::span<const Instruction> code : {std::span(entry.instructions), guest.stub()}) {
    const auto at = std::find_if(code.begin(), code.end(), [=](const Instruction& i) { return i.address == first; });
    if (at != code.end() && at + 1 != code.end() && (at + 1)->address == second) return true;
  }
  return false;
}

std::string known_rows(const Entry& entry, const Bug& bug) {
  const Guest guest(entry);
  std::string rows;
  for (std::size_t i = 0; i < bug.all.size();) {
    std::size_t end = i + 1;
    while (end < bug.all.size() && bug.all[end]->common == bug.all[i]->common &&
           follow_each_other(entry, guest, bug.all[end - 1]->cause, bug.all[end]->cause)) {
      ++end;
    }
    rows += known_row(entry, *bug.all[i], bug.all[end - 1]->cause);
    i = end;
  }
  return rows;
}

}  // namespace

std::string known_row(const Entry& entry, const ExploredViolation& violation) {
  return known_row(entry, violation, violation.cause);
}

std::string scenario_file(const Entry& entry, const ExploredViolation& violation) {
  return to_toml(violation.scenario, entry, {entry.name(), violation.signature, ""});
}

std::string scenario_file(const Entry& entry, const Bug& bug) {
  std::string text = scenario_file(entry, *bug.violation);
  text += "\n# To make it a known violation, put this into entry.toml, and say why:\n";
  std::istringstream rows(known_rows(entry, bug));
  for (std::string line; std::getline(rows, line);) {
    text += fmt::format("# {}\n", line);
  }
  return text;
}

std::string scenario_file_name(const Entry& entry, const ExploredViolation& violation) {
  const std::optional<Location> location = locate(entry, violation.cause);
  return fmt::format("{}-{}.toml", name_of(violation.kind),
                     location ? std::string(location->symbol) : fmt::format("{:#x}", violation.cause.value));
}

std::string to_text(std::span<const EntryReport> reports, const ExplorationOptions& options, bool verbose) {
  std::string text = table_of(reports) + "\n" + bounds_text(options);
  for (const EntryReport& report : reports) {
    text += entry_text(report, verbose);
  }
  return text;
}

nlohmann::json to_json(std::span<const EntryReport> reports, const ExplorationOptions& options) {
  nlohmann::json entries = nlohmann::json::array();
  std::transform(reports.begin(), reports.end(), std::back_inserter(entries), entry_json);
  return {{"format", 1},
          {"bounds",
           {{"nmis", options.bounds.nmis},
            {"exceptions", options.bounds.exceptions},
            {"nested_depth", options.bounds.nested_depth},
            {"all_pending_bytes", options.bounds.nmis + options.bounds.exceptions == 0},
            {"contexts", name_of(options.crossing)},
            {"second_values", options.second_values}}},
          {"entries", std::move(entries)}};
}

}  // namespace framefold
