// The oracle's rules, one by one, on the bundled entries: which boundary an arrival hits, who owns a frame, what is a
// cause.
#include "run/oracle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "entries.hpp"
#include "oracle_fixture.hpp"
#include "scenario/codec.hpp"
#include "scenario/mutator.hpp"

namespace framefold {
namespace {

using test::add;
using test::bundled_entry;
using test::distance_to;
using test::only_known;
using test::plain;
using test::vector_index;

constexpr std::string_view kTable = "minios-x86_64-table";

TEST(Oracle, DistanceZeroIsTheCallbacksFirstInstruction) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  add(scenario, ArrivalKind::nmi, 0);
  oracle.judge(scenario);
  EXPECT_EQ(oracle.nested().reached, 1);
  EXPECT_EQ(oracle.nested().arrivals[0].boundary, entry.event().address);
  EXPECT_TRUE(oracle.nested().arrivals[0].delivered);
}

TEST(Oracle, ArrivalsAtDistanceZeroShareTheBoundary) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  add(scenario, ArrivalKind::event, distance_to(entry, "scrit+0x9"));
  add(scenario, ArrivalKind::nmi, 0);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_EQ(oracle.nested().reached, 2);
  EXPECT_EQ(oracle.nested().arrivals[0].boundary, oracle.nested().arrivals[1].boundary);
  // In the order of test_all_events the NMI goes first and masks: the event is delivered by nobody there.
  EXPECT_TRUE(oracle.nested().arrivals[1].delivered);
  EXPECT_FALSE(oracle.nested().arrivals[0].delivered);
}

TEST(Oracle, AnUnreachedArrivalExistsInNeitherRun) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  add(scenario, ArrivalKind::event, 60000, 77);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_EQ(oracle.nested().reached, 0);
  EXPECT_FALSE(oracle.nested().handled.test(77));
  EXPECT_FALSE(oracle.reference().handled.test(77));
}

TEST(Oracle, AnEventInTheWindowIsFoldedAndHandledInBothRuns) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  add(scenario, ArrivalKind::event, distance_to(entry, "scrit+0x9"), 70);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_EQ(oracle.nested().folds, 1U);
  EXPECT_EQ(oracle.reference().folds, 0U);
  EXPECT_TRUE(oracle.nested().handled.test(70));
  EXPECT_EQ(oracle.nested().handled, oracle.reference().handled);
}

TEST(Oracle, ATickWithNothingPendingDeliversNothing) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  add(scenario, ArrivalKind::tick, distance_to(entry, "scrit"));
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_FALSE(oracle.nested().arrivals[0].delivered);
  EXPECT_EQ(oracle.nested().deliveries, 1U);
}

TEST(Oracle, ATickAfterTheUnmaskDeliversWhatWasRaisedWhileMasked) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  const std::uint16_t masked = distance_to(entry, "error_exit");
  add(scenario, ArrivalKind::event, masked);
  add(scenario, ArrivalKind::tick, static_cast<std::uint16_t>(distance_to(entry, "scrit") - masked));
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_FALSE(oracle.nested().arrivals[0].delivered);
  EXPECT_TRUE(oracle.nested().arrivals[1].delivered);
  EXPECT_EQ(oracle.nested().folds, 1U);
}

TEST(Oracle, AStoreThatUnmasksDeliversNothingByItself) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  add(scenario, ArrivalKind::event, distance_to(entry, "error_exit"));
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_EQ(oracle.nested().deliveries, 1U);  // the guest's own test found it
  EXPECT_EQ(oracle.nested().handler_calls, 2U);
}

TEST(Oracle, ExceptionsAreLeftOutOfTheReferenceRun) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  add(scenario, ArrivalKind::exception, distance_to(entry, "scrit+0x26"));
  scenario.arrivals[0].vector = vector_index(entry, "page_fault");
  canonicalise(scenario, entry);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_EQ(oracle.nested().deliveries, 2U);
  EXPECT_EQ(oracle.reference().deliveries, 1U);
}

TEST(Oracle, TheHandlersNestedEventIsNotFolded) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  scenario.event_actions[0].nested_event = true;
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_EQ(oracle.nested().deliveries, 2U);
  EXPECT_EQ(oracle.nested().folds, 0U);
  EXPECT_EQ(oracle.nested().handler_calls, 2U);
}

TEST(Oracle, APortUnmaskedByTheHandlerIsHandled) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  scenario.context.has_masked_port = true;
  scenario.context.masked_port = 66;
  scenario.event_actions[0].unmask_port = true;
  canonicalise(scenario, entry);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_TRUE(oracle.nested().handled.test(66));
}

TEST(Oracle, APortThatStaysMaskedIsNotHandled) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  scenario.context.has_masked_port = true;
  scenario.context.masked_port = 66;
  canonicalise(scenario, entry);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_FALSE(oracle.nested().handled.test(66));
}

