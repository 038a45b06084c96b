// Explorer: what a path shows, by the code that judges a fuzz input.
#include <fmt/format.h>

#include <algorithm>

#include "explore/explorer.hpp"
#include "scenario/toml.hpp"

namespace framefold {

namespace {

/// A violation's finding: where there are several of the kind, by place and conditions.
std::span<const Finding>::iterator finding_of(const Verdict& verdict, const Violation& violation) {
  const std::span<const Finding> findings = verdict.view();
  const auto same = std::find_if(findings.begin(), findings.end(), [&](const Finding& f) {
    return f.kind == violation.kind && f.cause == violation.judged && f.conditions == violation.conditions;
  });
  return same != findings.end() ? same : std::find_if(findings.begin(), findings.end(), [&](const Finding& f) {
    return f.kind == violation.kind;
  });
}

}  // namespace

void Explorer::harvest() {
  for (const Violation& violation : outcome_.violations.view()) {
    judge(violation);
    tail_ = tail_ || (violation.kind == ViolationKind::unbounded_nesting && !entry().description.nests);
  }
  outcome_.violations.count = 0;
}

/// A path that joins a known state shows all that comes behind it. What depends on the state alone has been said; where
/// the cause is an arrival, it may be another one on this path.
void Explorer::inherit(const Visited::Slot& joined) {
  const auto found = downstream_.find(joined.leg);
  if (found == downstream_.end()) {
    return;
  }
  const std::vector<Downstream> behind = found->second;  // the map changes below
  for (const Downstream& entry : behind) {
    if (entry.step > joined.step) {
      step_ = kEnd;
      judge_by_oracle(entry.violation);
    }
  }
}

void Explorer::note_known(std::int16_t row, GuestAddress cause) {
  result_->known.emplace(static_cast<std::size_t>(row), cause);
}

void Explorer::judge(const Violation& violation) {
  if (info_of(violation.kind).cause == CauseRule::judged && violation.source == ViolationSource::nested) {
    Finding finding;
    finding.kind = violation.kind;
    finding.cause = violation.judged;
    finding.conditions = violation.conditions;
    if (const std::int16_t row = oracle_.match_known(finding); row >= 0) {
      note_known(row, violation.judged);
      return;
    }
  }
  judge_by_oracle(violation);
}

/// The scenario of the path, judged as any other: its cause and signature are those that a fuzz binary finds.
void Explorer::judge_by_oracle(const Violation& violation) {
  downstream_[first_leg_ + leg_].push_back({static_cast<std::uint32_t>(step_), violation});
  std::uint64_t key = paths_.sequence_key(leg_);
  key = key * 31 + static_cast<std::uint64_t>(violation.kind);
  key = (key ^ violation.judged.value) * 0x9e3779b97f4a7c15 + violation.conditions;
  if (const auto cached = causes_.find(key); cached != causes_.end()) {
    note_known(cached->second.known, cached->second.cause);
    return;
  }
  unsigned& unknown = unknown_[{violation.kind, violation.judged, context_.context.vector}];
  if (unknown == kMostUnknown) {
    enough_ = true;
    ++repetitions_;
    return;
  }
  const std::optional<Scenario> scenario = paths_.scenario_of(context_, leg_, entry());
  if (!scenario) {
    result_->inexpressible.emplace(name_of(violation.kind));
    return;
  }
  const Verdict& verdict = oracle_.judge(*scenario);
  const auto found = finding_of(verdict, violation);
  if (found == verdict.view().end()) {
    result_->disagreements.push_back(fmt::format("{} at {}:\n{}", name_of(violation.kind),
                                                 format_location(entry(), violation.judged),
                                                 to_toml(*scenario, entry(), {})));
    return;
  }
  if (found->known >= 0) {
    causes_[key] = {found->known, found->cause};
    note_known(found->known, found->cause);
    return;
  }
  ++unknown;
  unknown_runaways_ += found->kind == ViolationKind::runaway ? 1 : 0;
  ExploredViolation explored;
  explored.signature = signature_of(entry(), *found);
  explored.kind = found->kind;
  explored.conditions = explored.common = found->conditions;
  explored.cause = found->cause;
  explored.scenario = *scenario;
  explored.boundaries = oracle_.nested().boundaries;
  add_path(result_->violations, explored);
}

/// The end of a path is that of the run without arrivals. What is pending then, and which ports were handled, differs
/// rightly: but where that run ends with events masked, none may have been handled that it has not.
void Explorer::compare_with_reference() {
  if (!reference_.resumed) {
    return;
  }
  execution_.end();
  outcome_.pending = reference_.pending;
  if (reference_.mask == 0) {
    outcome_.handled = reference_.handled;
  }
  ViolationList differences;
  compare_outcomes(outcome_, reference_, entry().width(), differences);
  for (const Violation& violation : differences.view()) {
    judge_by_oracle(violation);
  }
}

}  // namespace framefold
