#include "report/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>

#include "check/claims.hpp"
#include "image/description_rules.hpp"
#include "report/place.hpp"
#include "report/text.hpp"

namespace framefold {

namespace {

constexpr std::array<std::string_view, 3> kStatusNames = {"clean", "known", "violation"};
constexpr std::array<std::string_view, 4> kReproductionNames = {"not asked", "yes", "moved", "no"};
// In the order of ViolationSource.
constexpr std::array<std::string_view, 3> kSourceNames = {"nested", "reference", "comparison"};
constexpr std::array<std::string_view, 3> kSourceTexts = {"the nested run", "the reference run",
                                                          "what differs between the nested run and the reference run"};

std::vector<std::string> condition_names(ConditionSet conditions) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kKnownConditionCount; ++i) {
    if ((conditions >> i & 1U) != 0) {
      names.emplace_back(name_of(static_cast<KnownCondition>(i)));
    }
  }
  return names;
}

FindingReport describe_finding(Oracle& oracle, const Scenario& scenario, const Finding& finding) {
  const Entry& entry = oracle.entry();
  const Guest& guest = oracle.execution().guest();
  FindingReport report;
  report.kind = finding.kind;
  report.width = entry.width();
  report.signature = signature_of(entry, finding);
  report.bucket = bucket_of(entry, finding);
  report.cause = place_text(guest, finding.cause);
  report.instruction = instruction_text(guest, finding.cause);
  report.conditions = condition_names(finding.conditions);
  report.arrivals = finding.arrivals;
  if (finding.arrivals > 0) {
    const ArrivalRecord& arrival = oracle.nested().arrivals[finding.arrivals - 1];
    report.arrival = name_of(scenario.arrivals[finding.arrivals - 1].kind);
    report.cause_is_arrival =
        info_of(finding.kind).cause == CauseRule::arrival && arrival.delivered && arrival.boundary == finding.cause;
  }
  report.source = finding.source;
  report.what = written_slot_name(finding.detail.what, entry.width());
  report.has_values = finding.detail.has_values;
  report.expected = finding.detail.expected;
  report.found = finding.detail.found;
  const GuestAddress expected{finding.detail.expected};
  const GuestAddress found{finding.detail.found};
  report.expected_place = known_place(guest, expected).value_or("");
  report.found_place = known_place(guest, found).value_or("");
  report.rests_on = rests_on(finding.kind, finding.cause, entry, scenario);
  if (finding.known >= 0) {
    const KnownDescription& row = entry.known[static_cast<std::size_t>(finding.known)].description;
    report.known = KnownReport{row.why, row.reproducer};
  }
  return report;
}

std::string value_text(std::uint64_t value, const std::string& place) {
  return place.empty() ? fmt::format("{:#x}", value) : fmt::format("{:#x} ({})", value, place);
}

/// Arrivals are counted from 0, as in a scenario's text.
std::string arrival_text(const FindingReport& finding) {
  if (finding.arrivals == 0) {
    return "no arrival needed";
  }
  const std::string arrival = fmt::format("arrival {} ({})", finding.arrivals - 1, finding.arrival);
  return finding.cause_is_arrival ? fmt::format("where {} is taken", arrival) : fmt::format("after {}", arrival);
}

std::string cause_text(const FindingReport& finding) {
  const std::string instruction =
      finding.instruction.empty() ? std::string() : fmt::format(": {}", finding.instruction);
  return fmt::format("{}{}; {}", finding.cause, instruction, arrival_text(finding));
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, ", ")); }

std::string known_text(const KnownReport& known, const std::string& entry) {
  return known.reproducer.empty() ? known.why
                                  : fmt::format("{} (reproducers/{}/{})", known.why, entry, known.reproducer);
}

std::string violation_text(const FileReport& report, const FindingReport& finding, const Style& style) {
  const ViolationKindInfo& info = info_of(finding.kind);
  std::string text = labelled("kind", style.paint(Ink::bad, info.name) + ": " + std::string(info.text), style);
  text += labelled("signature", finding.signature, style);
  text += labelled("cause", cause_text(finding), style);
  if (!finding.conditions.empty()) {
    text += labelled("there", joined(finding.conditions), style);
  }
  if (!finding.what.empty()) {
    text += labelled("difference", difference_text(finding), style);
  }
  if (finding.source != ViolationSource::nested) {
    text += labelled("seen in", text_of(finding.source), style);
  }
  if (!finding.rests_on.empty()) {
    text += labelled("rests on", finding.rests_on, style);
  }
  text += labelled("meaning", for_width(fmt::format("{} {}", info.why, info.usual), finding.width), style);
  if (finding.known) {
    text += labelled("known", known_text(*finding.known, report.entry), style);
  }
  for (const FindingReport& other : report.findings) {
    if (&other != &finding) {
      text += labelled("also", fmt::format("{}{}", other.signature, other.known ? " (known)" : ""), style);
    }
  }
  return text + labelled("replay", replay_command(report, finding.known.has_value()), style);
}

