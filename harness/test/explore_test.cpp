// Exploration: what it proves, what it finds, and that neither the ways it saves work nor the number of threads change
// that.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "explore/exploration.hpp"
#include "scenario/codec.hpp"
#include "test/directed.hpp"
#include "test/planted_faults.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

EntryReport explore(const Entry& entry, const ExplorationOptions& options, bool interrupted = false) {
  const std::array<const Entry*, 1> entries{&entry};
  const std::atomic<bool> stop{interrupted};
  return explore_entries(entries, options, stop, [](std::size_t, std::size_t) {}).front();
}

ExplorationOptions once() {
  ExplorationOptions options;
  options.second_values = false;
  return options;
}

/// What is found from contexts with one variation each is found where these are combined as well.
ExplorationOptions once_each() {
  ExplorationOptions options = once();
  options.crossing = Crossing::each;
  return options;
}

// --- Verdicts

struct VerdictCase {
  std::string entry;
  ExploreVerdict verdict;
  std::set<std::string> unseen;  // "kind@symbol" of rows that events alone do not show
  friend std::ostream& operator<<(std::ostream& out, const VerdictCase& test) { return out << test.entry; }
};

constexpr ExploreVerdict kProved = ExploreVerdict::proved;
constexpr ExploreVerdict kExceptKnown = ExploreVerdict::proved_except_known;

const std::vector<VerdictCase>& verdict_cases() {
  static const std::vector<VerdictCase> all = {
      {"minios-x86_64-nesting", kExceptKnown, {}},
      {"minios-x86_64-table", kExceptKnown, {}},
      {"minios-x86_64-single", kExceptKnown, {"nmi-masked@hypervisor_callback"}},
      {"minios-x86_64-fixed", kProved, {}},
      {"minios-x86_32-table", kExceptKnown, {}},
      {"minios-x86_32-fixed", kProved, {}},
      {"xenlinux-x86_32-table", kExceptKnown, {}},
      {"xenlinux-x86_32-fixed", kProved, {}},
      {"xenlinux-x86_64-nesting", kExceptKnown, {}},
      {"linux-x86_32-single", kExceptKnown, {}},
      {"linux-x86_32-2007", kExceptKnown, {}},
      {"linux-x86_64-hypercall", kProved, {}},
      {"minios-x86_64-fixed.unmasks_by_index", kProved, {}},  // right, and nothing like the others
      {"minios-x86_64-fixed.reads_time", kProved, {}},
      {"minios-x86_64-fixed.lazy_fold", kProved, {}},
      {"minios-x86_32-fixed.lazy_fold", kProved, {}},
      {"linux-x86_32-single.lazy_fold", kExceptKnown, {}},
      {"minios-x86_64-fixed.enters", kProved, {}},
      {"linux-x86_64-hypercall.spurious_cleared", kProved, {}},
  };
  return all;
}

class Verdicts : public testing::TestWithParam<VerdictCase> {};

TEST_P(Verdicts, AreThoseOfTheDescription) {
  const VerdictCase& test = GetParam();
  const auto entry = load_variant(test.entry);
  const EntryReport report = explore(*entry, once());
  EXPECT_EQ(name_of(report.verdict), name_of(test.verdict));
  for (const auto& [signature, violation] : report.result.violations) {
    ADD_FAILURE() << signature;
  }
  EXPECT_THAT(report.result.disagreements, testing::IsEmpty());
  EXPECT_EQ(report.region_covered, report.region_boundaries);
  std::set<std::string> unseen;
  for (const RowReport& row : report.rows) {
    const KnownDescription& known = entry->known[row.row].description;
    if (row.seen.empty()) {
      unseen.insert(known.kind + "@" + known.first);
    }
    // An event behind the last test of the work flags, and none behind the unmask: what a nested frame's exit has seen.
    const bool some = test.entry == "xenlinux-x86_64-nesting";
    if (!row.seen.empty() && !some) {
      EXPECT_THAT(row.unseen, testing::IsEmpty()) << known.kind << " " << known.first;
    }
  }
  EXPECT_EQ(unseen, test.unseen);
}

INSTANTIATE_TEST_SUITE_P(Entries, Verdicts, testing::ValuesIn(verdict_cases()),
                         [](const testing::TestParamInfo<VerdictCase>& test) { return test_name(test.param.entry); });

// --- What it finds

class ExplorePlanted : public testing::TestWithParam<PlantedFault> {};

