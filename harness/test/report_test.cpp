// Timelines and verdicts of real runs of bundled entries.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/bundled.hpp"
#include "report/alignment.hpp"
#include "report/place.hpp"
#include "report/recorder.hpp"
#include "report/stack_picture.hpp"
#include "report/timeline.hpp"
#include "report/verdict.hpp"
#include "scenario/codec.hpp"

namespace framefold {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

std::unique_ptr<const Entry> load(std::string_view name) {
  for (const BundledEntry& bundled : bundled_entries()) {
    if (bundled.name == name) {
      return load_entry(parse_description(bundled.description, std::string(name)), bundled.elf, std::string(name));
    }
  }
  return nullptr;
}

/// Mini-OS with the byte table: its NMI marks frames, and those leave by the hypercall page, where nothing folds.
class Report : public testing::Test {
 protected:
  /// An interrupted context that `vector` enters with, and events at these distances.
  Scenario scenario(std::size_t vector, std::initializer_list<std::uint16_t> events) const {
    Scenario s;
    s.context.vector = static_cast<std::uint8_t>(vector);
    for (const std::uint16_t distance : events) {
      s.arrivals[s.arrival_count].distance = distance;
      s.arrivals[s.arrival_count].port = 9;
      ++s.arrival_count;
    }
    canonicalise(s, *entry_);
    return s;
  }
  std::size_t nmi() const { return entry_->vectors.size() - 1; }
  /// An event at the first boundary of the hypercall page's stub.
  Scenario critical() const { return scenario(nmi(), {62}); }

  std::unique_ptr<const Entry> entry_ = load("minios-x86_64-table");
  Oracle oracle_{*entry_};
};

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
  }
  return lines;
}

const Finding* finding_of(const Verdict& verdict, ViolationKind kind) {
  const auto all = verdict.view();
  const auto found = std::find_if(all.begin(), all.end(), [kind](const Finding& f) { return f.kind == kind; });
  return found == all.end() ? nullptr : &*found;
}

TEST_F(Report, ShortTimelineTellsWhatMatters) {
  const Scenario s = critical();
  const Finding* finding = finding_of(oracle_.judge(s), ViolationKind::critical_frame);
  ASSERT_NE(finding, nullptr);
  const std::string story = short_timeline(oracle_, s, *finding);
  EXPECT_THAT(story,
              AllOf(StartsWith("nested run:\n"), HasSubstr("> nmi delivered, enters nmi"), HasSubstr("window opens"),
                    HasSubstr("* arrival 0: event, port 9"), HasSubstr("> event delivered, enters hypervisor_callback"),
                    HasSubstr("pushq %rcx"), HasSubstr("! critical-frame")));
  const std::vector<std::string> lines = lines_of(story);
  EXPECT_THAT(lines.back(), HasSubstr("! critical-frame"));
  for (std::size_t i = 2; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].size(), lines[1].size()) << lines[i];
  }
}

TEST_F(Report, ShortTimelineEndsInTenInstructions) {
  const std::string story = to_text(make_timeline(oracle_, scenario(0, {}), nullptr));
  const auto events = [](const std::string& line) {
    return line.find("delivered,") != std::string::npos || line.find("handler gets") != std::string::npos ||
           line.find("window") != std::string::npos || line.find("< returns") != std::string::npos ||
           line.find("! ") != std::string::npos || line.find("resumes") != std::string::npos;
  };
  const std::vector<std::string> lines = lines_of(story);
  const auto instructions =
      static_cast<std::size_t>(std::count_if(lines.begin() + 2, lines.end(), std::not_fn(events)));
  EXPECT_EQ(instructions, 10);
}

TEST_F(Report, ShortTimelineCutsArrivalsThatDoNotMatter) {
  const Scenario s = scenario(nmi(), {62, 1000, 1000});
  const Finding* finding = finding_of(oracle_.judge(s), ViolationKind::critical_frame);
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->arrivals, 1);
  EXPECT_THAT(short_timeline(oracle_, s, *finding), StartsWith("nested run, cut after 1 of 3 arrivals:\n"));
}

