#include "run/oracle.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace framefold {

namespace {

constexpr std::uint32_t kRunawayFactor = 8;  // oracle.md, `runaway`
constexpr std::uint32_t kRunawayMargin = 4096;
constexpr std::uint32_t kMeasuringLimit = 1U << 16;

bool has_nmi(const Entry& entry) {
  return std::any_of(entry.vectors.begin(), entry.vectors.end(),
                     [](const Vector& vector) { return vector.description.kind == DeliveryKind::nmi; });
}

/// What a cut scenario shows of the same kind as `violation`, before which come `repetition` of its kind: the first
/// one; else at the same place, as many, or of the same register. nullptr: nothing.
const Violation* find_same(const ViolationList& list, const Violation& violation, std::size_t repetition) {
  const bool by_place = repetition > 0 && violation.cause_is_judged;
  const bool by_count = repetition == 0 || (!by_place && is_judged_in_flight(violation.kind));
  std::size_t before = 0;
  const auto is_same = [&](const Violation& other) {
    if (other.kind != violation.kind) {
      return false;
    }
    if (by_count) {
      return before++ == repetition;
    }
    return by_place ? other.cause_is_judged && other.judged == violation.judged
                    : other.detail.what == violation.detail.what;
  };
  const std::span<const Violation> all = list.view();
  const auto found = std::find_if(all.begin(), all.end(), is_same);
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

void compare_outcomes(const Outcome& nested, const Outcome& reference, Width width, ViolationList& all) {
  const auto add = [&](ViolationKind kind, std::string_view what, std::uint64_t expected, std::uint64_t found) {
    Violation violation;
    violation.kind = kind;
    violation.arrivals = nested.reached;
    violation.source = ViolationSource::comparison;
    violation.detail = {what, expected, found, true};
    all.add(violation);
  };
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    if (nested.registers.gpr[i] != reference.registers.gpr[i]) {
      add(ViolationKind::register_mismatch, name_of(static_cast<Gpr>(i), width), reference.registers.gpr[i],
          nested.registers.gpr[i]);
    }
  }
  if (nested.registers.rip != reference.registers.rip) {
    add(ViolationKind::register_mismatch, "rip", reference.registers.rip, nested.registers.rip);
  }
  for (std::size_t i = 0; i < kSegmentCount; ++i) {
    if (nested.registers.segment[i] != reference.registers.segment[i]) {
      add(ViolationKind::register_mismatch, name_of(static_cast<Segment>(i)), reference.registers.segment[i],
          nested.registers.segment[i]);
    }
  }
  if (nested.registers.gs_base != reference.registers.gs_base) {
    add(ViolationKind::register_mismatch, "GS base", reference.registers.gs_base, nested.registers.gs_base);
  }
  if (nested.registers.fs_base != reference.registers.fs_base) {
    add(ViolationKind::register_mismatch, "FS base", reference.registers.fs_base, nested.registers.fs_base);
  }
  if (nested.mode != reference.mode) {
    add(ViolationKind::register_mismatch, "vCPU mode", static_cast<std::uint64_t>(reference.mode),
        static_cast<std::uint64_t>(nested.mode));
  }
  if (!same_flags(nested.registers.rflags, reference.registers.rflags)) {
    add(ViolationKind::flags_mismatch, "rflags", reference.registers.rflags, nested.registers.rflags);
  }
  if ((nested.mask == 0) != (reference.mask == 0)) {
    add(ViolationKind::mask_mismatch, "evtchn_upcall_mask", reference.mask, nested.mask);
  }
  if (nested.async_exception_mask != reference.async_exception_mask) {
    add(ViolationKind::nmi_masked, "async_exception_mask", reference.async_exception_mask, nested.async_exception_mask);
  }
  if (nested.pending != reference.pending) {
    add(ViolationKind::lost_event, "evtchn_upcall_pending", reference.pending ? 1 : 0, nested.pending ? 1 : 0);
  }
  if (nested.handled != reference.handled) {
    add(ViolationKind::lost_event, "ports handled", reference.handled.count(), nested.handled.count());
  }
}

const Finding* Verdict::violation(bool report_known) const {
  for (const Finding& finding : view()) {
    if (report_known || finding.known < 0) {
      return &finding;
    }
  }
  return nullptr;
}

Oracle::Oracle(const Entry& entry) : execution_(entry), upcalls_alike_(has_upcalls_alike(entry)) {
  execution_.set_prefixes(&prefixes_);
  prepare_known();
  measure_longest_run();
}

void Oracle::prepare_known() {
  for (std::size_t i = 0; i < entry().known.size(); ++i) {
    const KnownRow& row = entry().known[i];
    const auto fail = [&](const std::string& text) {
      throw description_error(entry().description, fmt::format("known[{}].kind", i), text);
    };
    const std::optional<ViolationKind> kind = violation_kind_from_name(row.description.kind);
    if (!kind) {
      fail(fmt::format("expected a kind of violation, as `framefold explain` lists them, found \"{}\"",
                       row.description.kind));
    }
    if (kind == ViolationKind::nmi_masked && !has_nmi(entry())) {
      fail("expected a kind that this entry can show: without [nmi] nothing masks NMIs");
    }
    if (kind == ViolationKind::work_missed && !entry().work_flag) {
      fail("expected a kind that this entry can show: without [work_flag] there is no work");
    }
    ConditionSet conditions = 0;
    for (const KnownCondition condition : row.description.when) {
      conditions = static_cast<ConditionSet>(conditions | (1U << static_cast<unsigned>(condition)));
    }
    known_.push_back({*kind, {row.first, row.last + 1}, conditions});
  }
}

void Oracle::measure_longest_run() {
  options_.runaway_limit = kMeasuringLimit;
  execution_.set_options(options_);
  std::uint32_t longest = 0;
  for (std::size_t vector = 0; vector < entry().vectors.size(); ++vector) {
    for (const GuestMode mode : {GuestMode::kernel, GuestMode::user}) {
      Scenario scenario;
      scenario.context.vector = static_cast<std::uint8_t>(vector);
      scenario.context.mode = mode;
      canonicalise(scenario, entry());
      execution_.run_nested(scenario, 0, nested_);
      longest = std::max(longest, nested_.boundaries);
    }
  }
  // An entry that never resumes reaches the limit of the measurement: it says nothing about a length.
  longest = longest >= kMeasuringLimit ? 0 : longest;
  options_.runaway_limit = kRunawayFactor * longest + kRunawayMargin;
  execution_.set_options(options_);
}

void Oracle::set_hash(bool hash) {
  options_.hash = hash;
  execution_.set_options(options_);
  cache_.clear();
  prefixes_.clear();
}

void Oracle::set_coverage(Coverage* coverage) {
  coverage_ = coverage;
  prefixes_.clear();  // they name what counted them, which may be gone, and another in its place
}

void Oracle::set_caches(bool on) {
  caches_ = on;
  execution_.set_prefixes(on ? &prefixes_ : nullptr);
}

Replay Oracle::replay(const Scenario& scenario, const Outcome& nested) const {
  return replay_of(scenario, nested, caches_ && upcalls_alike_);
}

/// Runs it, or takes its outcome from the cache where that has it and nobody watches.
void Oracle::run_reference(const Scenario& scenario, const Outcome& nested, Outcome& reference) {
  const Replay replay = this->replay(scenario, nested);
  ReferenceCache::Entry& place = cache_.place_of(replay.scenario);
  if (!caches_ || execution_.traced() || !ReferenceCache::holds(place, replay.scenario)) {
    place.used = false;  // in case that the run throws
    execution_.run_reference(replay.scenario, place.outcome);
    place.replayed = replay.scenario;
    place.used = true;
  }
  reference = place.outcome;
  reference.handled = handled_ports(replay, scenario, nested, reference.handled);
}

/// All violations of the two runs: those of the nested one, and where judgement did not end there, those that the
/// reference run shows, by itself and held against the nested one.
void Oracle::hold_against_reference(const Scenario& scenario, const Outcome& nested, Outcome& reference,
                                    ViolationList& all) {
  all = nested.violations;
  if (all.closed) {
    reference = Outcome{};  // there is none: not that of an earlier scenario
    return;
  }
  run_reference(scenario, nested, reference);
  for (Violation violation : reference.violations.view()) {
    if (!is_judged_in_flight(violation.kind) || !all.contains(violation.kind)) {
      violation.arrivals = scenario.arrival_count;
      all.add(violation);
    }
  }
  if (nested.resumed && reference.resumed) {
    compare_outcomes(nested, reference, entry().width(), all);
  }
}

const Verdict& Oracle::judge(const Scenario& scenario) {
  execution_.set_coverage(coverage_);
  execution_.run_nested(scenario, kMaxArrivals, nested_);
  execution_.set_coverage(nullptr);
  hold_against_reference(scenario, nested_, reference_, all_);
  verdict_.count = 0;
  std::array<std::uint8_t, kViolationKindCount> seen{};
  for (const Violation& violation : all_.view()) {
    add_finding(scenario, violation, seen[static_cast<std::size_t>(violation.kind)]++);
  }
  return verdict_;
}

/// `repetition`: how many of the kind come before it. One that is known hides nothing of its kind that has another
/// cause; where one is new, the others of its kind may be what it leads to.
void Oracle::add_finding(const Scenario& scenario, const Violation& violation, std::size_t repetition) {
  const std::span<const Finding> before = verdict_.view();
  const bool by_arrival = !violation.cause_is_judged;
  if (by_arrival && std::any_of(before.begin(), before.end(), [&](const Finding& finding) {
        return finding.kind == violation.kind && finding.known < 0;
      })) {
    return;
  }
  Finding finding = find_cause(scenario, violation, repetition);
  finding.known = match_known(finding);
  const bool again = std::any_of(before.begin(), before.end(), [&](const Finding& other) {
    const bool same_row = finding.known >= 0 && other.known == finding.known;
    return other.kind == finding.kind && other.cause == finding.cause &&
           (same_row || (by_arrival && other.conditions == finding.conditions));
  });
  if (!again && verdict_.count < verdict_.findings.size()) {
    verdict_.findings[verdict_.count++] = finding;
  }
}

/// The cause of a kind that an arrival brings about is the boundary of the k-th arrival, for the smallest k such that
/// the scenario cut after k arrivals still shows the kind. Where it was not delivered there, nor anything else into a
/// window (a raise that stayed pending until later), its boundary says nothing about the bug: the boundary at which the
/// window was interrupted, in whose interruption it came, stands for it, or, where there is none, what was judged. What
/// is judged in the nested run depends only on arrivals taken before. Of a repeated kind, it is as many of the kind, or
/// the same register, that the cut scenario still shows.
Finding Oracle::find_cause(const Scenario& scenario, const Violation& violation, std::size_t repetition) {
  Finding finding;
  finding.kind = violation.kind;
  finding.cause = violation.judged;
  finding.conditions = violation.conditions;
  finding.arrivals = violation.arrivals;
  finding.source = violation.source;
  finding.detail = violation.detail;
  const bool at_judged = info_of(violation.kind).cause == CauseRule::judged && violation.cause_is_judged;
  // The reference run takes every arrival on the resumed context: where the nested run took it says nothing.
  if (at_judged || violation.source == ViolationSource::reference) {
    return finding;
  }
  const Outcome* shows = &nested_;
  const Violation* shown = &violation;
  std::size_t k = 0;
  for (; k < violation.arrivals; ++k) {
    execution_.run_nested(scenario, k, cut_nested_);
    if (violation.source == ViolationSource::comparison) {
      hold_against_reference(scenario, cut_nested_, cut_reference_, cut_all_);
    } else {
      cut_all_ = cut_nested_.violations;
    }
    if (const Violation* const same = find_same(cut_all_, violation, repetition)) {
      shown = same;
      shows = &cut_nested_;
      break;
    }
  }
  finding.arrivals = static_cast<std::uint8_t>(k);
  if (k > 0 && shows->arrivals[k - 1].has_cause && !shown->cause_is_judged) {
    finding.cause = shows->arrivals[k - 1].cause;
    finding.conditions = shows->arrivals[k - 1].cause_conditions;
  } else {
    finding.cause = shown->judged;
    finding.conditions = shown->conditions;
  }
  return finding;
}

std::int16_t Oracle::match_known(const Finding& finding) const {
  for (std::size_t i = 0; i < known_.size(); ++i) {
    const KnownMatcher& row = known_[i];
    if (row.kind == finding.kind && row.causes.contains(finding.cause) && (row.conditions & ~finding.conditions) == 0) {
      return static_cast<std::int16_t>(i);
    }
  }
  return -1;
}

std::string signature_of(const Entry& entry, const Finding& finding) {
  return fmt::format("{}:{}:{}", entry.name(), name_of(finding.kind), format_location(entry, finding.cause));
}

std::string bucket_of(const Entry& entry, const Finding& finding) {
  const std::optional<Location> location = locate(entry, finding.cause);
  return fmt::format("{}:{}:{}", entry.name(), name_of(finding.kind),
                     location ? std::string(location->symbol) : fmt::format("{:#x}", finding.cause.value));
}

}  // namespace framefold
