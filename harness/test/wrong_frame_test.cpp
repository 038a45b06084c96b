// What the stack picture draws of a frame that is wrong: what the code copied, and each slot that does not show what
// was interrupted; the words of the iret hypercall, which lie where a frame's slots were; and what a smashed stack
// held.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "report/stack_picture.hpp"
#include "report/timeline.hpp"
#include "scenario/codec.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::uint16_t kFar = 200;  // boundaries: behind the longest way out

/// An event at a distance, in the plain context of a vector.
Scenario event_at(const Entry& entry, std::size_t vector, std::uint16_t distance) {
  Scenario scenario = decode({}, entry);
  scenario.context.vector = static_cast<std::uint8_t>(vector);
  scenario.arrivals[0].distance = distance;
  scenario.arrival_count = 1;
  canonicalise(scenario, entry);
  return scenario;
}

/// The first event that makes a handler's frame wrong in this way.
std::optional<Scenario> find(Oracle& oracle, std::size_t vector, ViolationKind kind) {
  for (std::uint16_t distance = 0; distance < kFar; ++distance) {
    const Scenario scenario = event_at(oracle.entry(), vector, distance);
    for (const Finding& finding : oracle.judge(scenario).view()) {
      if (finding.kind == kind && finding.arrivals == 1) {
        return scenario;
      }
    }
  }
  return std::nullopt;
}

StackPicture last_picture(Oracle& oracle, const Scenario& scenario) {
  const Story story = tell_story(oracle, scenario, kMaxArrivals, false);
  return stack_pictures(oracle.execution().guest(), story.nested).back();
}

const PictureSlot* slot_of(const StackPicture& picture, std::string_view name) {
  const std::vector<PictureSlot>& slots = picture.frames.front().slots;
  const auto found = std::find_if(slots.begin(), slots.end(), [name](const PictureSlot& s) { return s.name == name; });
  return found == slots.end() ? nullptr : &*found;
}

/// Each general-purpose register's slot is marked exactly where it does not hold the context's.
void expect_marks(const StackPicture& picture, const Scenario& scenario, Width width) {
  std::size_t compared = 0;
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    const PictureSlot* slot = slot_of(picture, name_of(gpr, width));
    if (slot == nullptr || gpr == Gpr::rsp) {
      continue;
    }
    ++compared;
    SCOPED_TRACE(slot->name);
    const std::uint64_t expected = scenario.context.gpr[i];
    EXPECT_EQ(slot->expected.has_value(), slot->value != expected);
    EXPECT_EQ(slot->expected.value_or(expected), expected);
  }
  EXPECT_GE(compared, 7U);
}

std::size_t copied(const StackPicture& picture) {
  const std::vector<PictureSlot>& slots = picture.frames.front().slots;
  return static_cast<std::size_t>(
      std::count_if(slots.begin(), slots.end(), [](const PictureSlot& s) { return !s.from.empty(); }));
}

TEST(WrongFrames, AFoldOfTheWrongDistanceIsDrawnAsItWas) {
  const auto entry = load_variant("minios-x86_64-fixed.fixed_distance");
  Oracle oracle(*entry);
  const std::optional<Scenario> scenario = find(oracle, 0, ViolationKind::handler_frame);
  ASSERT_TRUE(scenario);
  const StackPicture picture = last_picture(oracle, *scenario);
  EXPECT_THAT(picture.title, StartsWith("wrong frame for a handler: event, taken at "));
  EXPECT_EQ(picture.frames.size(), 1U);
  expect_marks(picture, *scenario, entry->width());
  EXPECT_GT(copied(picture), 0U);
  EXPECT_THAT(to_text(picture), AllOf(HasSubstr("✗ expected 0x"), HasSubstr("◄ thread+0x")));
  const Finding finding = *oracle.judge(*scenario).violation(true);
  EXPECT_THAT(short_timeline(oracle, *scenario, finding), HasSubstr(" wrong "));
}

TEST(WrongFrames, ARightFoldHasNoMarks) {
  const auto entry = load_variant("minios-x86_64-fixed");
  Oracle oracle(*entry);
  std::size_t folds = 0;
  for (std::uint16_t distance = 0; distance < kFar; ++distance) {
    const Scenario scenario = event_at(*entry, 0, distance);
    const Story story = tell_story(oracle, scenario, kMaxArrivals, false);
    folds += story.nested.folds.size();
    for (const StackPicture& picture : stack_pictures(oracle.execution().guest(), story.nested)) {
      EXPECT_THAT(to_text(picture), AllOf(Not(HasSubstr("expected")), Not(HasSubstr("wrong"))));
    }
  }
  EXPECT_GE(folds, 9U);
}

