// The oracle: runs a scenario nested and for reference, holds the two against each other, finds each violation's cause,
// and tells known violations from new ones. Nothing on the way allocates once it is built.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "run/execution.hpp"
#include "run/prefix_cache.hpp"
#include "run/reference_cache.hpp"
#include "run/replay.hpp"
#include "run/violation.hpp"

namespace framefold {

/// A violation with its cause.
struct Finding {
  ViolationKind kind = ViolationKind::runaway;
  GuestAddress cause;
  ConditionSet conditions = 0;
  std::uint8_t arrivals = 0;  // it shows in the scenario cut after this many
  std::int16_t known = -1;    // row of Entry::known, -1 where none matches
  ViolationSource source = ViolationSource::nested;
  ViolationDetail detail;
};

struct Verdict {
  std::array<Finding, 24> findings{};  // in guest time
  std::size_t count = 0;

  std::span<const Finding> view() const { return {findings.data(), count}; }
  /// The violation: the first finding that is not known; with `report_known` simply the first. nullptr: clean.
  const Finding* violation(bool report_known = false) const;
  bool clean() const { return count == 0; }
};

class Oracle {
 public:
  /// Measures the longest run of the entry without arrivals, for the `runaway` bound.
  /// Throws InputError where a `known` row names a kind that does not exist.
  explicit Oracle(const Entry& entry);

  /// Runs the scenario and judges it. The verdict is good until the next call.
  const Verdict& judge(const Scenario& scenario);

  /// The runs behind the last verdict.
  const Outcome& nested() const { return nested_; }
  const Outcome& reference() const { return reference_; }
  const Entry& entry() const { return execution_.entry(); }
  Execution& execution() { return execution_; }
  /// What counts the nested runs' coverage. The others add none: whether they run depends on what ran before.
  void set_coverage(Coverage* coverage);
  std::uint32_t runaway_limit() const { return options_.runaway_limit; }
  void set_hash(bool hash);
  /// What the reference run replays.
  Replay replay(const Scenario& scenario, const Outcome& nested) const;
  /// Off: each verdict has a reference run of its own, of all arrivals, and each run a beginning. What it says is the
  /// same.
  void set_caches(bool on);
  /// Row of Entry::known that a finding's kind, cause and conditions match; -1 where none does.
  std::int16_t match_known(const Finding& finding) const;

 private:
  struct KnownMatcher {
    ViolationKind kind;
    GuestRange causes;  // half-open
    ConditionSet conditions;
  };
  void run_reference(const Scenario& scenario, const Outcome& nested, Outcome& reference);
  void hold_against_reference(const Scenario& scenario, const Outcome& nested, Outcome& reference, ViolationList& all);
  void add_finding(const Scenario& scenario, const Violation& violation, std::size_t repetition);
  Finding find_cause(const Scenario& scenario, const Violation& violation, std::size_t repetition);
  void measure_longest_run();
  void prepare_known();

  Execution execution_;
  ReferenceCache cache_;
  PrefixCache prefixes_;
  bool caches_ = true;
  bool upcalls_alike_ = true;
  Coverage* coverage_ = nullptr;
  ExecutionOptions options_;
  std::vector<KnownMatcher> known_;
  Outcome nested_;
  Outcome reference_;
  Outcome cut_nested_;
  Outcome cut_reference_;
  ViolationList all_;
  ViolationList cut_all_;
  Verdict verdict_;
};

/// Adds what holding two resumed runs against each other shows, in the order of the kinds.
void compare_outcomes(const Outcome& nested, const Outcome& reference, Width width, ViolationList& all);

/// "minios-x86_64-table:critical-frame:hypercall_page+0x2e1"
std::string signature_of(const Entry& entry, const Finding& finding);
/// The signature without the offset.
std::string bucket_of(const Entry& entry, const Finding& finding);

}  // namespace framefold