TEST(Oracle, WhatTheExceptionHandlerWritesIsWhatResumes) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  scenario.context.vector = vector_index(entry, "page_fault");
  scenario.frame_write = {true, true, 0x1234567890abcdef, 0x40};
  canonicalise(scenario, entry);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  for (const Outcome* outcome : {&oracle.nested(), &oracle.reference()}) {
    EXPECT_EQ(outcome->registers[Gpr::rax], 0x1234567890abcdefU);
    EXPECT_EQ(outcome->registers.rip, (resume_page(Width::k64, GuestMode::kernel) + 0x40).value);
  }
}

TEST(Oracle, ACauseIsTheFirstArrivalThatTheKindNeeds) {
  const Entry& entry = bundled_entry("minios-x86_64-nesting");
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  const std::uint16_t first = distance_to(entry, "scrit");
  add(scenario, ArrivalKind::tick, 3);
  add(scenario, ArrivalKind::event, static_cast<std::uint16_t>(first - 3));
  add(scenario, ArrivalKind::event,
      static_cast<std::uint16_t>(first + 3));  // in the second activation, two boundaries on
  add(scenario, ArrivalKind::tick, 5);
  const Verdict& verdict = oracle.judge(scenario);
  const auto nesting = std::find_if(verdict.view().begin(), verdict.view().end(),
                                    [](const Finding& f) { return f.kind == ViolationKind::unbounded_nesting; });
  ASSERT_NE(nesting, verdict.view().end());
  EXPECT_EQ(nesting->arrivals, 3);
  EXPECT_EQ(nesting->cause, oracle.nested().arrivals[2].boundary);
  EXPECT_GE(nesting->known, 0);
  EXPECT_TRUE(only_known(verdict));
  EXPECT_EQ(bucket_of(entry, *nesting), "minios-x86_64-nesting:unbounded-nesting:scrit");
}

/// What comes in while the second event's handler runs calls that handler again: with its own frame, as before.
TEST(Oracle, AnEventThatIsNotFoldedNestsOnceHoweverOftenItsHandlerIsCalled) {
  const Entry& entry = bundled_entry("minios-x86_64-nesting");
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  const std::uint16_t window = distance_to(entry, "scrit");
  add(scenario, ArrivalKind::event, window, 9);
  add(scenario, ArrivalKind::event, static_cast<std::uint16_t>(window + 1), 10);
  const int handler = distance_to(entry, "do_hypervisor_callback");
  add(scenario, ArrivalKind::event, static_cast<std::uint16_t>(handler + 2), 11);  // it has taken what was pending
  add(scenario, ArrivalKind::nmi, 4);
  const Verdict& verdict = oracle.judge(scenario);
  EXPECT_EQ(oracle.nested().handler_calls, 5U);  // three of events, one again, the NMI's
  const std::span<const Violation> all = oracle.nested().violations.view();
  EXPECT_EQ(std::count_if(all.begin(), all.end(),
                          [](const Violation& v) { return v.kind == ViolationKind::unbounded_nesting; }),
            1);
  EXPECT_TRUE(only_known(verdict));
}

const Finding& finding_of(const Verdict& verdict, ViolationKind kind) {
  const auto found =
      std::find_if(verdict.view().begin(), verdict.view().end(), [kind](const Finding& f) { return f.kind == kind; });
  return found == verdict.view().end() ? throw std::out_of_range("no such finding") : *found;
}

/// Two events nest; the second is raised while events are masked, in an NMI that interrupted the first one's window,
/// and Xen delivers it when the NMI ends.
TEST(Oracle, ARaiseThatStaysPendingHasTheCauseOfTheInterruptionItCameIn) {
  const Entry& entry = bundled_entry("xenlinux-x86_64-nesting");
  Oracle oracle(entry);
  const std::uint16_t first = distance_to(entry, "scrit");
  for (const std::uint16_t into_nmi : {0, 1, 20}) {
    Scenario scenario = plain(entry);
    add(scenario, ArrivalKind::event, first);
    add(scenario, ArrivalKind::nmi, static_cast<std::uint16_t>(first + 4));
    add(scenario, ArrivalKind::event, into_nmi);
    const Verdict& verdict = oracle.judge(scenario);
    const Finding& nesting = finding_of(verdict, ViolationKind::unbounded_nesting);
    EXPECT_EQ(nesting.arrivals, 3) << into_nmi;
    EXPECT_FALSE(oracle.nested().arrivals[2].delivered) << into_nmi;
    EXPECT_EQ(nesting.cause, oracle.nested().arrivals[1].boundary) << into_nmi;
    EXPECT_NE(nesting.cause, oracle.nested().arrivals[0].boundary) << into_nmi;
    EXPECT_TRUE(only_known(verdict)) << into_nmi;
  }
}

