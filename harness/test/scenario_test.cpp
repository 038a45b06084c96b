#include "scenario/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "scenario/context_places.hpp"
#include "scenario/refusal.hpp"
#include "scenario_fixture.hpp"

namespace framefold {
namespace {

using test::all_entries;

constexpr std::uint8_t kEvent = 0;
constexpr std::uint8_t kDivideError = 1;
constexpr std::uint8_t kPageFault = 2;
constexpr std::uint8_t kNmi = 3;

/// The context that canonicalise makes of the plain one after a change.
Context canonical_context(const Entry& entry, const std::function<void(Context&)>& change) {
  Scenario s = test::plain_scenario(entry);
  change(s.context);
  canonicalise(s, entry);
  return s.context;
}

/// Every rule of "Contexts that exist", written as a check instead of as a correction.
void expect_exists(const Scenario& s, const Entry& entry) {
  const Context& c = s.context;
  ASSERT_LT(c.vector, entry.vectors.size());
  const VectorDescription& vector = entry.vectors[c.vector].description;
  const bool user = c.mode == GuestMode::user;
  const bool narrow = entry.width() == Width::k32;
  const std::vector<std::uint8_t>& values = entry.description.pending_values;
  EXPECT_TRUE(!user || entry.description.user_mode);
  EXPECT_TRUE(c.stack == ContextStack::thread || (!user && entry.interrupt_stack));
  EXPECT_TRUE(c.place == ContextPlace::resume_page || (user && entry.region.size() != 0));
  EXPECT_LT(c.place_offset, c.place == ContextPlace::region ? entry.region.size() : kContextPlaces);
  EXPECT_LT(c.stack_offset, 64);
  EXPECT_TRUE(!narrow || user || c.stack_offset % 4 == 0);
  EXPECT_TRUE(vector.kind != DeliveryKind::event || c.mask == 0);
  EXPECT_EQ(vector.kind == DeliveryKind::event, c.mask == 0 && c.pending != 0);
  if (c.pending != 0) {
    EXPECT_THAT(values, testing::Contains(c.pending));
  }
  EXPECT_LT(c.port, c.pending == 0 ? 1 : 128);
  EXPECT_TRUE(!c.nmi_masked ||
              (vector.kind == DeliveryKind::exception && !user && entry.vectors.back().description.marks));
  EXPECT_TRUE(!c.null_data_segments || (narrow && user));
  EXPECT_TRUE(vector.error_code || c.error_code == 0);
  EXPECT_LE(c.error_code, 0xffffU);
  EXPECT_EQ(c.gpr[4], 0U);
  for (std::size_t i = 0; i < kGprCount && narrow; ++i) EXPECT_LE(c.gpr[i], i < 8 ? 0xffffffffU : 0U);
  EXPECT_EQ(c.rflags & ~kContextFlags, 0U);
  for (std::size_t i = 0; i < kActionCalls; ++i) {
    EXPECT_TRUE(!s.event_actions[i].unmask_port || (i == 0 && c.has_masked_port));
    EXPECT_TRUE(!s.event_actions[i].set_work_flag || entry.description.work_flag);
  }
  EXPECT_TRUE(!s.frame_write.rax || vector.kind == DeliveryKind::exception);
  EXPECT_TRUE(!s.frame_write.rip || (vector.kind == DeliveryKind::exception && c.place == ContextPlace::resume_page));
  EXPECT_TRUE(!narrow || s.frame_write.rax_value <= 0xffffffffU);
}

void expect_arrivals_exist(const Scenario& s, const Entry& entry) {
  ASSERT_LE(s.arrival_count, kMaxArrivals);
  std::set<unsigned> ports;
  if (s.context.pending != 0) ports.insert(s.context.port);
  for (std::size_t i = 0; i < kMaxArrivals; ++i) {
    const Arrival& a = s.arrivals[i];
    const bool event = a.kind == ArrivalKind::event;
    if (i >= s.arrival_count) {
      EXPECT_EQ(a, Arrival{});
    }
    if (event && i < s.arrival_count) {
      ports.insert(a.port);
      EXPECT_LT(a.port, 128);
    }
    EXPECT_TRUE(!a.spurious || a.kind == ArrivalKind::tick);
    if (i < s.arrival_count && (event || a.spurious)) {
      EXPECT_THAT(entry.description.pending_values, testing::Contains(a.pending_value));
    } else {
      EXPECT_EQ(a.pending_value, 1);
    }
    if (!event) {
      EXPECT_EQ(a.port, 0);
    }
    if (a.kind == ArrivalKind::exception) {
      ASSERT_LT(a.vector, entry.vectors.size());
      EXPECT_EQ(entry.vectors[a.vector].description.kind, DeliveryKind::exception);
      EXPECT_LE(a.error_code, entry.vectors[a.vector].description.error_code ? 0xffffU : 0U);
    } else {
      EXPECT_EQ(a.vector, 0);
      EXPECT_EQ(a.error_code, 0U);
    }
    if (a.kind == ArrivalKind::nmi) {
      EXPECT_EQ(entry.vectors.back().description.kind, DeliveryKind::nmi);
    }
  }
  if (s.context.has_masked_port) {
    EXPECT_EQ(ports.count(s.context.masked_port), 0U);
  }
  EXPECT_LT(s.context.masked_port, s.context.has_masked_port ? 128 : 1);
}

TEST(Canonicalise, MakesAnythingOneThatExists) {
  Random random(1);
  for (const Entry& entry : all_entries()) {
    SCOPED_TRACE(entry.name());
    for (int i = 0; i < 50'000 && !testing::Test::HasFailure(); ++i) {
      const Scenario s = test::any_canonical(random, entry);
      expect_exists(s, entry);
      expect_arrivals_exist(s, entry);
    }
  }
}

TEST(Canonicalise, IsIdempotent) {
  Random random(2);
  for (const Entry& entry : all_entries()) {
    for (int i = 0; i < 100'000; ++i) {
      const Scenario once = test::any_canonical(random, entry);
      Scenario twice = once;
      canonicalise(twice, entry);
      ASSERT_EQ(once, twice) << entry.name();
    }
  }
}

TEST(Canonicalise, NeedsNoChangeExactlyWhereNothingIsRefused) {
  Random random(3);
  int refused = 0;
  for (const Entry& entry : all_entries()) {
    for (int i = 0; i < 20'000; ++i) {
      Scenario given = test::any_canonical(random, entry);
      ASSERT_FALSE(refusal(given, entry).has_value()) << refusal(given, entry)->key;
      given.context.mask = random.one_in(2) ? 1 : given.context.mask;
      given.arrivals[3].port = static_cast<std::uint8_t>(random.next());
      given.event_actions[0].set_work_flag = random.one_in(2);
      given.frame_write.rip = random.one_in(2);
      Scenario canonical = given;
      canonicalise(canonical, entry);
      ASSERT_EQ(refusal(given, entry).has_value(), given != canonical) << entry.name();
      refused += given == canonical ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(Canonicalise, AnEventInterruptsOnlyMaskZeroAndHasAPendingByte) {
  const Entry entry = test::user32_entry();
  const Context c = canonical_context(entry, [](Context& change) {
    change.vector = kEvent;
    change.mask = 0x80;
    change.pending = 0;
    change.nmi_masked = true;
  });
  EXPECT_EQ(c.mask, 0);
  EXPECT_EQ(c.pending, 1);
  EXPECT_FALSE(c.nmi_masked);
  EXPECT_EQ(canonical_context(entry, [](Context& change) { change.pending = 0x80; }).pending, 0x80);
  EXPECT_EQ(canonical_context(entry, [](Context& change) { change.pending = 3; }).pending, 0xff);  // 3 mod 4
}

TEST(Canonicalise, AnExceptionKeepsAnyMaskAndOnlyThenWhatIsPending) {
  const Entry entry = test::kernel_entry();
  const auto change = [](std::uint8_t mask) {
    return [mask](Context& c) {
      c.vector = kPageFault;
      c.error_code = 0xabcd'0007;
      c.mask = mask;
      c.pending = 1;
      c.port = 0x85;
      c.nmi_masked = true;
    };
  };
  const Context masked = canonical_context(entry, change(0x81));
  EXPECT_EQ(masked.mask, 0x81);
  EXPECT_EQ(masked.pending, 1);
  EXPECT_EQ(masked.port, 5);
  EXPECT_EQ(masked.error_code, 7U);
  EXPECT_TRUE(masked.nmi_masked);
  const Context open = canonical_context(entry, change(0));
  EXPECT_EQ(open.pending, 0);
  EXPECT_EQ(open.port, 0);
}

TEST(Canonicalise, OnlyAMarkingEntryHasNmiMaskedAndNeverInTheNmiItself) {
  const auto masked = [](std::uint8_t vector) {
    return [vector](Context& c) {
      c.vector = vector;
      c.nmi_masked = true;
    };
  };
  EXPECT_TRUE(canonical_context(test::kernel_entry(), masked(kDivideError)).nmi_masked);
  EXPECT_FALSE(canonical_context(test::kernel_entry(), masked(kNmi)).nmi_masked);
  EXPECT_FALSE(canonical_context(test::user64_entry(), masked(kDivideError)).nmi_masked);
}

TEST(Canonicalise, AUserContextMayLieInTheRegion) {
  const auto in_region = [](GuestMode mode) {
    return [mode](Context& c) {
      c.mode = mode;
      c.stack = ContextStack::interrupt;
      c.place = ContextPlace::region;
      c.place_offset = 0x10 + 3;
      c.stack_offset = 63;
      c.null_data_segments = true;
    };
  };
  const Context user = canonical_context(test::user32_entry(), in_region(GuestMode::user));
  EXPECT_EQ(user.place, ContextPlace::region);
  EXPECT_EQ(user.place_offset, 3);
  EXPECT_EQ(user.stack_offset, 63);
  EXPECT_EQ(user.stack, ContextStack::thread);
  EXPECT_TRUE(user.null_data_segments);
  const Context kernel = canonical_context(test::user32_entry(), in_region(GuestMode::kernel));
  EXPECT_EQ(kernel.place, ContextPlace::resume_page);
  EXPECT_EQ(kernel.stack_offset, 60);
  EXPECT_FALSE(kernel.null_data_segments);
  const Context none = canonical_context(test::user64_entry(), in_region(GuestMode::user));
  EXPECT_EQ(none.mode, GuestMode::user);
  EXPECT_EQ(none.place, ContextPlace::resume_page);
  const Context no_user = canonical_context(test::kernel_entry(), in_region(GuestMode::user));
  EXPECT_EQ(no_user.mode, GuestMode::kernel);
  EXPECT_EQ(no_user.stack, ContextStack::interrupt);
}

TEST(Canonicalise, TheMaskedPortIsTheNextThatNothingElseUses) {
  const Entry entry = test::kernel_entry();
  Scenario s = test::plain_scenario(entry);
  s.context.port = 126;
  s.context.has_masked_port = true;
  s.context.masked_port = 126;
  s.arrival_count = 3;
  s.arrivals[0].port = 127;
  s.arrivals[1].port = 0;
  s.arrivals[2].kind = ArrivalKind::tick;
  s.arrivals[2].port = 1;  // a tick has none
  canonicalise(s, entry);
  EXPECT_EQ(s.context.masked_port, 1);
}

TEST(Canonicalise, ArrivalsOfKindsThatTheEntryLacksAreEvents) {
  const Entry entry = test::least_entry();
  Scenario s = test::plain_scenario(entry);
  s.arrival_count = 3;
  s.arrivals[0].kind = ArrivalKind::nmi;
  s.arrivals[1].kind = ArrivalKind::exception;
  s.arrivals[2].kind = ArrivalKind::tick;
  canonicalise(s, entry);
  EXPECT_EQ(s.arrivals[0].kind, ArrivalKind::event);
  EXPECT_EQ(s.arrivals[1].kind, ArrivalKind::event);
  EXPECT_EQ(s.arrivals[2].kind, ArrivalKind::tick);
}

TEST(Canonicalise, OnlyATickIsSpuriousAndHasAByteOfTheEntrysThen) {
  Entry entry = test::kernel_entry();
  entry.description.pending_values = {1, 0x80};
  for (const ArrivalKind kind : {ArrivalKind::event, ArrivalKind::tick, ArrivalKind::nmi, ArrivalKind::exception}) {
    for (const bool spurious : {false, true}) {
      Scenario s = test::plain_scenario(entry);
      s.arrival_count = 1;
      s.arrivals[0].kind = kind;
      s.arrivals[0].spurious = spurious;
      s.arrivals[0].pending_value = 0x80;
      canonicalise(s, entry);
      const bool tick = kind == ArrivalKind::tick && spurious;
      EXPECT_EQ(s.arrivals[0].spurious, tick);
      EXPECT_EQ(s.arrivals[0].sets_pending(), tick || kind == ArrivalKind::event);
      EXPECT_EQ(s.arrivals[0].counted_as(), tick ? ArrivalKind::event : s.arrivals[0].kind);
      EXPECT_EQ(s.arrivals[0].pending_value, s.arrivals[0].sets_pending() ? 0x80 : 1);
    }
  }
}

TEST(Canonicalise, AnExceptionArrivalNamesAnException) {
  const Entry entry = test::kernel_entry();
  std::set<unsigned> seen;
  for (unsigned vector = 0; vector < 256; ++vector) {
    Scenario s = test::plain_scenario(entry);
    s.arrival_count = 1;
    s.arrivals[0] = {ArrivalKind::exception, 7, 9, 9, static_cast<std::uint8_t>(vector), false, 0x12345};
    canonicalise(s, entry);
    seen.insert(s.arrivals[0].vector);
    EXPECT_EQ(s.arrivals[0].error_code, s.arrivals[0].vector == kPageFault ? 0x2345U : 0U);
    EXPECT_EQ(s.arrivals[0].distance, 7);
  }
  EXPECT_THAT(seen, testing::ElementsAre(kDivideError, kPageFault));
}

TEST(Canonicalise, OnlyTheFirstCallUnmasksAPort) {
  const Entry entry = test::kernel_entry();
  Scenario s = test::plain_scenario(entry);
  for (EventAction& action : s.event_actions) action.unmask_port = true;
  s.context.has_masked_port = true;
  canonicalise(s, entry);
  EXPECT_TRUE(s.event_actions[0].unmask_port);
  EXPECT_FALSE(s.event_actions[1].unmask_port);
  s.context.has_masked_port = false;
  canonicalise(s, entry);
  EXPECT_FALSE(s.event_actions[0].unmask_port);
}

TEST(RegisterTag, IsDistinctAndNoGuestAddress) {
  for (const Width width : {Width::k32, Width::k64}) {
    std::set<std::uint64_t> tags;
    for (std::size_t i = 0; i < gpr_count(width); ++i) {
      const std::uint64_t tag = register_tag(static_cast<Gpr>(i), width);
      tags.insert(tag);
      EXPECT_GT(tag, 0x1000'0000U);
      EXPECT_EQ(tag & 0xf, i);
      if (width == Width::k32) {
        EXPECT_EQ(tag, register_tag(static_cast<Gpr>(i), Width::k64) & 0xffffffff);
      }
      if (width == Width::k64) {
        EXPECT_EQ(tag >> 60, 8U);  // not canonical: neither a positive nor a negative address
      }
    }
    EXPECT_EQ(tags.size(), gpr_count(width));
  }
  EXPECT_EQ(register_tag(Gpr::r8, Width::k32), 0U);
}

TEST(ContextFlags, AreNamedLowestFirst) {
  std::uint64_t bits = 0;
  for (const FlagName& flag : context_flag_names()) {
    EXPECT_GT(flag.bit, bits);
    bits |= flag.bit;
  }
  EXPECT_EQ(bits, kContextFlags);
}

}  // namespace
}  // namespace framefold