/// Three events, each in the window of the one before: nothing folds, and the third shows it at another boundary.
TEST(ReportOfNesting, ShortTimelineEndsInTheFindingNotInOneOfItsKindBefore) {
  const std::unique_ptr<const Entry> entry = load("minios-x86_64-nesting");
  Oracle oracle(*entry);
  Scenario s;
  for (const std::uint16_t distance : {46, 48, 60}) {
    s.arrivals[s.arrival_count].distance = distance;
    s.arrivals[s.arrival_count++].port = 9;
  }
  canonicalise(s, *entry);
  std::vector<Finding> nesting;
  for (const Finding& finding : oracle.judge(s).view()) {
    if (finding.kind == ViolationKind::unbounded_nesting) {
      nesting.push_back(finding);
    }
  }
  ASSERT_EQ(nesting.size(), 2U);
  EXPECT_EQ(nesting[1].arrivals, 3);
  EXPECT_THAT(short_timeline(oracle, s, nesting[0]), Not(HasSubstr("* arrival 2: event")));
  const std::string story = short_timeline(oracle, s, nesting[1]);
  EXPECT_THAT(story, HasSubstr("* arrival 2: event"));
  EXPECT_THAT(lines_of(story).back(), HasSubstr("! unbounded-nesting"));
}

TEST_F(Report, TimelinesOfBothRunsWhereTheyAreCompared) {
  Finding finding;
  finding.kind = ViolationKind::register_mismatch;
  finding.arrivals = 1;
  const Scenario s = scenario(0, {5});
  finding.source = ViolationSource::comparison;
  EXPECT_THAT(short_timeline(oracle_, s, finding),
              AllOf(HasSubstr("nested run"), HasSubstr("reference run"), HasSubstr("step  ref  place")));
  finding.source = ViolationSource::reference;
  EXPECT_THAT(short_timeline(oracle_, s, finding),
              AllOf(Not(HasSubstr("nested run")), HasSubstr("reference run"), Not(HasSubstr("ref  place"))));
}

TEST_F(Report, FullTimelineHasEveryBoundaryOfBothRuns) {
  const Scenario s = scenario(0, {});
  oracle_.judge(s);
  const std::string story = to_text(make_timeline(oracle_, s, nullptr, {true, false, nullptr}));
  // Two headings and two table heads; what is not a boundary comes on top.
  EXPECT_GT(lines_of(story).size(), oracle_.nested().boundaries + 4);
  EXPECT_THAT(story, AllOf(HasSubstr("nested run"), HasSubstr("reference run")));
  // Nothing arrives: the two runs are one.
  EXPECT_THAT(story, AllOf(Not(HasSubstr("alone")), Not(HasSubstr("differs"))));
}

TEST_F(Report, TimelinesLeaveTheVerdictAlone) {
  const Scenario s = critical();
  oracle_.set_hash(true);
  const Verdict& verdict = oracle_.judge(s);
  const std::uint64_t hash = oracle_.nested().hash;
  const std::size_t count = verdict.count;
  ASSERT_GT(count, 0U);
  short_timeline(oracle_, s, verdict.findings[0]);
  to_text(make_timeline(oracle_, s, nullptr, {true, false, nullptr}));
  EXPECT_EQ(verdict.count, count);
  EXPECT_EQ(oracle_.nested().hash, hash);
  oracle_.judge(s);
  EXPECT_EQ(oracle_.nested().hash, hash);
  EXPECT_EQ(verdict.count, count);
}

TEST_F(Report, RunsPartAtTheArrivalAndMeetWhereTheContextResumes) {
  const Scenario s = scenario(0, {50});  // in the region: folded
  const Story story = tell_story(oracle_, s, kMaxArrivals, true);
  const std::vector<MomentPair> pairs = align(story);
  std::vector<std::size_t> nested;
  std::vector<std::size_t> reference;
  for (const MomentPair& pair : pairs) {
    if (pair.nested != MomentPair::kNone) {
      nested.push_back(pair.nested);
    }
    if (pair.reference != MomentPair::kNone) {
      reference.push_back(pair.reference);
    }
  }
  ASSERT_EQ(nested.size(), story.nested.moments.size());
  ASSERT_EQ(reference.size(), story.reference.moments.size());
  EXPECT_TRUE(std::is_sorted(nested.begin(), nested.end()));
  EXPECT_TRUE(std::is_sorted(reference.begin(), reference.end()));
  const auto parted = std::find_if_not(pairs.begin(), pairs.end(), std::mem_fn(&MomentPair::both));
  ASSERT_NE(parted, pairs.end());
  EXPECT_EQ(story.nested.moments[parted->nested].event.kind, TraceEvent::Kind::arrival);
  const auto together = std::find_if(parted, pairs.end(), std::mem_fn(&MomentPair::both));
  ASSERT_NE(together, pairs.end());
  // From the boundary that was interrupted on, a correct fold leaves nothing to tell the runs apart.
  const Guest& guest = oracle_.execution().guest();
  const MomentPair last = *std::find_if(pairs.rbegin(), pairs.rend(), std::mem_fn(&MomentPair::both));
  EXPECT_EQ(story.nested.moments[last.nested].event.kind, TraceEvent::Kind::resumption);
  EXPECT_THAT(differences(guest, story.nested.moments[last.nested], story.reference.moments[last.reference]),
              IsEmpty());
}

