#include "cli/triage.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <tuple>

#include "run/violation.hpp"

namespace framefold {

namespace {

auto simplicity(unsigned arrivals, std::uint32_t boundaries, const std::string& file) {
  return std::make_tuple(arrivals, boundaries, file);
}

}  // namespace

void Triage::add(const FileReport& report) {
  ++files_;
  if (report.findings.empty()) {
    clean_.push_back(report.file);
  }
  if (report.violation) {
    add(report, report.findings[*report.violation]);
  }
  std::set<std::string> buckets;  // a bug may show several times in a file
  for (const FindingReport& finding : report.findings) {
    if (finding.known && buckets.insert(finding.bucket).second) {
      add(report, finding);
    }
  }
}

void Triage::add(const FileReport& report, const FindingReport& finding) {
  const bool known = finding.known.has_value();
  TriageGroup& group = groups_[{known, finding.bucket}];
  group.bucket = finding.bucket;
  group.known = known;
  group.text = info_of(finding.kind).text;
  group.signatures.insert(finding.signature);
  const bool first = group.files.empty();
  group.files.push_back(report.file);
  if (first || simplicity(report.reached, report.boundaries, report.file) <
                   simplicity(group.arrivals, group.boundaries, group.representative)) {
    group.representative = report.file;
    group.representative_signature = finding.signature;
    group.arrivals = report.reached;
    group.boundaries = report.boundaries;
    group.replay = replay_command(report, known);
  }
}

std::vector<TriageGroup> Triage::groups() const {
  std::vector<TriageGroup> groups;
  for (const auto& [key, group] : groups_) {
    groups.push_back(group);
  }
  return groups;
}

std::string to_text(const Triage& triage) {
  std::string text;
  std::size_t unknown = 0;
  std::size_t known = 0;
  for (const TriageGroup& group : triage.groups()) {
    if (group.known && known == 0) {
      text += "known, in whatever files:\n";
    }
    known += group.known ? 1 : 0;
    unknown += group.known ? 0 : 1;
    text +=
        fmt::format("{}{}\n  {}\n  files      {}\n  signature  {}{}\n  example    {}\n  replay     {}\n", group.bucket,
                    group.known ? "  (known)" : "", group.text, group.files.size(), group.representative_signature,
                    group.signatures.size() > 1 ? fmt::format(", and {} more", group.signatures.size() - 1) : "",
                    group.representative, group.replay);
  }
  for (const std::string& file : triage.clean()) {
    text += fmt::format("{}: shows nothing\n", file);
  }
  for (const auto& [file, reason] : triage.skipped()) {
    text += fmt::format("{}: skipped: {}\n", file, reason);
  }
  return text + fmt::format("{} file{}: {} bug{} not known, {} known, {} showing nothing{}\n", triage.files(),
                            triage.files() == 1 ? "" : "s", unknown, unknown == 1 ? "" : "s", known,
                            triage.clean().size(),
                            triage.skipped().empty() ? "" : fmt::format("; {} skipped", triage.skipped().size()));
}

nlohmann::json to_json(const Triage& triage) {
  nlohmann::ordered_json groups = nlohmann::ordered_json::array();
  for (const TriageGroup& group : triage.groups()) {
    groups.push_back({{"bucket", group.bucket},
                      {"known", group.known},
                      {"text", group.text},
                      {"signatures", group.signatures},
                      {"files", group.files},
                      {"representative",
                       {{"file", group.representative},
                        {"signature", group.representative_signature},
                        {"arrivals", group.arrivals},
                        {"replay", group.replay}}}});
  }
  nlohmann::ordered_json skipped = nlohmann::ordered_json::array();
  for (const auto& [file, reason] : triage.skipped()) {
    skipped.push_back({{"file", file}, {"reason", reason}});
  }
  return {{"format", 1}, {"groups", groups}, {"clean", triage.clean()}, {"skipped", skipped}};
}

}  // namespace framefold