/// Where no window was interrupted there is no boundary that stands for it: what was judged does.
TEST(Oracle, ARaiseThatStaysPendingOutsideWindowsHasTheCauseThatWasJudged) {
  const Entry& entry = bundled_entry("minios-x86_64-single");
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  scenario.context.vector = vector_index(entry, "page_fault");
  add(scenario, ArrivalKind::event, 3);
  add(scenario, ArrivalKind::exception, 2);
  scenario.arrivals[1].vector = vector_index(entry, "divide_error");
  add(scenario, ArrivalKind::event, 0);
  canonicalise(scenario, entry);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  ASSERT_EQ(oracle.nested().reached, 3);
  EXPECT_TRUE(oracle.nested().arrivals[1].delivered);
  for (const std::size_t event : {0, 2}) {
    EXPECT_FALSE(oracle.nested().arrivals[event].delivered);
    EXPECT_FALSE(oracle.nested().arrivals[event].has_cause);
  }
}

/// Wherever it hit the region, and whatever else came: it is the callback, entered by a jump, that folds it.
TEST(Oracle, AnNmiThatIsFoldedStaysMaskedBecauseOfTheCallback) {
  const Entry& entry = bundled_entry("minios-x86_64-single");
  Oracle oracle(entry);
  for (const char* const place : {"scrit", "restore_end", "restore_end+0x20"}) {
    for (const std::uint16_t into_nmi : {0, 12}) {
      Scenario scenario = plain(entry);
      add(scenario, ArrivalKind::nmi, distance_to(entry, place));
      add(scenario, ArrivalKind::event, into_nmi);
      const Verdict& verdict = oracle.judge(scenario);
      const Finding& masked = finding_of(verdict, ViolationKind::nmi_masked);
      EXPECT_EQ(masked.cause, entry.event().address) << place;
      EXPECT_TRUE(only_known(verdict)) << place;
    }
  }
}

/// The push of the flag is where both go wrong, whatever comes later and has the exception's exit jump to the callback.
TEST(Oracle, AFoldByAnExitsOwnJumpIsCausedWhereTheExceptionHitTheWindow) {
  const Entry& entry = bundled_entry("minios-x86_64-single");
  Oracle oracle(entry);
  struct Case {
    const char* hit;
    ViolationKind kind;
  };
  for (const Case& expected : {Case{"restore_end+0x2a", ViolationKind::nmi_masked},        // the marker is cleared
                               Case{"restore_end+0x2c", ViolationKind::handler_frame}}) {  // and the flag pushed
    SCOPED_TRACE(expected.hit);
    Scenario scenario = plain(entry);
    scenario.context.vector = vector_index(entry, "nmi");
    scenario.context.has_masked_port = true;  // it is raised when the handler of the event unmasks it
    scenario.context.masked_port = 66;
    scenario.event_actions[0].unmask_port = true;
    add(scenario, ArrivalKind::exception, expected.kind == ViolationKind::nmi_masked ? 64 : 65);
    scenario.arrivals[0].vector = vector_index(entry, "page_fault");
    add(scenario, ArrivalKind::event, 60);  // in the window of the exception's exit: folded rightly
    canonicalise(scenario, entry);
    const Verdict& verdict = oracle.judge(scenario);
    ASSERT_EQ(oracle.nested().reached, 2);
    EXPECT_EQ(oracle.nested().arrivals[0].boundary, *parse_location(entry, expected.hit));
    const Finding& found = finding_of(verdict, expected.kind);
    EXPECT_EQ(found.cause, *parse_location(entry, expected.hit));
    EXPECT_EQ(found.arrivals, 2);
    EXPECT_TRUE(only_known(verdict));
  }
}

/// The whole shows another bug of the same kind, the lost marker at the push; what shows the kind first counts.
TEST(Oracle, AnNmiThatIsFoldedInTheScenarioCutIsTheCauseOfTheWhole) {
  const Entry& entry = bundled_entry("minios-x86_64-single");
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  const std::uint16_t masked = distance_to(entry, "error_exit");
  add(scenario, ArrivalKind::event, masked);
  add(scenario, ArrivalKind::nmi, static_cast<std::uint16_t>(distance_to(entry, "scrit") - masked + 2));
  add(scenario, ArrivalKind::event, 60);   // in the window of the NMI's frame: folded into that
  add(scenario, ArrivalKind::event, 168);  // at the push
  const Verdict& verdict = oracle.judge(scenario);
  ASSERT_EQ(oracle.nested().reached, 4);
  EXPECT_EQ(oracle.nested().arrivals[1].boundary, *parse_location(entry, "scrit+0x5"));
  EXPECT_EQ(oracle.nested().arrivals[2].boundary, *parse_location(entry, "scrit+0x5"));
  EXPECT_EQ(oracle.nested().arrivals[3].boundary, *parse_location(entry, "restore_end+0x2a"));
  const Finding& found = finding_of(verdict, ViolationKind::nmi_masked);
  EXPECT_EQ(found.arrivals, 2);
  EXPECT_EQ(found.cause, entry.event().address);
  EXPECT_TRUE(only_known(verdict));
}

