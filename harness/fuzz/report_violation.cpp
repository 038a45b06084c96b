#include "fuzz/report_violation.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "check/claims.hpp"
#include "fuzz/violation_frames.hpp"
#include "report/text.hpp"
#include "report/timeline.hpp"
#include "scenario/toml.hpp"

namespace framefold {

namespace {

/// The line from which ClusterFuzz takes a crash's state: after these two words it looks for FuzzerHash=, and then
/// compares exactly (its stack_parser and crash_comparer).
std::string cause_line(std::string_view bucket) { return fmt::format("ASSERTION FAILED: FuzzerHash={}\n", bucket); }

/// `options`: what the command needs besides, each behind a blank.
std::string replay_line(const FuzzSession& session, std::string_view options, const std::optional<std::string>& file) {
  return fmt::format("replay: framefold run --entry {}{} {}\n", shell_word(session.entry_option()), options,
                     file ? shell_word(*file) : "<the file with this input, which the fuzzer names>");
}

std::string detail_line(const ViolationDetail& detail) {
  if (detail.what.empty()) {
    return {};
  }
  if (!detail.has_values) {
    return fmt::format("  {}\n", detail.what);
  }
  return fmt::format("  {}: expected {:#x}, found {:#x}\n", detail.what, detail.expected, detail.found);
}

std::string arrival_label(const Oracle& oracle, std::size_t index) {
  const ArrivalRecord& record = oracle.nested().arrivals[index];
  return record.reached ? format_location(oracle.entry(), record.boundary) : "not reached";
}

}  // namespace

std::string violation_text(FuzzSession& session, const Finding& finding, const std::optional<std::string>& file) {
  const Entry& entry = session.entry();
  Oracle& oracle = session.oracle();
  const std::string signature = signature_of(entry, finding);
  ScenarioNotes notes;
  notes.entry = session.entry_option();
  notes.signature = signature;
  std::string text = fmt::format("\nframefold: {}{}\n", signature, finding.known >= 0 ? " (known)" : "");
  text += cause_line(bucket_of(entry, finding));
  text += fmt::format("  {}\n", info_of(finding.kind).text);
  text += detail_line(finding.detail);
  if (const std::string rests = rests_on(finding.kind, finding.cause, entry, session.scenario()); !rests.empty()) {
    text += fmt::format("  rests on: {}\n", rests);
  }
  text += "\nscenario:\n";
  text += to_toml(session.scenario(), entry, notes, [&oracle](std::size_t i) { return arrival_label(oracle, i); });
  text += "\ntimeline:\n";
  text += short_timeline(oracle, session.scenario(), finding);
  std::string options = finding.known >= 0 ? " --known=report" : "";
  if (session.seeks_one()) {  // it need not be the first
    options += fmt::format(" --trace --signature={}", shell_word(signature));
  }
  text += "\n" + replay_line(session, options, file);
  return text;
}

std::string internal_error_text(const FuzzSession& session, std::string_view what,
                                const std::optional<std::string>& file) {
  const Entry& entry = session.entry();
  return fmt::format("\nframefold: an error of its own, no verdict about {}: {}\n", entry.name(), what) +
         cause_line(fmt::format("{}:internal-error:framefold", entry.name())) + replay_line(session, "", file);
}

void report_violation(FuzzSession& session, const Finding& finding, const std::optional<std::string>& file) {
  const Finding copy = finding;  // the timeline runs the scenario again
  std::fputs(violation_text(session, copy, file).c_str(), stderr);
  std::fflush(stderr);
  abort_for(copy.kind);
}

void report_internal_error(const FuzzSession& session, std::string_view what, const std::optional<std::string>& file) {
  std::fputs(internal_error_text(session, what, file).c_str(), stderr);
  std::fflush(stderr);
  abort_for_internal_error();
}

}  // namespace framefold
