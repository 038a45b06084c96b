// Planted faults: which there are, that each is one instruction of the same length, and what becomes of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "mutant/code_patches.hpp"
#include "mutant/judge.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::map<std::string, Bytes> patches_of(const Bytes& code, Width width = Width::k64) {
  const std::vector<Instruction> decoded = decode(width, {0x1000}, code, {});
  std::map<std::string, Bytes> patches;
  for (const CodePatch& patch : code_patches(decoded.at(0), code, width)) {
    patches[patch.fault] = patch.bytes;
  }
  return patches;
}

TEST(CodePatches, ConditionIsInverted) {
  EXPECT_EQ(patches_of({0x75, 0x10})["condition inverted"], (Bytes{0x74, 0x10}));                          // jne
  EXPECT_EQ(patches_of({0x0f, 0x84, 1, 0, 0, 0})["condition inverted"], (Bytes{0x0f, 0x85, 1, 0, 0, 0}));  // je
  EXPECT_EQ(patches_of({0x48, 0x0f, 0x44, 0xe0})["condition inverted"],
            (Bytes{0x48, 0x0f, 0x45, 0xe0}));  // cmove %rax, %rsp
  EXPECT_EQ(patches_of({0x36, 0x0f, 0x94, 0x00}, Width::k32)["condition inverted"],
            (Bytes{0x36, 0x0f, 0x95, 0x00}));  // sete %ss:(%eax)
}

TEST(CodePatches, FieldsAreOffByEight) {
  auto of_mov = patches_of({0x48, 0x8b, 0x44, 0x24, 0x20});  // mov 0x20(%rsp), %rax
  EXPECT_EQ(of_mov["displacement +8"], (Bytes{0x48, 0x8b, 0x44, 0x24, 0x28}));
  EXPECT_EQ(of_mov["displacement -8"], (Bytes{0x48, 0x8b, 0x44, 0x24, 0x18}));
  EXPECT_EQ(of_mov["other register"], (Bytes{0x48, 0x8b, 0x4c, 0x24, 0x20}));
  EXPECT_EQ(of_mov["other width"], (Bytes{0x40, 0x8b, 0x44, 0x24, 0x20}));
  EXPECT_EQ(patches_of({0x48, 0x83, 0xc4, 0x30})["immediate +8"], (Bytes{0x48, 0x83, 0xc4, 0x38}));  // add $0x30, %rsp
  EXPECT_EQ(patches_of({0xeb, 0x10}).count("immediate +8"), 0U);                                     // jmp
}

TEST(CodePatches, RemovedIsOneInstruction) {
  for (std::size_t length = 1; length <= 11; ++length) {
    Bytes code(length - 1, 0x66);
    code.push_back(0x90);
    const Bytes removed = patches_of(code)["removed"];
    const std::vector<Instruction> decoded = decode(Width::k64, {0x1000}, removed, {});
    ASSERT_EQ(decoded.size(), 1U) << length;
    EXPECT_EQ(decoded[0].length, length);
  }
}

class Plan : public testing::TestWithParam<const char*> {};

