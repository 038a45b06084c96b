#include "cli/explore_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>

#include "check/claims.hpp"
#include "cli/explore_report.hpp"

namespace framefold {

namespace {

/// Bytes that are no UTF-8 become U+FFFD, as in the JSON.
std::string as_utf8(std::string_view text) {
  const std::string json = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(json).get<std::string>();
}

/// For text and attributes of XML 1.0, which has no control characters.
std::string escaped(std::string_view raw) {
  const std::string text = as_utf8(raw);
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
  const std::string claims =
      rests_on(bug.violation->kind, bug.violation->cause, *report.entry, bug.violation->scenario);
  return fmt::format("{}: {}{}", bug.violation->signature, info.text,
                     claims.empty() ? std::string() : fmt::format("; rests on {}", claims)) +
         (bug.signatures == 1 ? "" : fmt::format("; the same at {} other boundaries", bug.signatures - 1)) +
         fmt::format("\n\n{}", scenario_file(*report.entry, bug));
}

std::string bucket(const EntryReport& report, const ExploredViolation& violation) {
  const std::optional<Location> location = locate(*report.entry, violation.cause);
  return fmt::format("{}:{}:{}", report.entry->name(), name_of(violation.kind),
                     location ? std::string(location->symbol) : fmt::format("{:#x}", violation.cause.value));
}

/// No proof, whatever else it is: it was interrupted, memory ran out, or a path is longer than a scenario.
bool is_open(const EntryReport& report) {
  return !report.result.closed() || report.verdict == ExploreVerdict::not_closed;
}

std::string open_text(const EntryReport& report) {
  return fmt::format("{}: what is reported is partial, and proves nothing",
                     report.result.interrupted ? "interrupted" : fmt::format("not closed ({})", why_partial(report)));
}

std::string junit_of(const std::string& suites) {
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"framefold explore\">\n{}</testsuites>\n", suites);
}

std::string suite_of(const EntryReport& report) {
  const std::vector<Bug> bugs = bugs_of(report);
  const bool open = is_open(report);
  const std::string name = escaped(report.entry->name());
  std::string cases;
  for (const Bug& bug : bugs) {
    const std::string where = escaped(bucket(report, *bug.violation));
    cases += fmt::format(
        "    <testcase classname=\"{}\" name=\"{}\">\n      <failure type=\"{}\" message=\"{}\">{}</failure>\n    "
        "</testcase>\n",
        name, where, name_of(bug.violation->kind), escaped(bug.violation->signature), escaped(bug_text(report, bug)));
  }
  if (open) {
    cases += fmt::format(
        "    <testcase classname=\"{}\" name=\"closure\">\n      <error message=\"{}\"/>\n    </testcase>\n", name,
        escaped(open_text(report)));
  } else if (bugs.empty()) {
    cases += fmt::format("    <testcase classname=\"{}\" name=\"every interleaving\"/>\n", name);
  }
  return fmt::format("  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n{}  </testsuite>\n", name,
                     std::max<std::size_t>(1, bugs.size() + (open ? 1 : 0)), bugs.size(), open ? 1 : 0, cases);
}

/// As RFC 3986 wants it: a path that is relative stays so, an absolute one is a file's.
std::string uri_of(std::string_view path) {
  std::string uri = path.starts_with('/') ? "file://" : "";
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    uri += plain || std::string_view("/-._~").find(c) != std::string_view::npos
               ? std::string(1, c)
               : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return uri;
}

nlohmann::json location_in(std::string_view file, unsigned line) {
  return {{"physicalLocation", {{"artifactLocation", {{"uri", uri_of(file)}}}, {"region", {{"startLine", line}}}}}};
}

nlohmann::json place_of(const EntryReport& report, GuestAddress address, const SourceLines* lines) {
  const SourceLine line = lines == nullptr ? SourceLine{} : lines->find(address);
  const bool known = line.file != nullptr && line.line != 0;
  const Description& description = report.entry->description;
  nlohmann::json place = known ? location_in(*line.file, line.line) : location_in(description.file, 1);
  place["logicalLocations"] = {{{"fullyQualifiedName", format_location(*report.entry, address)}}};
  return place;
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

constexpr std::string_view kDescriptionRule = "wrong-description";

std::string sarif_of(nlohmann::json results, bool successful) {
  nlohmann::json rules = nlohmann::json::array();
  for (const ViolationKindInfo& info : violation_kinds()) {
    rules.push_back({{"id", info.name},
                     {"shortDescription", {{"text", info.text}}},
                     {"fullDescription", {{"text", info.promise}}},
                     {"help", {{"text", info.look}}}});
  }
  rules.push_back(
      {{"id", kDescriptionRule},
       {"shortDescription", {{"text", "what framefold was given does not hold: it says nothing of the code"}}}});
  const nlohmann::json run = {{"tool", {{"driver", {{"name", "framefold"}, {"rules", std::move(rules)}}}}},
                              {"invocations", {{{"executionSuccessful", successful}}}},
                              {"results", std::move(results)}};
  const nlohmann::json log = {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                              {"version", "2.1.0"},
                              {"runs", nlohmann::json::array({run})}};
  return log.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

/// "my/entry.toml:12:10: ...", as messages about descriptions start; where there is no line, the first.
nlohmann::json location_of(const std::string& message) {
  std::smatch match;
  if (!std::regex_search(message, match, std::regex("^(.*?):(?:([0-9]+):[0-9]+:)? "))) return location_in(message, 1);
  return location_in(match[1].str(), match[2].matched ? static_cast<unsigned>(std::stoul(match[2])) : 1U);
}

}  // namespace

std::string to_junit(std::span<const EntryReport> reports) {
  std::string suites;
  for (const EntryReport& report : reports) suites += suite_of(report);
  return junit_of(suites);
}

std::string to_sarif(std::span<const EntryReport> reports, EntryStore& store) {
  nlohmann::json results = nlohmann::json::array();
  for (const EntryReport& report : reports) add_results(report, store.lines(*report.entry), results);
  return sarif_of(std::move(results), std::none_of(reports.begin(), reports.end(), is_open));
}

std::string to_junit(const InputError& error, std::span<const std::string> entries) {
  const std::string_view message = error.what();
  std::string skipped;
  for (const std::string& entry : entries) {
    if (message.starts_with(entry + ":")) continue;
    const std::string name = escaped(entry);
    skipped += fmt::format(
        "  <testsuite name=\"{}\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"1\">\n    <testcase "
        "classname=\"{}\" name=\"every interleaving\">\n      <skipped message=\"not explored: another description "
        "does not hold\"/>\n    </testcase>\n  </testsuite>\n",
        name, name);
  }
  return junit_of(
      fmt::format(
          "  <testsuite name=\"framefold\" tests=\"1\" failures=\"0\" errors=\"1\">\n    <testcase "
          "classname=\"framefold\" name=\"the description holds\">\n      <error type=\"{}\" message=\"{}\"/>\n   "
          " </testcase>\n  </testsuite>\n",
          kDescriptionRule, escaped(error.what())) +
      skipped);
}

std::string to_sarif(const InputError& error) {
  const nlohmann::json result = {{"ruleId", kDescriptionRule},
                                 {"level", "error"},
                                 {"message", {{"text", error.what()}}},
                                 {"locations", nlohmann::json::array({location_of(error.what())})}};
  return sarif_of(nlohmann::json::array({result}), false);
}

}  // namespace framefold
