// framefold entries: what is bundled, and how an entry is described.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/commands.hpp"
#include "cli/compare_entries.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "common/bundled.hpp"
#include "image/description_keys.hpp"

namespace framefold {

namespace {

struct EntriesOptions {
  std::vector<std::string> names;
  std::vector<std::string> replay;
  bool keys = false;
  bool json = false;
  bool compare = false;
  bool markdown = false;
  bool unchecked = false;

  ComparisonForm form() const {
    if (json) {
      return ComparisonForm::json;
    }
    return markdown ? ComparisonForm::markdown : ComparisonForm::text;
  }
};

using Names = std::vector<std::string>;
constexpr std::size_t kColumns = 6;
using Row = std::array<std::string, kColumns>;

std::string joined(const Names& words) { return fmt::format("{}", fmt::join(words, ", ")); }

int bits_of(Width width) { return width == Width::k64 ? 64 : 32; }

Names modes_of(const Entry& entry) { return entry.description.user_mode ? Names{"kernel", "user"} : Names{"kernel"}; }

Names conditions_of(const KnownDescription& known) {
  Names names;
  for (const KnownCondition condition : known.when) {
    names.emplace_back(name_of(condition));
  }
  return names;
}

/// "event, 3 exceptions, nmi (marks)"
std::string short_vectors(const Entry& entry) {
  Names words;
  std::size_t exceptions = 0;
  for (const Vector& vector : entry.vectors) {
    if (vector.description.kind == DeliveryKind::exception) {
      ++exceptions;
    } else {
      words.push_back(vector.description.name + (vector.description.marks ? " (marks)" : ""));
    }
  }
  if (exceptions != 0) {
    words.insert(words.begin() + 1, fmt::format("{} exception{}", exceptions, exceptions == 1 ? "" : "s"));
  }
  return joined(words);
}

Row row_of(const Entry& entry) {
  return {entry.name(),         fmt::format("{}", bits_of(entry.width())),         joined(modes_of(entry)),
          short_vectors(entry), fmt::format("{}", entry.description.known.size()), entry.description.summary};
}

void print_table(const std::vector<const Entry*>& entries) {
  std::vector<Row> rows{{"NAME", "WIDTH", "MODES", "VECTORS", "KNOWN", "SUMMARY"}};
  for (const Entry* entry : entries) {
    rows.push_back(row_of(*entry));
  }
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < kColumns; ++i) {
      fmt::print("{:<{}}  ", row[i], widths[i]);
    }
    fmt::print("{}\n", row.back());
  }
}

void print_vector(const VectorDescription& vector) {
  const auto word = [](bool holds, std::string_view text) { return holds ? text : std::string_view(); };
  fmt::print("  {:<9} {}: enters {}, calls {}{}{}{}\n", name_of(vector.kind), vector.name, vector.symbol,
             vector.handler, word(vector.error_code, ", error code"),
             word(vector.masks_events && vector.kind == DeliveryKind::exception, ", masks events"),
             word(vector.marks, ", its handler marks the frame"));
}

void print_known(const KnownDescription& known) {
  const std::string place = known.first == known.last ? known.first : fmt::format("{} to {}", known.first, known.last);
  const std::string when = known.when.empty() ? "" : fmt::format(", when {}", joined(conditions_of(known)));
  fmt::print("  known     {} at {}{}\n            {}\n", known.kind, place, when, known.why);
}

void print_entry(const Entry& entry) {
  const Description& description = entry.description;
  fmt::print("{}: {}\n", entry.name(), description.summary);
  fmt::print("  width     {}; modes {}; handler's stack aligned to {}{}\n", bits_of(entry.width()),
             joined(modes_of(entry)), description.handler.stack_alignment,
             description.nests ? "; nests: nothing is folded, on purpose" : "");
  if (entry.region.size() != 0) {
    fmt::print("  region    {} to {}, {} bytes\n", description.region.start, description.region.end,
               entry.region.size());
  }
  for (const Vector& vector : entry.vectors) {
    print_vector(vector.description);
  }
  for (const KnownDescription& known : description.known) {
    print_known(known);
  }
}

