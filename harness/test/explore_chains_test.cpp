// Exploration with NMIs and exceptions: that what they start is explored once a class (chain.hpp) changes nothing of
// what is found, against the same bounds with every state taken by itself; and that code which looks at what it
// interrupts is seen to.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "explore/contexts.hpp"
#include "explore/exploration.hpp"
#include "test/explore_context.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

struct Found {
  std::set<std::pair<std::size_t, GuestAddress>> known;
  std::map<std::string, std::size_t> violations;  // arrivals of a shortest path
  std::set<std::string> unlike;
  std::set<std::string> disagreements;
  std::vector<std::uint8_t> covered;
  std::vector<std::uint8_t> unmasked;
  std::set<std::pair<std::size_t, std::size_t>> delivered;  // at which boundary, which kind
  std::size_t chains = 0;
  std::size_t contexts = 0;
};

void merge(std::vector<std::uint8_t>& to, const std::vector<std::uint8_t>& from) {
  to.resize(from.size());
  std::transform(from.begin(), from.end(), to.begin(), to.begin(),
                 [](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a | b); });
}

/// From every other of the plain contexts.
Found explore(const Entry& entry, ExploreBounds bounds, bool chains) {
  bounds.chains = chains;
  Explorer explorer(entry, bounds);
  Found found;
  std::size_t index = 0;
  for (const Scenario& context : enumerate_contexts(entry, DataValues::first, Crossing::none)) {
    const ContextClass c = class_of(context);
    if (c.stack != ContextStack::thread || c.mask > MaskClass::one || c.pending > 1 || index++ % 2 != 0) {
      continue;
    }
    const ExploreResult result = explore_one(explorer, context);
    EXPECT_FALSE(result.interrupted || result.out_of_memory) << describe_context(c, entry);
    ++found.contexts;
    found.known.insert(result.known.begin(), result.known.end());
    for (const auto& [signature, violation] : result.violations) {
      const std::size_t arrivals = violation.scenario.arrival_count;
      const auto at = found.violations.emplace(signature, arrivals).first;
      at->second = std::min(at->second, arrivals);
    }
    found.unlike.insert(result.unlike.begin(), result.unlike.end());
    found.disagreements.insert(result.disagreements.begin(), result.disagreements.end());
    merge(found.covered, result.covered);
    merge(found.unmasked, result.unmasked);
    for (std::size_t i = 0; i < result.boundaries.size(); ++i) {
      for (std::size_t kind = 0; kind < kArrivalKindCount; ++kind) {
        if (result.boundaries[i].delivered[kind] != 0) {
          found.delivered.emplace(i, kind);
        }
      }
    }
    found.chains += result.chains.size();
  }
  return found;
}

struct ChainCase {
  std::string entry;
  unsigned nmis;
  unsigned exceptions;
  unsigned choices;  // on a path
  bool actions;
  friend std::ostream& operator<<(std::ostream& out, const ChainCase& test) { return out << test.entry; }
};

ExploreBounds bounds_of(const ChainCase& test) {
  ExploreBounds bounds;
  bounds.nmis = test.nmis;
  bounds.exceptions = test.exceptions;
  bounds.choices = test.choices;
  bounds.actions = test.actions;
  return bounds;
}

/// Whether its violations may differ while it is known.
bool shows_late(const KnownDescription& row, const Description& description) {
  return row.kind != "handler-abi" || description.nests;
}

/// Of which nothing is known that shows late.
std::unique_ptr<const Entry> unknowing(const std::string& name) {
  const BundledEntry bundled = find_variant(name);
  Description description = parse_description(bundled.description, name + "/entry.toml");
  std::erase_if(description.known, [&](const KnownDescription& row) { return shows_late(row, description); });
  return load_entry(description, bundled.elf, name);
}

class ChainsTest : public testing::TestWithParam<ChainCase> {};