TEST_P(ExplorePlanted, IsFoundAndReproduces) {
  const PlantedFault& fault = GetParam();
  const auto entry = load_variant(fault.variant);
  ExplorationOptions options = once_each();
  options.bounds.exceptions = fault.by_exception ? 1 : 0;
  options.stop_at_violation = fault.by_exception;  // the rest takes ten times as long
  const EntryReport report = explore(*entry, options);
  EXPECT_THAT(report.result.disagreements, testing::IsEmpty());
  if (!fault.only.empty()) {  // a known one
    EXPECT_EQ(report.verdict, ExploreVerdict::proved_except_known);
    return;
  }
  ASSERT_EQ(report.verdict, ExploreVerdict::violated);
  Oracle oracle(*entry);
  for (const auto& [signature, violation] : report.result.violations) {
    const Encoded bytes = encode(violation.scenario, *entry);
    const Scenario decoded = decode(bytes.view(), *entry);
    EXPECT_EQ(decoded, violation.scenario);
    std::set<std::string> shown;
    for (const Finding& finding : oracle.judge(decoded).view()) {
      shown.insert(signature_of(*entry, finding));
    }
    EXPECT_THAT(shown, testing::Contains(signature));
  }
}

/// One of each kind of fault, and of the byte table's entries every seventh: the search by chance has them all.
std::vector<PlantedFault> some_planted_faults() {
  constexpr std::size_t kStride = 7;
  std::vector<PlantedFault> some;
  std::size_t bytes = 0;
  for (const PlantedFault& fault : planted_faults()) {
    if (fault.variant.find('@') == std::string::npos || bytes++ % kStride == 0) {
      some.push_back(fault);
    }
  }
  return some;
}

INSTANTIATE_TEST_SUITE_P(Faults, ExplorePlanted, testing::ValuesIn(some_planted_faults()),
                         [](const testing::TestParamInfo<PlantedFault>& test) {
                           return test_name(test.param.variant);
                         });

class ExploreKinds : public testing::TestWithParam<std::string> {};

TEST_P(ExploreKinds, AreFound) {
  const auto entry = load_variant(GetParam());
  const EntryReport report = explore(*entry, once_each());
  EXPECT_THAT(report.result.disagreements, testing::IsEmpty());
  const std::string kind = GetParam().substr(GetParam().find('.') + 1);
  std::set<std::string> kinds;
  for (const auto& [signature, violation] : report.result.violations) {
    kinds.insert(test_name(std::string(name_of(violation.kind))));
  }
  EXPECT_THAT(kinds, testing::Contains(kind));
}