/// By its place, or only by the arrivals that it needs.
std::string moved_text(const FileReport& report) {
  const bool same = report.moved.starts_with(report.expected_signature + ",");
  return same ? fmt::format("{}; not with those that the file says", report.moved)
              : fmt::format("{}; the file says {}", report.moved, report.expected_signature);
}

std::string reproduction_text(const FileReport& report, const Style& style) {
  switch (report.reproduced) {
    case Reproduction::not_asked:
      return {};
    case Reproduction::yes:
      return labelled("reproduced", style.paint(Ink::good, "yes: ") + report.expected_signature, style);
    case Reproduction::moved:
      return labelled("reproduced", style.paint(Ink::bad, "moved: ") + moved_text(report), style);
    case Reproduction::no:
      return labelled("reproduced", style.paint(Ink::bad, "no: ") + report.expected_signature + " does not show",
                      style);
  }
  return {};
}

std::string known_line(const FileReport& report) {
  std::vector<std::string> signatures;
  for (const FindingReport& finding : report.findings) {
    signatures.push_back(finding.signature);
  }
  return joined(signatures);
}

std::string hex(std::uint64_t value) { return fmt::format("{:#x}", value); }

nlohmann::json finding_json(const FindingReport& finding) {
  nlohmann::json json = {{"kind", name_of(finding.kind)},
                         {"text", info_of(finding.kind).text},
                         {"signature", finding.signature},
                         {"bucket", finding.bucket},
                         {"cause", finding.cause},
                         {"instruction", finding.instruction},
                         {"conditions", finding.conditions},
                         {"arrivals", finding.arrivals},
                         {"seen_in", kSourceNames[static_cast<std::size_t>(finding.source)]},
                         {"what", finding.what},
                         {"expected", nullptr},
                         {"found", nullptr},
                         {"address", nullptr},
                         {"rests_on", nullptr},
                         {"known", nullptr}};
  if (!finding.rests_on.empty()) {
    json["rests_on"] = finding.rests_on;
  }
  if (finding.has_values) {
    json["expected"] = hex(finding.expected);
    json["found"] = hex(finding.found);
  } else if (finding.expected != 0) {
    json["address"] = hex(finding.expected);
  }
  if (finding.known) {
    json["known"] = {{"why", finding.known->why}, {"reproducer", finding.known->reproducer}};
  }
  return json;
}

nlohmann::json report_json(const FileReport& report) {
  nlohmann::json findings = nlohmann::json::array();
  std::transform(report.findings.begin(), report.findings.end(), std::back_inserter(findings), finding_json);
  nlohmann::json json = {{"file", report.file},
                         {"entry", report.entry},
                         {"status", name_of(report.status)},
                         {"violation", nullptr},
                         {"findings", std::move(findings)},
                         {"expected_signature", nullptr},
                         {"reproduced", nullptr},
                         {"arrivals", report.arrivals},
                         {"arrivals_reached", report.reached},
                         {"folds", report.folds},
                         {"deliveries", report.deliveries},
                         {"handler_calls", report.handler_calls},
                         {"boundaries", report.boundaries}};
  if (report.violation) {
    json["violation"] = report.findings[*report.violation].signature;
  }
  if (report.reproduced != Reproduction::not_asked) {
    json["expected_signature"] = report.expected_signature;
    json["reproduced"] = name_of(report.reproduced);
    json["moved"] = report.moved.empty() ? nlohmann::json() : nlohmann::json(report.moved);
  }
  if (!report.timeline.empty()) {
    json["timeline"] = report.timeline;
  }
  return json;
}

}  // namespace

std::string difference_text(const FindingReport& finding) {
  if (!finding.has_values) {
    return finding.expected == 0
               ? finding.what
               : fmt::format("{} {}", finding.what, value_text(finding.expected, finding.expected_place));
  }
  return fmt::format("{}: expected {}, found {}", finding.what, value_text(finding.expected, finding.expected_place),
                     value_text(finding.found, finding.found_place));
}

std::string_view text_of(ViolationSource source) { return kSourceTexts[static_cast<std::size_t>(source)]; }

std::string_view name_of(FileStatus status) { return kStatusNames[static_cast<std::size_t>(status)]; }

