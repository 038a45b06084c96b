#include "debug/run_end.hpp"

#include <fmt/format.h>

#include "image/description_rules.hpp"

namespace framefold {

namespace {

std::string broken_text(const Violation& violation, Width width) {
  FindingReport finding;
  finding.what = written_slot_name(violation.detail.what, width);
  finding.has_values = violation.detail.has_values;
  finding.expected = violation.detail.expected;
  finding.found = violation.detail.found;
  const std::string difference = difference_text(finding);
  return fmt::format("{}{}{}", name_of(violation.kind), difference.empty() ? "" : ": ", difference);
}

std::string verdict_text(const FileReport& scenario) {
  if (scenario.findings.empty()) {
    return "clean: every promise was kept\n";
  }
  std::string text;
  for (const FindingReport& finding : scenario.findings) {
    text += fmt::format("{}: {}: {}\n", finding.known ? "known" : "violation", finding.signature,
                        info_of(finding.kind).text);
  }
  return text;
}

}  // namespace

std::string end_text(const Outcome& outcome, const FileReport& scenario, const std::string& written, Width width) {
  const std::span<const Violation> broken = outcome.violations.view();
  std::string text = "the end: the context has resumed\n";
  if (!outcome.resumed && !broken.empty()) {
    const Violation& last = broken.back();
    // A return with the wrong mask ends judgement behind its resumption, which may show more.
    const bool could =
        last.kind == ViolationKind::handler_frame || outcome.violations.contains(ViolationKind::mask_mismatch);
    text = fmt::format("the end: {}: {}\n", could ? "nothing behind this is judged" : "the run cannot go on",
                       broken_text(last, width));
  }
  if (written.empty()) {
    return text + verdict_text(scenario);
  }
  text += fmt::format("no verdict on this run: {} was written, which the scenario does not do\n", written);
  for (const Violation& violation : broken) {
    text += fmt::format("broken in it: {}\n", broken_text(violation, width));
  }
  return text + "the scenario as it stands:\n" + verdict_text(scenario);
}

}  // namespace framefold