TEST_P(ChainsTest, ChangeNothingOfWhatIsFound) {
  const auto entry = load_variant(GetParam().entry);
  const Found by_state = explore(*entry, bounds_of(GetParam()), false);
  const Found by_class = explore(*entry, bounds_of(GetParam()), true);
  EXPECT_EQ(by_state.chains, 0U);
  EXPECT_GT(by_class.contexts, 3U);
  EXPECT_GT(by_class.chains, 0U);
  EXPECT_EQ(by_class.known, by_state.known);
  EXPECT_EQ(by_class.violations, by_state.violations);
  EXPECT_EQ(by_class.covered, by_state.covered);
  EXPECT_EQ(by_class.unmasked, by_state.unmasked);
  EXPECT_EQ(by_class.delivered, by_state.delivered);
  EXPECT_THAT(by_class.unlike, testing::IsEmpty());
  EXPECT_THAT(by_class.disagreements, testing::IsEmpty());
}

class UnknowingChainsTest : public ChainsTest {};

/// Nothing is known but what each handler's call shows (where all nests, that is more than enough): each violation, and
/// how many arrivals it needs at least. (Where one has been shown often enough, paths end: what is behind it, and
/// coverage, may differ.)
TEST_P(UnknowingChainsTest, ShowTheSameViolationsAsShort) {
  const auto entry = unknowing(GetParam().entry);
  const Found by_state = explore(*entry, bounds_of(GetParam()), false);
  const Found by_class = explore(*entry, bounds_of(GetParam()), true);
  EXPECT_EQ(by_class.violations, by_state.violations);
  EXPECT_THAT(by_class.disagreements, testing::IsEmpty());
}

const std::vector<ChainCase>& chain_cases() {
  static const std::vector<ChainCase> all = {
      {"minios-x86_64-fixed", 1, 1, 2, false},    {"minios-x86_64-single", 1, 1, 2, false},
      {"minios-x86_64-table", 0, 1, 2, false},    {"minios-x86_64-nesting", 1, 0, 3, false},
      {"minios-x86_32-fixed", 0, 1, 3, false},    {"minios-x86_32-table", 0, 1, 2, true},
      {"xenlinux-x86_32-table", 1, 1, 2, false},  {"xenlinux-x86_64-nesting", 1, 0, 2, true},
      {"linux-x86_32-single", 0, 1, 2, false},    {"linux-x86_32-2007", 0, 1, 2, false},
      {"linux-x86_64-hypercall", 1, 1, 2, false}, {"minios-x86_64-fixed.fixed_distance", 1, 0, 2, false},
  };
  return all;
}

/// Those that know something else than unknowing: of the others, the former test has said it already.
std::vector<ChainCase> knowing_cases() {
  std::vector<ChainCase> knowing;
  std::copy_if(chain_cases().begin(), chain_cases().end(), std::back_inserter(knowing), [](const ChainCase& test) {
    return load_variant(test.entry)->known.size() != unknowing(test.entry)->known.size();
  });
  return knowing;
}

INSTANTIATE_TEST_SUITE_P(Entries, ChainsTest, testing::ValuesIn(chain_cases()),
                         [](const testing::TestParamInfo<ChainCase>& test) { return test_name(test.param.entry); });
INSTANTIATE_TEST_SUITE_P(Entries, UnknowingChainsTest, testing::ValuesIn(knowing_cases()),
                         [](const testing::TestParamInfo<ChainCase>& test) { return test_name(test.param.entry); });

// --- Code that is not blind to what it interrupts

/// One of the table entry's fixed successor, with exceptions that look at what they interrupt.
class Looks : public testing::TestWithParam<const char*> {};

ChainCase looking(const char* variant) { return {fmt::format("minios-x86_64-fixed.{}", variant), 0, 1, 2, false}; }