/// The fold of an NMI's frame behind the clearing of its marker: NMIs stay masked, and no register shows it.
TEST_F(Report, DifferencesNameWhatXenKeeps) {
  const Story story = tell_story(oracle_, scenario(nmi(), {61}), kMaxArrivals, true);
  const std::vector<MomentPair> pairs = align(story);
  const auto end = std::find_if(pairs.rbegin(), pairs.rend(), std::mem_fn(&MomentPair::both));
  ASSERT_NE(end, pairs.rend());
  const std::vector<Difference> found = differences(oracle_.execution().guest(), story.nested.moments[end->nested],
                                                    story.reference.moments[end->reference]);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].what, "async_exception_mask");
  EXPECT_EQ(found[0].nested, kTrapNmi);
  EXPECT_EQ(found[0].reference, 0U);
}

TEST_F(Report, ReturnedFramesAreDead) {
  const Story story = tell_story(oracle_, scenario(0, {}), kMaxArrivals, false);
  const auto at = std::find_if(story.nested.moments.begin(), story.nested.moments.end(),
                               [](const Moment& m) { return m.event.kind == TraceEvent::Kind::returned; });
  ASSERT_NE(at, story.nested.moments.end());
  ASSERT_EQ(at->frames.size(), 1U);
  Moment other = *at;
  const auto thread = static_cast<std::size_t>(StackId::thread);
  ASSERT_FALSE(other.stacks[thread].bytes.empty());
  store_word(other.stacks[thread].bytes.data() + (at->frames.back().base - other.stacks[thread].low), 7, 8);
  // As if the guest were in user mode: on another stack.
  Moment moved = *at;
  moved.event.stack_pointer = other.event.stack_pointer = layout::kUserStack64.value + 8;
  EXPECT_THAT(differences(oracle_.execution().guest(), moved, other), IsEmpty());
  moved.event.kind = other.event.kind = TraceEvent::Kind::boundary;
  EXPECT_EQ(differences(oracle_.execution().guest(), moved, other).size(), 1U);
}

TEST_F(Report, DifferencesNameRegistersAndSlots) {
  const Story story = tell_story(oracle_, scenario(0, {}), kMaxArrivals, false);
  const auto at = std::find_if(story.nested.moments.begin(), story.nested.moments.end(),
                               [](const Moment& m) { return m.event.kind == TraceEvent::Kind::handler; });
  ASSERT_NE(at, story.nested.moments.end());
  Moment other = *at;
  other.registers[Gpr::rbx] ^= 1;
  other.event.mask = 0;
  const GuestAddress rip_slot = at->frames.back().base + 128;
  for (StackCopy& stack : other.stacks) {
    if (stack.word(rip_slot, 8)) {
      store_word(stack.bytes.data() + (rip_slot - stack.low), 7, 8);
    }
  }
  const std::vector<Difference> found = differences(oracle_.execution().guest(), *at, other);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].what, "rbx");
  EXPECT_EQ(found[1].what, "event mask");
  EXPECT_THAT(found[2].what, AllOf(StartsWith("thread+0x"), HasSubstr("(event frame: rip)")));
  EXPECT_EQ(found[2].reference, 7U);
  EXPECT_EQ(found[2].nested, resume_page(Width::k64, GuestMode::kernel).value);
}

