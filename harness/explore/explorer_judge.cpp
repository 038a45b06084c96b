// Explorer: what a path shows, by the code that judges a fuzz input.
#include <fmt/format.h>

#include <algorithm>

#include "explore/explorer.hpp"
#include "scenario/toml.hpp"

namespace framefold {

namespace {

std::uint32_t bit_of(ViolationKind kind) { return 1U << static_cast<unsigned>(kind); }

/// A violation's finding: where there are several of the kind, by place and conditions.
std::span<const Finding>::iterator finding_of(const Verdict& verdict, const Violation& violation) {
  const std::span<const Finding> findings = verdict.view();
  const auto same = std::find_if(findings.begin(), findings.end(), [&](const Finding& f) {
    return f.kind == violation.kind && f.cause == violation.judged && f.conditions == violation.conditions;
  });
  if (same != findings.end()) {
    return same;
  }
  // The path ends where the violation shows: it is the last one of its kind.
  const auto last =
      std::find_if(findings.rbegin(), findings.rend(), [&](const Finding& f) { return f.kind == violation.kind; });
  return last == findings.rend() ? findings.end() : std::prev(last.base());
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
      show(entry.violation);
    }
  }
}

void Explorer::note_known(std::int16_t row, GuestAddress cause) {
  auto& known = level_ == 0 ? result_->known : level().chain->known;
  known.emplace(static_cast<std::size_t>(row), cause);
}

void Explorer::judge(const Violation& violation) {
  if (level_ > 0) {
    level().chain->shown.emplace(violation.kind, violation.judged, violation.conditions);
  }
  if (violation.cause_is_judged && violation.source == ViolationSource::nested) {
    Finding finding;
    finding.kind = violation.kind;
    finding.cause = violation.judged;
    finding.conditions = violation.conditions;
    if (const std::int16_t row = oracle_.match_known(finding); row >= 0) {
      note_known(row, violation.judged);
      if (info_of(violation.kind).cause != CauseRule::judged) {
        shown_ |= bit_of(violation.kind);
      }
      return;
    }
  }
  show(violation);
}

/// Of a kind that an arrival brings about and that is judged where a context resumes, the first one on a path: the
/// scenario cut after what arrived until then shows the kind, so that nothing behind it is the cause of another one.
void Explorer::show(const Violation& violation) {
  if (!violation.cause_is_judged) {
    if ((shown_ & bit_of(violation.kind)) != 0 && !is_judged_in_flight(violation.kind)) {
      return;
    }
    shown_ |= bit_of(violation.kind);
  }
  judge_by_oracle(violation);
}

/// The scenario of the path, judged as any other: its cause and signature are those that a fuzz binary finds.
void Explorer::judge_by_oracle(const Violation& violation) {
  downstream_[first_leg_ + leg_].push_back({static_cast<std::uint32_t>(step_), violation});
  ++downstream_entries_;
  if (by_class_ && is_settled(violation)) {
    return;
  }
  if (level_ > 0) {
    note_in_chain(violation);
  }
  std::uint64_t key = paths_.sequence_key(0, leg_);
  key = key * 31 + static_cast<std::uint64_t>(violation.kind);
  key = (key ^ violation.judged.value) * 0x9e3779b97f4a7c15 + violation.conditions;
  if (const auto cached = causes_.find(key); cached != causes_.end()) {
    result_->known.emplace(static_cast<std::size_t>(cached->second.known), cached->second.cause);
    return;
  }
  unsigned& unknown = unknown_[{violation.kind, violation.judged, context_.context.vector}];
  if (unknown == kMostUnknown) {
    enough_ = true;
    ++level().repetitions;
    return;
  }
  const std::optional<Scenario> scenario = paths_.scenario_of(context_, leg_, entry());
  if (!scenario) {
    result_->inexpressible.emplace(name_of(violation.kind));
    return;
  }
  const Verdict& verdict = oracle_.judge(*scenario);
  const auto found = finding_of(verdict, violation);
  // In a chain, and from one, it showed with opaque values; this state's own may not show it.
  if (found == verdict.view().end() && (passing_on_ || level_ > 0)) {
    return;
  }
  if (found == verdict.view().end()) {
    result_->disagreements.push_back(fmt::format("{} at {}:\n{}", name_of(violation.kind),
                                                 format_location(entry(), violation.judged),
                                                 to_toml(*scenario, entry(), {})));
    return;
  }
  if (found->known >= 0) {
    causes_[key] = {found->known, found->cause};
    result_->known.emplace(static_cast<std::size_t>(found->known), found->cause);
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

/// Where the cause of a violation is the last arrival before it, it is that wherever the same arrives there and shows
/// the same, in or above whatever was interrupted alike: judged once. (Where it is an earlier one, a path that ends
/// behind that one shows it.)
bool Explorer::is_settled(const Violation& violation) {
  const std::optional<WayStep> last = paths_.last_arrival(leg_, level_ == 0 ? 0 : level().root);
  if (!last || !last->record.delivered || last->record.cause != last->record.boundary) {
    return false;
  }
  const Choice& choice = last->choice;
  const CauseKey key{violation.kind,
                     violation.judged,
                     violation.conditions,
                     violation.source,
                     last->record.boundary,
                     last->record.conditions,
                     static_cast<std::uint32_t>(choice.kind) | std::uint32_t{choice.vector} << 8 |
                         std::uint32_t{choice.pending_value} << 16 | std::uint32_t{choice.spurious} << 24};
  if (const auto settled = settled_.find(key); settled != settled_.end()) {
    note_known(settled->second, last->record.cause);
    return true;
  }
  if (const auto unknown = unknown_.find({violation.kind, violation.judged, context_.context.vector});
      unknown != unknown_.end() && unknown->second == kMostUnknown) {
    return false;
  }
  const std::optional<Scenario> scenario = paths_.scenario_of(context_, leg_, entry());
  if (!scenario) {
    return false;
  }
  const Verdict& verdict = oracle_.judge(*scenario);
  const auto found = finding_of(verdict, violation);
  if (found == verdict.view().end() || found->known < 0 || found->arrivals != scenario->arrival_count ||
      found->cause != last->record.cause) {
    return false;
  }
  settled_[key] = found->known;
  note_known(found->known, found->cause);
  return true;
}

/// The end of a path is that of the run without arrivals. What is pending then, and which ports were handled, differs
/// rightly: but where that run ends with events masked, none may have been handled that it has not. Where judgement
/// has ended (a return with the wrong mask), nothing is compared, as the oracle does not.
void Explorer::compare_with_reference() {
  if (!reference_.resumed || outcome_.violations.closed) {
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
    show(violation);
  }
}

}  // namespace framefold