TEST(WrongFrames, OneThatWasNotFoldedIsTheNestedOne) {
  const auto entry = load_variant("minios-x86_64-table");
  Oracle oracle(*entry);
  const std::optional<Scenario> scenario = find(oracle, entry->vectors.size() - 1, ViolationKind::critical_frame);
  ASSERT_TRUE(scenario);
  const StackPicture picture = last_picture(oracle, *scenario);
  EXPECT_THAT(picture.title, AllOf(StartsWith("wrong frame for a handler: event, taken at hypercall_page+0x2e"),
                                   HasSubstr(" 0 words copied, ")));
  ASSERT_NE(slot_of(picture, "rip"), nullptr);
  EXPECT_EQ(slot_of(picture, "rip")->expected, resume_page(Width::k64, GuestMode::kernel).value);
  expect_marks(picture, *scenario, entry->width());
}

/// No window was interrupted: the callback folds what is a frame of its own.
TEST(WrongFrames, OneThatShouldNotHaveBeenFolded32) {
  const auto entry = load_variant("xenlinux-x86_32-table");
  Oracle oracle(*entry);
  Scenario scenario = decode({}, *entry);
  scenario.arrival_count = 0;
  scenario.context.mode = GuestMode::user;
  scenario.context.place = ContextPlace::region;
  canonicalise(scenario, *entry);
  ASSERT_EQ(oracle.judge(scenario).findings[0].kind, ViolationKind::handler_frame);
  const StackPicture picture = last_picture(oracle, scenario);
  expect_marks(picture, scenario, entry->width());
  ASSERT_NE(slot_of(picture, "ebx"), nullptr);
  EXPECT_TRUE(slot_of(picture, "ebx")->expected);
}

/// Rather than of slots that had been popped.
TEST(WrongFrames, WordsOfTheIretHypercallHaveTheirOwnNames) {
  const auto entry = load_variant("minios-x86_64-table");
  Oracle oracle(*entry);
  const std::size_t nmi = entry->vectors.size() - 1;
  const auto names_at = [&](std::size_t vector, ArrivalKind kind, const char* place, std::uint64_t offset) {
    for (std::uint16_t distance = 0; distance < kFar; ++distance) {
      Scenario scenario = event_at(*entry, vector, distance);
      scenario.arrivals[0].kind = kind;
      canonicalise(scenario, *entry);
      const Story story = tell_story(oracle, scenario, kMaxArrivals, false);
      for (const StackPicture& picture : stack_pictures(oracle.execution().guest(), story.nested)) {
        const Moment& moment = story.nested.moments[picture.moment];
        if (moment.frames.size() == 2 && moment.frames[1].interrupted == *parse_location(*entry, place) + offset) {
          return to_text(picture);
        }
      }
    }
    return std::string();
  };
  const std::string pushed = names_at(nmi, ArrivalKind::event, "hypercall_page", 0x2e9);
  EXPECT_THAT(pushed, AllOf(HasSubstr(" iret flags "), HasSubstr(" iret rcx "), HasSubstr(" iret r11 "),
                            HasSubstr(" iret rax "), Not(HasSubstr(" orig_rax "))));
  // Before the handler: pushed where the frame's words will be.
  const std::string saving = names_at(1, ArrivalKind::nmi, "error_entry", 0x14);
  EXPECT_THAT(saving, AllOf(HasSubstr("frame 1: nmi"), Not(HasSubstr("iret "))));
  const std::string plain = names_at(0, ArrivalKind::event, "scrit", 0x4c);
  EXPECT_THAT(plain, AllOf(HasSubstr("frame 1: event"), Not(HasSubstr("iret ")), HasSubstr(" orig_rax ")));
}