TEST_F(Report, StackPicturesShowWhatTheFoldCopied) {
  Scenario s = scenario(0, {62});  // in the region, behind the six registers that are restored first
  s.context.gpr = decode({}, *entry_).context.gpr;
  const Story story = tell_story(oracle_, s, kMaxArrivals, false);
  ASSERT_EQ(story.nested.folds.size(), 1U);
  const FoldStory& fold = story.nested.folds[0];
  EXPECT_EQ(fold.folded.interrupted, resume_page(Width::k64, GuestMode::kernel));
  EXPECT_EQ(fold.copies.size() * 8, 0x30U);  // what the table says of that boundary
  const std::vector<StackPicture> pictures = stack_pictures(oracle_.execution().guest(), story.nested);
  ASSERT_EQ(pictures.size(), 3U);  // two deliveries and the fold
  EXPECT_EQ(pictures[0].frames.size(), 1U);
  EXPECT_EQ(pictures[1].frames.size(), 2U);
  EXPECT_EQ(pictures[2].frames.size(), 1U);
  const std::vector<PictureSlot>& slots = pictures[2].frames[0].slots;
  ASSERT_EQ(slots.size(), 21U);
  EXPECT_EQ(slots.front().name, "ss");
  EXPECT_EQ(slots.back().name, "r15");
  EXPECT_THAT(slots.back().from, HasSubstr("(nested r15)"));
  EXPECT_EQ(slots.back().value, register_tag(Gpr::r15, Width::k64));
  EXPECT_TRUE(slots[4].from.empty());  // rip stays where it is
  const std::string text = to_text(pictures[2]);
  EXPECT_THAT(text, AllOf(HasSubstr("┌─ frame 0: event, interrupted resume_page ─"), HasSubstr("◄ thread+0x"),
                          HasSubstr("└─ rsp = interrupt+0x")));
  EXPECT_THAT(to_text(pictures[1]), HasSubstr("rcx, by Xen"));
  TimelineOptions options;
  EXPECT_THAT(to_text(make_timeline(oracle_, s, nullptr, options)), Not(HasSubstr("┌")));
  options.stacks = true;
  EXPECT_THAT(to_text(make_timeline(oracle_, s, nullptr, options)), HasSubstr(text));
}

/// As many bytes as the table says, also where the frames overlap and the prologue moves words inside the nested one.
TEST_F(Report, FoldsCopyWhatTheTableSays) {
  Scenario s = scenario(nmi(), {60});
  s.context.gpr = decode({}, *entry_).context.gpr;
  for (const auto& [distance, bytes] : {std::pair{39, 0x00}, {47, 0x30}, {60, 0x80}, {61, 0x78}}) {
    s.arrivals[0].distance = static_cast<std::uint16_t>(distance);
    const Story story = tell_story(oracle_, s, kMaxArrivals, false);
    ASSERT_EQ(story.nested.folds.size(), 1U) << distance;
    EXPECT_EQ(story.nested.folds[0].copies.size() * 8, static_cast<std::size_t>(bytes)) << distance;
  }
}

TEST_F(Report, SourceLinesAreAColumn) {
  SourceLines lines;
  lines.files = {"entry/some.S"};
  lines.rows = {{*parse_location(*entry_, "scrit"), 0, 103}, {*parse_location(*entry_, "scrit") + 1, 0, 0}};
  EXPECT_EQ(source_text(&lines, lines.rows[0].address), "some.S:103");
  EXPECT_EQ(source_text(&lines, lines.rows[1].address), "");
  EXPECT_EQ(source_text(&lines, {1}), "");
  EXPECT_EQ(source_text(nullptr, lines.rows[0].address), "");
  TimelineOptions options;
  options.lines = &lines;
  EXPECT_THAT(to_text(make_timeline(oracle_, scenario(0, {}), nullptr, options)),
              AllOf(HasSubstr("source"), HasSubstr("some.S:103")));
}

TEST_F(Report, RecorderKeepsTheOrder) {
  Recorder recorder;
  Outcome outcome;
  oracle_.execution().set_trace(&recorder);
  oracle_.execution().run_nested(critical(), kMaxArrivals, outcome);
  oracle_.execution().set_trace(nullptr);
  ASSERT_FALSE(recorder.events().empty());
  EXPECT_EQ(recorder.events().front().kind, TraceEvent::Kind::delivery);
  EXPECT_TRUE(std::is_sorted(recorder.events().begin(), recorder.events().end(),
                             [](const TraceEvent& a, const TraceEvent& b) { return a.step < b.step; }));
  recorder.clear();
  EXPECT_TRUE(recorder.events().empty());
}

