// Spurious upcalls in both runs: what is delivered, handled, left pending and replayed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "entries.hpp"
#include "oracle_fixture.hpp"

namespace framefold {
namespace {

using test::add;
using test::bundled_entry;
using test::distance_to;
using test::only_known;
using test::plain;
using test::vector_index;

constexpr std::string_view kSpuriousIn = "minios-x86_64-table";

void add_spurious(Scenario& scenario, std::uint16_t distance) {
  add(scenario, ArrivalKind::tick, distance);
  scenario.arrivals[scenario.arrival_count - 1].spurious = true;
}

TEST(Oracle, ASpuriousUpcallInTheWindowIsFoldedAndHandlesNoPort) {
  const Entry& entry = bundled_entry(kSpuriousIn);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  add_spurious(scenario, distance_to(entry, "scrit+0x9"));
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_TRUE(oracle.nested().arrivals[0].delivered);
  EXPECT_EQ(oracle.nested().folds, 1U);
  for (const Outcome* outcome : {&oracle.nested(), &oracle.reference()}) {
    EXPECT_EQ(outcome->handler_calls, 2U);
    EXPECT_EQ(outcome->handled.count(), 1U);  // the context's own
    EXPECT_TRUE(outcome->handled.test(scenario.context.port));
    EXPECT_FALSE(outcome->pending);
  }
}

TEST(Oracle, ASpuriousUpcallThatIsMaskedIsFoundByTheCodesOwnTest) {
  const Entry& entry = bundled_entry(kSpuriousIn);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  add_spurious(scenario, distance_to(entry, "error_exit"));
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_FALSE(oracle.nested().arrivals[0].delivered);
  EXPECT_EQ(oracle.nested().deliveries, 1U);
  EXPECT_EQ(oracle.nested().handler_calls, 2U);
  EXPECT_EQ(oracle.reference().deliveries, 2U);
}

TEST(Oracle, ASpuriousUpcallOfAMaskedContextStaysPendingInBothRuns) {
  const Entry& entry = bundled_entry(kSpuriousIn);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  scenario.context.vector = vector_index(entry, "page_fault");
  scenario.context.mask = 1;
  canonicalise(scenario, entry);
  add_spurious(scenario, 3);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_TRUE(oracle.nested().pending);
  EXPECT_TRUE(oracle.reference().pending);
  EXPECT_EQ(oracle.nested().deliveries + oracle.reference().deliveries, 2U);
}

/// What is replayed once is what does the same: a spurious tick is neither a plain one nor an event.
TEST(Oracle, ASpuriousTickIsReplayedBesideAPlainOneAndAnEvent) {
  const Entry& entry = bundled_entry(kSpuriousIn);
  Oracle oracle(entry);
  Scenario scenario = plain(entry);
  const std::uint16_t window = distance_to(entry, "scrit+0x9");
  add(scenario, ArrivalKind::tick, 2);
  add_spurious(scenario, static_cast<std::uint16_t>(window - 2));
  add_spurious(scenario, 5);
  add(scenario, ArrivalKind::event, 5, 70);
  EXPECT_TRUE(only_known(oracle.judge(scenario)));
  EXPECT_EQ(oracle.replay(scenario, oracle.nested()).scenario.arrival_count, 3);
  EXPECT_EQ(oracle.reference().deliveries, 3U);  // with the context's own
  EXPECT_TRUE(oracle.reference().handled.test(70));
  EXPECT_EQ(oracle.nested().handled, oracle.reference().handled);
}

}  // namespace
}  // namespace framefold