TEST_P(Looks, AreSeenWhereTheyDoNoHarm) {
  const auto entry = load_variant(looking(GetParam()).entry);
  const Found by_class = explore(*entry, bounds_of(looking(GetParam())), true);
  EXPECT_THAT(by_class.violations, testing::IsEmpty());
  EXPECT_EQ(by_class.covered, explore(*entry, bounds_of(looking(GetParam())), false).covered);
  EXPECT_THAT(by_class.unlike, testing::IsEmpty());
  EXPECT_GT(by_class.chains,
            explore(*load_variant("minios-x86_64-fixed"), bounds_of(looking(GetParam())), true).chains);
}

INSTANTIATE_TEST_SUITE_P(Variants, Looks, testing::Values("looks_at_rip", "looks_at_rsp", "looks_at_cr2", "notes_rsp"),
                         [](const auto& info) { return std::string(info.param); });

/// One context shows it, and from then on all states are told apart by more.
TEST(FaultAddress, ThatCodeReadsHasContextsExploredAnew) {
  const auto entry = load_variant("minios-x86_64-fixed.looks_at_cr2");
  Explorer explorer(*entry, bounds_of(looking("looks_at_cr2")));
  const std::vector<Scenario> contexts = enumerate_contexts(*entry, DataValues::first, Crossing::none);
  const auto identity = [&](const Scenario& context) {
    ExploreResult result;
    EXPECT_TRUE(explorer.explore(context, result));
    return result.counts.identity;
  };
  ExploreResult ended;
  EXPECT_FALSE(explorer.explore(contexts.front(), ended));
  const std::uint64_t first = identity(contexts.front());  // knows no state of the one before
  explorer.forget();
  EXPECT_EQ(identity(contexts.front()), first);
  const auto shows = [&](const Scenario& context) {
    ExploreResult result;
    explorer.set_chains(true);
    explorer.forget();
    return !explorer.explore(context, result);
  };
  const auto last = std::find_if(contexts.rbegin(), contexts.rend(), shows);  // not the one above
  ASSERT_LT(last, contexts.rend() - 1);
  EXPECT_EQ(identity(contexts.front()), first);
  const auto blind = load_variant("minios-x86_64-fixed");
  Explorer other(*blind, bounds_of(looking("looks_at_cr2")));
  for (const Scenario& context : {contexts.front(), contexts.back()}) {
    ExploreResult result;
    EXPECT_TRUE(other.explore(context, result));
  }
}

/// Of a group of contexts, all is counted that was explored at last: none of its chains is taken for one of before.
TEST(FaultAddress, ThatCodeReadsLeavesNoChainUncounted) {
  const auto chains_of = [](const Entry& entry) {
    ExplorationOptions options;
    options.bounds = bounds_of(looking("looks_at_cr2"));
    options.crossing = Crossing::none;
    options.second_values = false;
    const std::array<const Entry*, 1> entries{&entry};
    return explore_entries(entries, options, std::atomic<bool>{false}, [](std::size_t, std::size_t) {})
        .front()
        .result.chains.size();
  };
  EXPECT_GT(chains_of(*load_variant("minios-x86_64-fixed.looks_at_cr2")),
            chains_of(*load_variant("minios-x86_64-fixed")));
}

class WrongForSome : public testing::TestWithParam<const char*> {};