TEST_F(Report, ArrivalLabels) {
  const Scenario s = scenario(nmi(), {2, 60, 60000});
  oracle_.judge(s);
  const Guest& guest = oracle_.execution().guest();
  EXPECT_EQ(arrival_label(guest, oracle_.nested().arrivals[0]), "nmi+0x9 (addq $0x10, %rsp), not delivered");
  EXPECT_THAT(arrival_label(guest, oracle_.nested().arrivals[1]), HasSubstr(", "));
  EXPECT_EQ(arrival_label(guest, oracle_.nested().arrivals[2]), "not reached");
}

TEST_F(Report, PlacesByName) {
  const Guest& guest = oracle_.execution().guest();
  const GuestAddress scrit = *parse_location(*entry_, "scrit");
  EXPECT_EQ(place_text(guest, scrit + 3), "scrit+0x3");
  EXPECT_EQ(place_text(guest, resume_page(Width::k64, GuestMode::kernel)), "resume_page");
  EXPECT_EQ(place_text(guest, resume_page(Width::k64, GuestMode::kernel) + 16), "resume_page+0x10");
  EXPECT_EQ(place_text(guest, layout::kHandlerNested), "handler_page+0x10");
  EXPECT_EQ(place_text(guest, layout::kSharedInfo + 1), "shared_info+0x1");
  EXPECT_EQ(place_text(guest, {0x33}), "0x33");
  EXPECT_EQ(known_place(guest, {0x33}), std::nullopt);
  const GuestRange& thread = guest.stack_range(StackId::thread);
  EXPECT_EQ(stack_text(guest, thread.begin), "thread");
  EXPECT_EQ(stack_text(guest, thread.end), "thread+0x4000");
  EXPECT_EQ(stack_text(guest, thread.end + 1), std::nullopt);
}

TEST_F(Report, InstructionsNameTheirTargets) {
  const Guest& guest = oracle_.execution().guest();
  EXPECT_EQ(instruction_text(guest, *parse_location(*entry_, "scrit+0x84")), "jmp hypercall_page+0x2e0");
  EXPECT_EQ(instruction_text(guest, *parse_location(*entry_, "hypercall_page+0x2e0")), "pushq %rcx");
  EXPECT_EQ(instruction_text(guest, {0x33}), "");
}

TEST_F(Report, DescribesAFindingInFull) {
  const Scenario s = critical();
  const Verdict& verdict = oracle_.judge(s);
  const FileReport known = describe(oracle_, s, verdict, false);
  EXPECT_EQ(known.status, FileStatus::known);
  EXPECT_EQ(known.entry, "minios-x86_64-table");
  EXPECT_EQ(known.arrivals, 1);
  EXPECT_EQ(known.reached, 1);
  const auto found = std::find_if(known.findings.begin(), known.findings.end(),
                                  [](const FindingReport& f) { return f.kind == ViolationKind::critical_frame; });
  ASSERT_NE(found, known.findings.end());
  const FindingReport& finding = *found;
  EXPECT_EQ(finding.signature, "minios-x86_64-table:critical-frame:hypercall_page+0x2e0");
  EXPECT_EQ(finding.bucket, "minios-x86_64-table:critical-frame:hypercall_page");
  EXPECT_EQ(finding.cause, "hypercall_page+0x2e0");
  EXPECT_EQ(finding.instruction, "pushq %rcx");
  EXPECT_EQ(finding.arrival, "event");
  EXPECT_TRUE(finding.cause_is_arrival);
  EXPECT_THAT(finding.conditions, Contains("marked"));
  EXPECT_EQ(finding.what, "rip");
  EXPECT_EQ(finding.expected_place, "resume_page");
  EXPECT_EQ(finding.found_place, "hypercall_page+0x2e0");
  ASSERT_TRUE(finding.known);
  EXPECT_THAT(finding.known->why, Not(IsEmpty()));
  const FileReport reported = describe(oracle_, s, verdict, true);
  EXPECT_EQ(reported.status, FileStatus::violation);
  EXPECT_EQ(reported.violation, std::size_t{0});
}

}  // namespace
}  // namespace framefold