/// An event comes while the handler runs: the exit finds it, has popped the frame by then, and enters the callback
/// again.
TEST(WrongFrames, WordsThatAreSavedAgainAreSlotsAgain) {
  const auto entry = load_variant("linux-x86_32-2007");
  Oracle oracle(*entry);
  const Story story = tell_story(oracle, event_at(*entry, 0, 24), kMaxArrivals, false);
  std::size_t handlers = 0;
  bool popped = false;
  for (const Moment& moment : story.nested.moments) {
    popped = popped || (!moment.frames.empty() && moment.frames.back().again_high != GuestAddress{});
    if (moment.event.kind != TraceEvent::Kind::handler) {
      continue;
    }
    ++handlers;
    const LiveFrame& frame = moment.frames.back();
    EXPECT_EQ(slot_name(*entry, moment, frame.base), "event frame: ebx");
    const GuestAddress under_eip = frame.base + (frame.size - 4 * word_size(Width::k32));
    EXPECT_EQ(slot_name(*entry, moment, under_eip), "event frame: orig_eax");
  }
  EXPECT_EQ(handlers, 2U);
  EXPECT_TRUE(popped);
}

/// Xen aligns the stack before it pushes: the word that this leaves out had been popped.
TEST(WrongFrames, WhatAlignmentLeavesOutIsNoSlot) {
  const auto entry = load_variant("minios-x86_64-table");
  Oracle oracle(*entry);
  std::size_t gaps = 0;
  for (std::uint16_t distance = 0; distance < kFar; ++distance) {
    const Scenario scenario = event_at(*entry, entry->vectors.size() - 1, distance);
    const Story story = tell_story(oracle, scenario, kMaxArrivals, false);
    for (const StackPicture& picture : stack_pictures(oracle.execution().guest(), story.nested)) {
      const Moment& moment = story.nested.moments[picture.moment];
      if (moment.event.kind != TraceEvent::Kind::delivery || moment.frames.size() != 2) {
        continue;
      }
      const LiveFrame& nested = moment.frames[1];
      EXPECT_GE(picture.frames[0].slots.back().address, nested.pointer) << distance;
      gaps += nested.end() < nested.pointer ? 1 : 0;
    }
  }
  EXPECT_GT(gaps, 0U);
}

TEST(SmashedStacks, SayWhichWordsAndWhatStoredThem) {
  const auto told = [](const std::string& name, GuestMode mode) {
    const auto entry = load_variant(name);
    Oracle oracle(*entry);
    Scenario scenario = decode({}, *entry);
    scenario.context.mode = mode;
    scenario.context.vector = 1;
    scenario.context.mask = 1;
    canonicalise(scenario, *entry);
    for (const Finding& finding : oracle.judge(scenario).view()) {
      if (finding.kind == ViolationKind::stack_smash) {
        return short_timeline(oracle, scenario, finding);
      }
    }
    return to_text(make_timeline(oracle, scenario, nullptr));
  };
  EXPECT_THAT(told("linux-x86_32-2007.smashes_stack", GuestMode::kernel),
              AllOf(HasSubstr("! stack-smash"), ContainsRegex("changed: thread\\+0x3f00: 0x41414141, was "
                                                              "0x[0-9a-f]+; by xen_iret\\+0x[0-9a-f]+, step 5")));
  EXPECT_THAT(told("minios-x86_64-fixed.stack_smash", GuestMode::kernel),
              AllOf(HasSubstr("! stack-smash"), HasSubstr("changed: thread+0x3f00: ")));
  EXPECT_THAT(told("linux-x86_32-2007", GuestMode::kernel), Not(HasSubstr("changed: ")));
}

/// In both runs, which then do not differ.
TEST(WrongRegisters, AreNamedOneByOne) {
  const auto entry = load_variant("minios-x86_64-fixed.register_mismatch");
  Oracle oracle(*entry);
  Scenario scenario = decode({}, *entry);
  scenario.arrival_count = 0;
  const Finding* finding = oracle.judge(scenario).violation();
  ASSERT_NE(finding, nullptr);
  ASSERT_EQ(finding->kind, ViolationKind::register_mismatch);
  EXPECT_THAT(
      short_timeline(oracle, scenario, *finding),
      AllOf(HasSubstr("! register-mismatch"), HasSubstr("   wrong: r15: expected 0x8f7f6f5f4f3f2f1f, found 0x0\n")));
  const auto good = load_variant("minios-x86_64-fixed");
  Oracle other(*good);
  EXPECT_THAT(to_text(make_timeline(other, scenario, nullptr)), Not(HasSubstr("wrong: ")));
}

}  // namespace
}  // namespace framefold::test