std::string_view name_of(Reproduction reproduction) {
  return kReproductionNames[static_cast<std::size_t>(reproduction)];
}

std::string replay_command(const FileReport& report, bool known) {
  const std::string entry =
      report.entry_option.empty() ? std::string() : fmt::format(" --entry {}", shell_word(report.entry_option));
  return fmt::format("framefold run --trace{}{}{} {}", report.unchecked ? " --unchecked" : "",
                     known ? " --known=report" : "", entry, shell_word(report.file));
}

FileReport describe(Oracle& oracle, const Scenario& scenario, const Verdict& verdict, bool report_known) {
  FileReport report;
  report.entry = oracle.entry().name();
  for (const Finding& finding : verdict.view()) {
    report.findings.push_back(describe_finding(oracle, scenario, finding));
  }
  if (const Finding* violation = verdict.violation(report_known)) {
    report.status = FileStatus::violation;
    report.violation = static_cast<std::size_t>(violation - verdict.findings.data());
  } else if (!verdict.clean()) {
    report.status = FileStatus::known;
  }
  const Outcome& nested = oracle.nested();
  report.arrivals = scenario.arrival_count;
  report.reached = nested.reached;
  report.folds = nested.folds;
  report.deliveries = nested.deliveries;
  report.handler_calls = nested.handler_calls;
  report.boundaries = nested.boundaries;
  return report;
}

void expect_signature(FileReport& report, const std::string& signature) {
  report.expected_signature = signature;
  const auto first = report.findings.begin();
  const auto end = report.findings.end();
  const auto shown =
      std::find_if(first, end, [&](const FindingReport& finding) { return finding.signature == signature; });
  if (shown != end) {
    report.reproduced = Reproduction::yes;
    // Of several that decide the status alike, the expected one is the one to tell about.
    if (report.violation && (!shown->known || report.findings[*report.violation].known)) {
      report.violation = static_cast<std::size_t>(shown - first);
    }
    return;
  }
  // A bucket is a signature without its offset.
  const std::string bucket = signature.substr(0, signature.rfind('+'));
  const auto moved = std::find_if(first, end, [&](const FindingReport& finding) { return finding.bucket == bucket; });
  report.reproduced = moved != end ? Reproduction::moved : Reproduction::no;
  report.moved = moved != end ? moved->signature : "";
}

void count(Summary& summary, const FileReport& report) {
  ++summary.files;
  summary.clean += report.status == FileStatus::clean ? 1 : 0;
  summary.known += report.status == FileStatus::known ? 1 : 0;
  summary.violations += report.status == FileStatus::violation ? 1 : 0;
  if (report.reproduced == Reproduction::yes) {
    ++summary.reproduced;
  } else if (report.reproduced != Reproduction::not_asked) {
    ++summary.not_reproduced;
  }
}

std::string to_text(const FileReport& report, const Style& style) {
  std::string text;
  switch (report.status) {
    case FileStatus::clean:
      text = fmt::format("{}: {}\n", printable(report.file), style.paint(Ink::good, "clean"));
      break;
    case FileStatus::known:
      text = fmt::format("{}: {}: {}\n", printable(report.file), style.paint(Ink::note, "known"), known_line(report));
      break;
    case FileStatus::violation:
      text = fmt::format("{}: {}\n", printable(report.file), style.paint(Ink::bad, "violation")) +
             violation_text(report, report.findings[*report.violation], style);
      break;
  }
  text += reproduction_text(report, style);
  return report.timeline.empty() ? text : text + report.timeline;
}

std::string to_text(const Summary& summary) {
  std::string text =
      fmt::format("{} file{}: {} clean, {} known, {} violation{}", summary.files, summary.files == 1 ? "" : "s",
                  summary.clean, summary.known, summary.violations, summary.violations == 1 ? "" : "s");
  const std::size_t asked = summary.reproduced + summary.not_reproduced;
  if (asked != 0) {
    text += fmt::format("; {} of {} expected signature{} reproduced", summary.reproduced, asked, asked == 1 ? "" : "s");
  }
  return text + "\n";
}

nlohmann::json to_json(std::span<const FileReport> reports, const Summary& summary) {
  nlohmann::json results = nlohmann::json::array();
  std::transform(reports.begin(), reports.end(), std::back_inserter(results), report_json);
  return {{"format", 1},
          {"results", std::move(results)},
          {"summary",
           {{"files", summary.files},
            {"clean", summary.clean},
            {"known", summary.known},
            {"violations", summary.violations},
            {"reproduced", summary.reproduced},
            {"not_reproduced", summary.not_reproduced}}}};
}

}  // namespace framefold
