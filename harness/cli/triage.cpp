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
  if (report.findings.empty()) {
    clean_.push_back(report.file);
    return;
  }
  const bool known = !report.violation;
  const FindingReport& finding = report.findings[report.violation.value_or(0)];
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
  std::size_t files = triage.clean().size();
  std::size_t unknown = 0;
  for (const TriageGroup& group : triage.groups()) {
    files += group.files.size();
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
  return text + fmt::format("{} file{}: {} bug{} not known, {} known, {} showing nothing\n", files,
                            files == 1 ? "" : "s", unknown, unknown == 1 ? "" : "s", triage.groups().size() - unknown,
                            triage.clean().size());
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
  return {{"format", 1}, {"groups", groups}, {"clean", triage.clean()}};
}

}  // namespace framefold