TEST(Oracle, AKnownRowMatchesOnlyUnderItsConditions) {
  // handler-abi at the event handler's call is known where the thread stack was interrupted, and nowhere else.
  Entry entry = bundled_entry(kTable);
  for (KnownRow& row : entry.known) {
    row.description.when = {KnownCondition::on_interrupt};
  }
  Oracle oracle(entry);
  const Verdict& verdict = oracle.judge(plain(entry));
  ASSERT_NE(verdict.violation(), nullptr);
  EXPECT_EQ(verdict.violation()->kind, ViolationKind::handler_abi);
  EXPECT_EQ(signature_of(entry, *verdict.violation()), "minios-x86_64-table:handler-abi:call_event_handler");
}

TEST(Oracle, ReportsKnownOnesWhenAsked) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  const Verdict& verdict = oracle.judge(plain(entry));
  EXPECT_EQ(verdict.violation(false), nullptr);
  ASSERT_NE(verdict.violation(true), nullptr);
  EXPECT_EQ(verdict.violation(true)->kind, ViolationKind::handler_abi);
}

TEST(Oracle, TheRunawayBoundFollowsTheLongestRun) {
  const Entry& entry = bundled_entry(kTable);
  Oracle oracle(entry);
  std::uint32_t longest = 0;
  for (std::size_t vector = 0; vector < entry.vectors.size(); ++vector) {
    Scenario scenario;
    scenario.context.vector = static_cast<std::uint8_t>(vector);
    canonicalise(scenario, entry);
    Outcome outcome;
    oracle.execution().run_nested(scenario, 0, outcome);
    longest = std::max(longest, outcome.boundaries);
  }
  EXPECT_EQ(oracle.runaway_limit(), 8 * longest + 4096);
}

/// What is said of a description whose first known row is of this kind.
std::string error_of_known(Entry entry, const std::string& kind) {
  entry.known.at(0).description.kind = kind;
  try {
    const Oracle oracle(entry);
  } catch (const InputError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(Oracle, AKnownRowOfAKindThatCannotShowIsTheUsersError) {
  using testing::MatchesRegex;
  const std::string place = "[^\n]*/entry\\.toml:[1-9][0-9]*:[1-9][0-9]*: known\\[0\\]\\.kind: expected a kind ";
  Entry entry = bundled_entry(kTable);
  EXPECT_EQ(error_of_known(entry, "nmi-masked"), "nothing");
  EXPECT_THAT(error_of_known(entry, "no-such-kind"),
              MatchesRegex(place + "of violation[^\n]*, found \"no-such-kind\""));
  EXPECT_THAT(error_of_known(entry, "work-missed"),
              MatchesRegex(place + "that this entry can show: [^\n]*work_flag[^\n]*"));
  Entry linux = bundled_entry("linux-x86_32-single");
  EXPECT_EQ(error_of_known(linux, "work-missed"), "nothing");
  EXPECT_THAT(error_of_known(linux, "nmi-masked"), MatchesRegex(place + "that this entry can show: [^\n]*nmi[^\n]*"));
}

TEST(ViolationList, DropsRepetitionsAndWhatFollowsAnEnd) {
  ViolationList list;
  Violation violation;
  violation.kind = ViolationKind::critical_frame;
  list.add(violation);
  list.add(violation);
  EXPECT_EQ(list.count, 1U);
  violation.kind = ViolationKind::handler_abi;
  violation.cause_is_judged = true;
  violation.judged = {0x100};
  list.add(violation);
  violation.judged = {0x200};
  list.add(violation);
  EXPECT_EQ(list.count, 3U);
  violation.kind = ViolationKind::guest_fault;
  list.add(violation);
  EXPECT_TRUE(list.closed);
  violation.kind = ViolationKind::lost_event;
  list.add(violation);
  EXPECT_EQ(list.count, 4U);
}

TEST(ViolationKinds, HaveNamesThatReadBack) {
  for (const ViolationKindInfo& info : violation_kinds()) {
    EXPECT_EQ(violation_kind_from_name(info.name), info.kind);
    for (const std::string_view text : {info.text, info.promise, info.why, info.usual, info.look}) {
      EXPECT_FALSE(text.empty()) << info.name;
    }
  }
  EXPECT_EQ(violation_kind_from_name("nonsense"), std::nullopt);
}

}  // namespace
}  // namespace framefold