TEST_P(Plan, ChangesNoLengthAndAlwaysSomething) {
  const std::unique_ptr<const Entry> entry = load_variant(GetParam());
  const std::vector<Mutant> mutants = plan_mutants(*entry);
  EXPECT_GT(mutants.size(), entry->instructions.size());
  std::set<std::pair<GuestAddress, Bytes>> seen;
  for (const Mutant& mutant : mutants) {
    ASSERT_FALSE(mutant.patches.empty());
    for (const BytePatch& patch : mutant.patches) {
      const std::span<const std::uint8_t> original = image_bytes(*entry, patch.address, patch.bytes.size());
      EXPECT_FALSE(std::equal(original.begin(), original.end(), patch.bytes.begin())) << mutant.fault;
    }
    if (!mutant.becomes.empty()) {
      EXPECT_TRUE(seen.emplace(mutant.place, mutant.patches[0].bytes).second) << mutant.text << ": " << mutant.fault;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Mutants, Plan,
                         testing::Values("minios-x86_64-fixed", "minios-x86_64-table", "minios-x86_32-fixed",
                                         "xenlinux-x86_32-fixed", "linux-x86_32-single", "linux-x86_64-hypercall"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Mutants, LabelsAreMovedWhereverTheCodeUsesThem) {
  const std::unique_ptr<const Entry> entry = load_variant("xenlinux-x86_32-fixed");
  const std::vector<Mutant> mutants = plan_mutants(*entry);
  const auto of = [&](const char* fault) {
    const auto found = std::find_if(mutants.begin(), mutants.end(), [=](const Mutant& m) { return m.fault == fault; });
    return found == mutants.end() ? std::size_t{0} : found->patches.size();
  };
  // The callback's comparison, ret_to_kernel's subtraction and its length, the fold's subtraction; the end: comparison
  // and length.
  EXPECT_EQ(of("scrit one instruction later"), 4U);
  EXPECT_EQ(of("ecrit one instruction earlier"), 2U);
}

const std::vector<std::string>& proved_entries() {
  static const std::vector<std::string> names = {"minios-x86_64-fixed", "minios-x86_32-fixed", "xenlinux-x86_32-fixed",
                                                 "linux-x86_64-hypercall"};
  return names;
}

TEST(Mutants, AtMostOneInTwentyIsArguedEquivalent) {
  for (const std::string& name : proved_entries()) {
    const std::unique_ptr<const Entry> entry = load_variant(name);
    std::size_t argued = 0;
    for (const EquivalentDescription& row : entry->description.equivalent_mutants) {
      argued += row.at.size() * row.faults.size();
    }
    EXPECT_GT(argued, 0U);
    EXPECT_LE(argued * 20, plan_mutants(*entry).size()) << name;
  }
}

/// With other arguments than its own.
MutantReport judge_with(const std::string& name, const std::string& rows) {
  const BundledEntry bundled = find_variant(name);
  std::string text(bundled.description);
  text.resize(text.find("[[equivalent_mutants]]"));
  const auto entry = load_entry(parse_description(text + rows, "my/entry.toml"), bundled.elf, name);
  const std::atomic<bool> stop{false};
  MutantReport report = judge_mutants(*entry, bundled.elf, {}, stop, [](std::size_t, std::size_t) {});
  report.entry = nullptr;  // it goes
  return report;
}

TEST(Mutants, ArgumentsThatDoNotHoldAreNamed) {
  const MutantReport report = judge_with("linux-x86_64-hypercall", R"([[equivalent_mutants]]
at = ["xen_iret"]
faults = ["removed", "immediate +8"]
why = "nobody looks"
)");
  ASSERT_EQ(report.wrong_arguments.size(), 1U);
  EXPECT_THAT(
      report.wrong_arguments[0],
      testing::MatchesRegex("my/entry\\.toml:[0-9]+:[0-9]+: equivalent_mutants\\[0\\]: .*\"removed\" at xen_iret: "
                            "it is killed: .*"));
  EXPECT_EQ(report.count(Fate::argued), 1U);
}

TEST(Mutants, ArgumentsAboutNothingAreErrors) {
  try {
    judge_with("linux-x86_64-hypercall", R"([[equivalent_mutants]]
at = ["xen_iret"]
faults = ["condition inverted"]
why = "there is none"
)");
    ADD_FAILURE();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("equivalent_mutants[0].faults[0]: expected a fault that is planted"));
  }
}

TEST(Outlines, WaysGoFromJointToJoint) {
  Outline direct;
  direct.add_step(1, 2);
  direct.add_step(2, 9);
  Outline roundabout;  // one step more between, and a cycle
  roundabout.add_step(1, 3);
  roundabout.add_step(3, 4);
  roundabout.add_step(4, 3);
  roundabout.add_step(4, 9);
  Outline both = roundabout;
  both.add(direct);
  both.add_step(9, 1);
  for (Outline* outline : {&direct, &roundabout, &both}) {
    outline->add_joint(1);
    outline->add_joint(9);
  }
  using Ways = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  EXPECT_EQ(direct.ways(), (Ways{{1, 9}}));
  EXPECT_EQ(roundabout.ways(), direct.ways());
  EXPECT_EQ(both.ways(), (Ways{{1, 9}, {9, 1}}));
  EXPECT_EQ(both.joints(), direct.joints());
  direct.add_joint(5);
  EXPECT_NE(both.joints(), direct.joints());
}

/// All mutants; by one job, also no more than the first `wanted` ones of the plan.
MutantReport judge(const std::string& name, unsigned jobs, std::size_t wanted = ~std::size_t{0}) {
  static std::map<std::string, std::unique_ptr<const Entry>> entries;
  std::unique_ptr<const Entry>& entry = entries[name];
  entry = entry ? std::move(entry) : load_variant(name);
  MutantOptions options;
  options.jobs = jobs;
  std::atomic<bool> stop{wanted == 0};
  return judge_mutants(*entry, find_variant(name).elf, options, stop,
                       [&](std::size_t done, std::size_t) { stop = stop || done >= wanted; });
}

TEST(Mutants, AreJudgedAlikeByAnyNumberOfJobs) {
  const MutantReport one = judge("linux-x86_64-hypercall", 1);
  const MutantReport two = judge("linux-x86_64-hypercall", 2);
  EXPECT_EQ(one.original, ExploreVerdict::proved);
  EXPECT_EQ(one.count(Fate::unclear) + one.count(Fate::not_judged) + one.count(Fate::survived), 0U);
  EXPECT_THAT(one.wrong_arguments, testing::IsEmpty());
  EXPECT_GT(one.count(Fate::killed), one.mutants.size() / 2);
  ASSERT_EQ(one.mutants.size(), two.mutants.size());
  for (std::size_t i = 0; i < one.mutants.size(); ++i) {
    EXPECT_EQ(one.mutants[i].fate, two.mutants[i].fate);
    EXPECT_EQ(one.mutants[i].signature, two.mutants[i].signature);
  }
}

/// The table's come first. (Those of its code take a minute: `framefold mutants` judges them.)
TEST(Mutants, TableBytesThatAreReadAreKilled) {
  const std::string name = "minios-x86_32-fixed";
  const std::vector<Mutant> planned = plan_mutants(*load_variant(name));
  const auto of_table = [](const Mutant& mutant) { return mutant.table; };
  const auto table = static_cast<std::size_t>(std::count_if(planned.begin(), planned.end(), of_table));
  ASSERT_TRUE(std::all_of(planned.begin(), planned.begin() + static_cast<std::ptrdiff_t>(table), of_table));
  const MutantReport report = judge(name, 1, table);
  EXPECT_EQ(report.original, ExploreVerdict::proved);
  EXPECT_EQ(report.count(Fate::unclear) + report.count(Fate::survived), 0U);
  EXPECT_THAT(report.wrong_arguments, testing::IsEmpty());
  const GuestAddress last = report.entry->region.end - 2;  // jump back: events are masked again, and none is delivered
  for (std::size_t i = 0; i < table; ++i) {
    const JudgedMutant& judged = report.mutants[i];
    EXPECT_EQ(judged.fate, judged.mutant.place == last ? Fate::same_states : Fate::killed)
        << judged.mutant.text << ": " << judged.mutant.fault;
  }
}

TEST(Mutants, NothingIsSaidOfThoseThatAreNotJudged) {
  const MutantReport report = judge("linux-x86_64-hypercall", 1, 0);
  EXPECT_EQ(report.count(Fate::not_judged), report.mutants.size());
}

}  // namespace
}  // namespace framefold::test