/// What is wrong for one state in a hundred is found, and nothing that is not where each state is taken by itself. (How
/// many places of one fault are told is bounded: Explorer::kMostUnknown.)
TEST_P(WrongForSome, IsFound) {
  const auto entry = load_variant(looking(GetParam()).entry);
  const Found by_class = explore(*entry, bounds_of(looking(GetParam())), true);
  const Found by_state = explore(*entry, bounds_of(looking(GetParam())), false);
  EXPECT_THAT(by_class.violations, testing::Not(testing::IsEmpty()));
  EXPECT_THAT(by_class.violations, testing::IsSubsetOf(by_state.violations));
  EXPECT_THAT(by_class.unlike, testing::IsEmpty());
  EXPECT_THAT(by_class.disagreements, testing::IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Variants, WrongForSome,
                         testing::Values("wrong_at_one_rip", "wrong_at_one_rsp", "wrong_for_one_rcx",
                                         "wrong_for_one_flag", "wrong_for_one_id", "wrong_for_one_word",
                                         "unmasks_at_one_rip", "wrong_at_one_older_rip", "wrong_at_one_rip_by_bytes",
                                         "wrong_at_one_rip_by_popw", "wrong_at_one_rsp_moved",
                                         "wrong_at_one_rsp_scaled", "wrong_for_one_cr2", "wrong_at_one_noted_rsp"),
                         [](const auto& info) { return std::string(info.param); });

/// What is right by chance alone does not make it right for the others. (More places of it are wrong than are told.)
TEST(WrongForMost, IsFound) {
  const auto entry = load_variant("minios-x86_64-fixed.right_for_one_word");
  const Found found = explore(*entry, bounds_of(looking("right_for_one_word")), true);
  EXPECT_THAT(found.violations, testing::Contains(testing::Key(testing::HasSubstr(":handler-frame:"))));
  EXPECT_THAT(found.unlike, testing::IsEmpty());
  EXPECT_THAT(found.disagreements, testing::IsEmpty());
}

/// What depends on more of a stack pointer than classes tell apart would be the same for all of a class.
TEST(StackAlignment, IsThatOfDeliveriesHandlersAndCode) {
  const auto alignment_of = [](const Entry& entry) {
    const Guest guest(entry);
    return InterruptedReads(entry, guest).stack_alignment();
  };
  EXPECT_EQ(alignment_of(*load_variant("minios-x86_64-fixed")), 16U);
  EXPECT_EQ(alignment_of(*load_variant("minios-x86_32-fixed")), 4U);
  Entry strict = *load_variant("minios-x86_32-fixed");
  strict.description.handler.stack_alignment = 64;
  EXPECT_EQ(alignment_of(strict), 64U);
}

TEST(Alike, IsWhatUsesAStackOfItsOwn) {
  const auto entry = load_variant("minios-x86_64-table");
  const Found found = explore(*entry, bounds_of({"minios-x86_64-table", 1, 1, 3, false}), true);
  EXPECT_GT(found.chains, 0U);
  EXPECT_THAT(found.unlike, testing::IsEmpty());
  EXPECT_THAT(found.disagreements, testing::IsEmpty());
}

// --- Against the run of what it finds

/// What paths show, their scenarios show: no matter what is wrong with the code.
class VariantAgreement : public testing::TestWithParam<std::string> {};

/// From every third of the plain contexts, as above.
TEST_P(VariantAgreement, OfPathsAndScenarios) {
  const auto entry = load_variant(GetParam());
  Explorer explorer(*entry, bounds_of({GetParam(), 1, 1, 2, false}));
  std::size_t index = 0;
  for (const Scenario& context : enumerate_contexts(*entry, DataValues::first, Crossing::none)) {
    const ContextClass c = class_of(context);
    if (c.stack == ContextStack::thread && c.pending <= 1 && c.mask != MaskClass::odd && index++ % 3 == 0) {
      const ExploreResult result = explore_one(explorer, context);
      EXPECT_THAT(result.disagreements, testing::IsEmpty()) << describe_context(c, *entry);
    }
  }
}

std::vector<std::string> all_variants() {
  std::vector<std::string> names;
  for (const BundledEntry& variant : patched_variants()) {
    names.emplace_back(variant.name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Variants, VariantAgreement, testing::ValuesIn(all_variants()),
                         [](const testing::TestParamInfo<std::string>& test) { return test_name(test.param); });

/// An NMI that stays pending lets in an event that had waited: what arrives behind it is so many boundaries behind
/// that.
TEST(Agreement, BehindWhatHadWaited) {
  const auto entry = load_variant("minios-x86_64-fixed.lost_event");
  Explorer explorer(*entry, bounds_of({"", 1, 0, 3, false}));
  std::size_t contexts = 0;
  for (const Scenario& context : enumerate_contexts(*entry, DataValues::first, Crossing::each)) {
    if (context.context.nmi_masked && context.context.mask == 0) {
      const ExploreResult result = explore_one(explorer, context);
      EXPECT_THAT(result.disagreements, testing::IsEmpty()) << describe_context(class_of(context), *entry);
      ++contexts;
    }
  }
  EXPECT_GT(contexts, 0U);
}

// --- Bounds

ExploreCounts explore_pending(const Entry& entry, std::uint8_t pending, unsigned bound) {
  ExploreBounds bounds;
  bounds.nmis = bounds.exceptions = bound;
  Explorer explorer(entry, bounds);
  for (const Scenario& context : enumerate_contexts(entry, DataValues::first, Crossing::none)) {
    if (context.context.pending == pending && context.context.mask == 0) {
      return explore_one(explorer, context).counts;
    }
  }
  return {};
}

TEST(PendingBytes, OfWhichXenWritesNoneGoWithoutExceptions) {
  const auto entry = load_variant("linux-x86_32-single");
  for (const std::uint8_t pending : {0x02, 0x80}) {
    EXPECT_EQ(explore_pending(*entry, pending, 1).identity, explore_pending(*entry, pending, 0).identity);
  }
  EXPECT_NE(explore_pending(*entry, 1, 1).identity, explore_pending(*entry, 1, 0).identity);
}

EntryReport thorough(const Entry& entry, unsigned jobs, bool jumps) {
  ExplorationOptions options;
  options.bounds.nmis = options.bounds.exceptions = 1;
  options.bounds.jumps = jumps;
  options.crossing = Crossing::each;
  options.second_values = false;
  options.jobs = jobs;
  const std::array<const Entry*, 1> entries{&entry};
  return explore_entries(entries, options, std::atomic<bool>{false}, [](std::size_t, std::size_t) {}).front();
}

// --- To closure

struct ThoroughCase {
  std::string entry;
  ExploreVerdict verdict;
  friend std::ostream& operator<<(std::ostream& out, const ThoroughCase& test) { return out << test.entry; }
};

class Thorough : public testing::TestWithParam<ThoroughCase> {};

TEST_P(Thorough, ClosesWithTheSameReportForEachNumberOfJobsAndWhereEveryWayIsRun) {
  const auto entry = load_variant(GetParam().entry);
  const EntryReport one = thorough(*entry, 1, true);
  EXPECT_EQ(name_of(one.verdict), name_of(GetParam().verdict));
  EXPECT_THAT(one.result.disagreements, testing::IsEmpty());
  EXPECT_EQ(one.refined_groups, 0U);
  EXPECT_EQ(one.region_covered, one.region_boundaries);
  for (const RowReport& row : one.rows) {
    EXPECT_THAT(row.unseen, testing::IsEmpty()) << entry->known[row.row].description.kind;
  }
  for (const bool jumps : {true, false}) {
    const EntryReport two = thorough(*entry, 2, jumps);
    SCOPED_TRACE(jumps ? "two jobs" : "every way");
    EXPECT_EQ(two.result.counts.states, one.result.counts.states);
    EXPECT_EQ(two.result.counts.transitions, one.result.counts.transitions);
    EXPECT_EQ(two.result.counts.folds, one.result.counts.folds);
    EXPECT_EQ(two.result.counts.resumptions, one.result.counts.resumptions);
    EXPECT_EQ(two.result.counts.identity, one.result.counts.identity);
    EXPECT_EQ(two.result.known, one.result.known);
  }
}

INSTANTIATE_TEST_SUITE_P(Entries, Thorough,
                         testing::Values(ThoroughCase{"minios-x86_32-fixed", ExploreVerdict::proved},
                                         ThoroughCase{"minios-x86_32-table", ExploreVerdict::proved_except_known}),
                         [](const testing::TestParamInfo<ThoroughCase>& test) { return test_name(test.param.entry); });

}  // namespace
}  // namespace framefold::test