std::vector<std::string> kind_variants() {
  std::vector<std::string> names;
  for (const ViolationKindInfo& info : violation_kinds()) {
    const bool has_work = info.kind == ViolationKind::work_missed;
    names.push_back((has_work ? "linux-x86_64-hypercall." : "minios-x86_64-fixed.") +
                    test_name(std::string(info.name)));
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Kinds, ExploreKinds, testing::ValuesIn(kind_variants()),
                         [](const testing::TestParamInfo<std::string>& test) { return test_name(test.param); });

std::size_t spurious_ticks(const Scenario& scenario) {
  return static_cast<std::size_t>(std::count_if(scenario.arrivals.begin(), scenario.arrivals.end(),
                                                [](const Arrival& arrival) { return arrival.spurious; }));
}

/// And without such a tick nothing is wrong: with a plain one in its place, or an event.
TEST(Exploration, FindsWhatASpuriousUpcallBreaksInTheBucketInWhichChanceDoes) {
  const std::string bucket = "minios-x86_64-fixed:lost-event:restore_end";
  const PlantedFault fault{"minios-x86_64-fixed.spurious_left", {ViolationKind::lost_event}, ""};
  const auto entry = load_variant(fault.variant);
  Oracle oracle(*entry);
  const std::optional<FoundFault> found = search(oracle, fault, 1, 100000);
  ASSERT_TRUE(found);
  EXPECT_EQ(bucket_of(*entry, found->finding), bucket);
  const EntryReport report = explore(*entry, once_each());
  std::set<std::string> buckets;
  for (const auto& [signature, violation] : report.result.violations) {
    EXPECT_EQ(spurious_ticks(violation.scenario), 1U);
    ASSERT_NE(oracle.judge(violation.scenario).violation(), nullptr);
    buckets.insert(bucket_of(*entry, *oracle.judge(violation.scenario).violation()));
    for (const ArrivalKind kind : {ArrivalKind::tick, ArrivalKind::event}) {
      Scenario other = violation.scenario;
      for (Arrival& arrival : other.arrivals) {
        arrival.kind = arrival.spurious ? kind : arrival.kind;
        arrival.spurious = false;
      }
      canonicalise(other, *entry);
      EXPECT_EQ(oracle.judge(other).violation(), nullptr);
    }
  }
  // By the exit that tests the selector, or, where an exception's code was interrupted, by that code's own.
  EXPECT_EQ(buckets, (std::set<std::string>{bucket, "minios-x86_64-fixed:lost-event:exit_as_is"}));
}

/// Between the look at the selector and the store to the byte.
TEST(Exploration, RaisesAnEventBehindASpuriousUpcall) {
  const auto entry = load_variant("minios-x86_64-fixed.spurious_raced");
  ExplorationOptions options = once_each();
  options.stop_at_violation = true;
  const EntryReport report = explore(*entry, options);
  ASSERT_FALSE(report.result.violations.empty());
  for (const auto& [signature, violation] : report.result.violations) {
    EXPECT_EQ(spurious_ticks(violation.scenario), 1U) << signature;
    EXPECT_EQ(violation.scenario.arrival_count, 2U) << signature;
  }
}

// --- Robustness

TEST(Exploration, SecondValuesGiveTheSameGraph) {
  for (const std::string name : {"minios-x86_64-fixed", "linux-x86_64-hypercall", "minios-x86_32-fixed"}) {
    const auto entry = load_variant(name);
    EXPECT_THAT(explore(*entry, {}).value_dependent, testing::IsEmpty()) << name;
  }
}

TEST(Exploration, IsTheSameOnSeveralThreads) {
  const auto entry = load_variant("minios-x86_64-table");
  ExplorationOptions options = once();
  const EntryReport one = explore(*entry, options);
  options.jobs = 3;
  const EntryReport three = explore(*entry, options);
  EXPECT_EQ(one.result.counts.states, three.result.counts.states);
  EXPECT_EQ(one.result.counts.transitions, three.result.counts.transitions);
  EXPECT_EQ(one.result.counts.shape, three.result.counts.shape);
  EXPECT_EQ(one.result.known, three.result.known);
  EXPECT_EQ(one.result.covered, three.result.covered);
}

TEST(Exploration, SaysThatItWasInterrupted) {
  const auto entry = load_variant("minios-x86_64-fixed");
  const EntryReport report = explore(*entry, once(), true);
  EXPECT_EQ(report.verdict, ExploreVerdict::not_closed);
  EXPECT_TRUE(report.result.interrupted);
}

TEST(Exploration, EndsAtItsMemoryLimit) {
  const auto entry = load_variant("minios-x86_64-fixed");
  ExplorationOptions options = once();
  options.memory = 1000;
  const EntryReport report = explore(*entry, options);
  EXPECT_EQ(report.verdict, ExploreVerdict::not_closed);
  EXPECT_TRUE(report.result.out_of_memory);
}

/// Ends the run at the n-th boundary, with a snapshot.
class StopAt : public BoundaryObserver {
 public:
  StopAt(Execution& execution, std::uint32_t boundary) : execution_(execution), left_(boundary) {
    for (std::size_t i = 0; i < kStackCount; ++i) {
      live_[i] = execution.guest().stack_range(static_cast<StackId>(i)).end;
    }
  }
  bool at_boundary(const Boundary& boundary) override {
    Registers registers = execution_.state().registers;
    execution_.guest().cpu().read_general(registers);
    execution_.guest().cpu().read_segments(registers);
    registers.rip = boundary.address.value;
    update_live_stacks(execution_, registers, live_);
    if (left_-- != 0) {
      return false;
    }
    execution_.save(boundary, registers, live_, snapshot);
    reached = true;
    return true;
  }
  Snapshot snapshot;
  bool reached = false;

 private:
  Execution& execution_;
  std::uint32_t left_;
  LiveStacks live_{};
};

TEST(Snapshots, GoOnAsIfNothingHadHappened) {
  for (const BundledEntry& bundled : bundled_entries()) {
    const auto entry = load_variant(bundled.name);
    Execution execution(*entry);
    Scenario scenario = decode({}, *entry);
    scenario.context.mode = GuestMode::user;
    canonicalise(scenario, *entry);
    Outcome whole;
    execution.run_nested(scenario, 0, whole);
    std::uint32_t boundary = 0;
    for (bool reached = true; reached; ++boundary) {
      Outcome outcome;
      StopAt observer(execution, boundary);
      execution.set_observer(&observer);
      execution.begin(scenario, outcome);
      execution.run_on();
      execution.set_observer(nullptr);
      reached = observer.reached;
      if (reached) {
        execution.restore(observer.snapshot, scenario, 0, outcome);
        execution.run_on();
      }
      execution.end();
      SCOPED_TRACE(fmt::format("{}, boundary {}", entry->name(), boundary));
      EXPECT_EQ(outcome.registers, whole.registers);
      EXPECT_EQ(outcome.mask, whole.mask);
      EXPECT_EQ(outcome.mode, whole.mode);
      EXPECT_TRUE(outcome.resumed);
    }
    EXPECT_GE(boundary, 30U);
  }
}

}  // namespace
}  // namespace framefold::test
