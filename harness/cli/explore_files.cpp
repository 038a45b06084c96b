#include "cli/explore_files.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/explore_report.hpp"

namespace framefold {

namespace {

/// For text and attributes of XML 1.0, which has no control characters.
std::string escaped(std::string_view text) {
  std::string xml;
  for (const char c : text) {
    switch (c) {
      case '&':
        xml += "&amp;";
        break;
      case '<':
        xml += "&lt;";
        break;
      case '>':
        xml += "&gt;";
        break;
      case '"':
        xml += "&quot;";
        break;
      default:
        xml += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? '?' : c;
    }
  }
  return xml;
}

std::string bug_text(const EntryReport& report, const Bug& bug) {
  const ViolationKindInfo& info = info_of(bug.violation->kind);
  return fmt::format("{}: {}", bug.violation->signature, info.text) +
         (bug.signatures == 1 ? "" : fmt::format("; the same at {} other boundaries", bug.signatures - 1)) +
         fmt::format("\n\n{}", scenario_file(*report.entry, *bug.violation, true));
}

std::string bucket(const EntryReport& report, const ExploredViolation& violation) {
  const std::optional<Location> location = locate(*report.entry, violation.cause);
  return fmt::format("{}:{}:{}", report.entry->name(), name_of(violation.kind),
                     location ? std::string(location->symbol) : fmt::format("{:#x}", violation.cause.value));
}

std::string suite_of(const EntryReport& report) {
  const std::vector<Bug> bugs = bugs_of(report);
  const bool open = !report.result.closed();
  const std::string name = escaped(report.entry->name());
  std::string cases;
  for (const Bug& bug : bugs) {
    const std::string where = escaped(bucket(report, *bug.violation));
    cases += fmt::format(
        "    <testcase classname=\"{}\" name=\"{}\">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
        name, where, escaped(bug.violation->signature), escaped(bug_text(report, bug)));
  }
  if (open) {
    cases += fmt::format(
        "    <testcase classname=\"{}\" name=\"closure\">\n      <error message=\"not closed\"/>\n    </testcase>\n",
        name);
  } else if (bugs.empty()) {
    cases += fmt::format("    <testcase classname=\"{}\" name=\"every interleaving\"/>\n", name);
  }
  return fmt::format("  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n{}  </testsuite>\n", name,
                     std::max<std::size_t>(1, bugs.size() + (open ? 1 : 0)), bugs.size(), open ? 1 : 0, cases);
}

nlohmann::json place_of(const EntryReport& report, GuestAddress address, const SourceLines* lines) {
  const SourceLine line = lines == nullptr ? SourceLine{} : lines->find(address);
  const bool known = line.file != nullptr && line.line != 0;
  const Description& description = report.entry->description;
  return {{"physicalLocation",
           {{"artifactLocation", {{"uri", known ? *line.file : description.file}}},
            {"region", {{"startLine", known ? line.line : 1}}}}},
          {"logicalLocations", {{{"fullyQualifiedName", format_location(*report.entry, address)}}}}};
}

void add_results(const EntryReport& report, const SourceLines* lines, nlohmann::json& results) {
  for (const Bug& bug : bugs_of(report)) {
    results.push_back({{"ruleId", name_of(bug.violation->kind)},
                       {"level", "error"},
                       {"message", {{"text", bug_text(report, bug)}}},
                       {"locations", {place_of(report, bug.violation->cause, lines)}},
                       {"partialFingerprints", {{"bucket/v1", bucket(report, *bug.violation)}}}});
  }
  for (const RowReport& row : report.rows) {
    if (row.seen.empty()) continue;
    const KnownDescription& known = report.entry->known[row.row].description;
    results.push_back(
        {{"ruleId", known.kind},
         {"level", "note"},
         {"message", {{"text", known.why}}},
         {"locations", {place_of(report, row.seen.front(), lines)}},
         {"suppressions", {{{"kind", "external"}, {"justification", "a known row of the description"}}}}});
  }
}

}  // namespace

std::string to_junit(std::span<const EntryReport> reports) {
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"framefold explore\">\n";
  for (const EntryReport& report : reports) xml += suite_of(report);
  return xml + "</testsuites>\n";
}

std::string to_sarif(std::span<const EntryReport> reports, EntryStore& store) {
  nlohmann::json rules = nlohmann::json::array();
  for (const ViolationKindInfo& info : violation_kinds()) {
    rules.push_back({{"id", info.name},
                     {"shortDescription", {{"text", info.text}}},
                     {"fullDescription", {{"text", info.promise}}},
                     {"help", {{"text", info.look}}}});
  }
  nlohmann::json results = nlohmann::json::array();
  bool closed = true;
  for (const EntryReport& report : reports) {
    add_results(report, store.lines(*report.entry), results);
    closed = closed && report.result.closed();
  }
  const nlohmann::json run = {{"tool", {{"driver", {{"name", "framefold"}, {"rules", std::move(rules)}}}}},
                              {"invocations", {{{"executionSuccessful", closed}}}},
                              {"results", std::move(results)}};
  const nlohmann::json log = {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                              {"version", "2.1.0"},
                              {"runs", nlohmann::json::array({run})}};
  return log.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace framefold