nlohmann::json vector_json(const Vector& vector) {
  const VectorDescription& v = vector.description;
  return {{"name", v.name},     {"kind", name_of(v.kind)},    {"number", v.number},
          {"symbol", v.symbol}, {"error_code", v.error_code}, {"masks_events", v.masks_events},
          {"marks", v.marks},   {"handler", v.handler}};
}

nlohmann::json entry_json(const Entry& entry) {
  const Description& description = entry.description;
  nlohmann::json vectors = nlohmann::json::array();
  for (const Vector& vector : entry.vectors) {
    vectors.push_back(vector_json(vector));
  }
  nlohmann::json known = nlohmann::json::array();
  for (const KnownDescription& row : description.known) {
    known.push_back({{"kind", row.kind},
                     {"at", {row.first, row.last}},
                     {"when", conditions_of(row)},
                     {"why", row.why},
                     {"reproducer", row.reproducer}});
  }
  nlohmann::json json = {
      {"name", entry.name()},     {"summary", description.summary}, {"width", bits_of(entry.width())},
      {"modes", modes_of(entry)}, {"nests", description.nests},     {"vectors", std::move(vectors)},
      {"region", nullptr},        {"known", std::move(known)}};
  if (entry.region.size() != 0) {
    json["region"] = {
        {"start", description.region.start}, {"end", description.region.end}, {"bytes", entry.region.size()}};
  }
  return json;
}

Names bundled_names() {
  Names names;
  for (const BundledEntry& bundled : bundled_entries()) {
    names.emplace_back(bundled.name);
  }
  return names;
}

int entries(const EntriesOptions& options) {
  if (options.keys) {
    fmt::print("{}", description_manual());
    return kExitClean;
  }
  EntryStore store(options.unchecked || !options.compare);
  const Names names = options.names.empty() ? bundled_names() : options.names;
  std::vector<const Entry*> chosen;
  std::transform(names.begin(), names.end(), std::back_inserter(chosen),
                 [&store](const std::string& name) { return &store.find(name, "entries"); });
  if (options.compare) {
    return compare_entries(store, names, options.replay, options.form());
  }
  if (options.json) {
    nlohmann::json json = nlohmann::json::array();
    std::transform(chosen.begin(), chosen.end(), std::back_inserter(json),
                   [](const Entry* entry) { return entry_json(*entry); });
    fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else if (options.names.empty()) {
    print_table(chosen);
  } else {
    for (const Entry* entry : chosen) {
      print_entry(*entry);
    }
  }
  return kExitClean;
}

}  // namespace

Command entries_command(Arguments parent) {
  auto options = std::make_shared<EntriesOptions>();
  Arguments app = parent.add_command("entries", "List the entries: a table, or all about those that are named");
  app.add_option("NAME", options->names, "A bundled entry, or the path of an entry.toml to check and show")
      .type_name("");
  app.add_option("-e,--entry", options->names, "The same, as other commands take it; may be repeated")
      .one_value()
      .type_name("NAME|PATH");
  Argument json = app.add_flag("--json", options->json, "Everything about them as JSON");
  app.add_flag("--keys", options->keys, "The manual of entry.toml, a line a key").excludes(json);
  Argument compare = app.add_flag("--compare", options->compare,
                                  "Run the entries, and print side by side what they cost and what they do wrong");
  app.add_option("--replay", options->replay,
                 "With --compare: the verdict is what the inputs in FOLDER/<entry>/ show; may be repeated")
      .needs(compare)
      .one_value()
      .type_name("FOLDER");
  app.add_flag("--markdown", options->markdown, "With --compare: as a table in Markdown").needs(compare).excludes(json);
  app.add_unchecked(options->unchecked).needs(compare);
  return {app, [options] { return entries(*options); }};
}

}  // namespace framefold
