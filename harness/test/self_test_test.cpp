// The self-test: silent on a sound engine, and each of its checks can fail.
#include "machine/self_test.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "machine/internal_error.hpp"
#include "machine/self_test_checks.hpp"

namespace framefold {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;
using ::testing::StartsWith;

class SelfTest : public ::testing::TestWithParam<Width> {
 protected:
  /// Runs one check by itself.
  std::optional<std::string> run(const SelfTestCheck& check) const {
    return first_self_test_difference(GetParam(), {&check, 1});
  }
  std::vector<SelfTestCheck> checks() const { return self_test_checks(GetParam()); }
  SelfTestCheck check_named(std::string_view name) const {
    const std::vector<SelfTestCheck> all = checks();
    const auto found =
        std::find_if(all.begin(), all.end(), [name](const SelfTestCheck& check) { return check.name == name; });
    EXPECT_NE(found, all.end()) << name;
    return found == all.end() ? SelfTestCheck{} : *found;
  }
};

INSTANTIATE_TEST_SUITE_P(Widths, SelfTest, ::testing::Values(Width::k64, Width::k32),
                         [](const auto& info) { return info.param == Width::k64 ? "k64" : "k32"; });

TEST_P(SelfTest, Passes) { EXPECT_NO_THROW(run_self_test(GetParam())); }

TEST_P(SelfTest, EachCheckPassesAlone) {
  for (const SelfTestCheck& check : checks()) {
    EXPECT_EQ(run(check), std::nullopt);
  }
}

TEST_P(SelfTest, PassesInAnyOrder) {
  std::vector<SelfTestCheck> reversed = checks();
  std::reverse(reversed.begin(), reversed.end());
  EXPECT_EQ(first_self_test_difference(GetParam(), reversed), std::nullopt);
}

TEST_P(SelfTest, NamesAreUniqueAndCodeFits) {
  std::vector<std::string_view> names;
  for (const SelfTestCheck& check : checks()) {
    names.push_back(check.name);
    EXPECT_LT(check.code.size(), kSelfTestCodeStride) << check.name;
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TEST_P(SelfTest, ThrowsAnErrorThatNamesTheCheckAndTheVersion) {
  std::vector<SelfTestCheck> altered = checks();
  altered[3].end.gprs.emplace_back(Gpr::rbp, 1);
  try {
    run_self_test(GetParam(), altered);
    FAIL() << "no difference seen";
  } catch (const InternalError& error) {
    EXPECT_THAT(error.what(), AllOf(StartsWith("self-test: " + std::string(altered[3].name) + ": "),
                                    HasSubstr("expected 0x1"), HasSubstr("Unicorn " + unicorn_version())));
  }
}

TEST_P(SelfTest, EachCheckSeesOtherCode) {
  for (SelfTestCheck check : checks()) {
    std::fill(check.code.begin(), check.code.end(), 0x90);  // nop
    EXPECT_NE(run(check), std::nullopt) << check.name;
  }
}

// The next three alter what is expected of one register, flag or selector a check, each in turn: an engine costs a
// millisecond or more, and all checks go through one comparison.

TEST_P(SelfTest, EachCheckComparesRegisters) {
  const auto value_of = [](const SelfTestState& state, Gpr gpr, std::uint64_t otherwise) {
    for (const auto& [named, value] : state.gprs) {
      otherwise = named == gpr ? value : otherwise;
    }
    return otherwise;
  };
  std::size_t i = 0;
  for (SelfTestCheck check : checks()) {
    const auto gpr = static_cast<Gpr>(i++ % gpr_count(GetParam()));
    const std::uint64_t start = value_of(check.start, gpr, self_test_start(GetParam())[gpr]);
    check.end.gprs.emplace_back(gpr, value_of(check.end, gpr, start) ^ 0x80);
    EXPECT_THAT(run(check), Optional(HasSubstr(std::string(name_of(gpr, GetParam())) + " is"))) << check.name;
  }
  EXPECT_GE(i, kGprCount);
}

TEST_P(SelfTest, EachCheckComparesFlags) {
  unsigned i = 0;
  for (SelfTestCheck check : checks()) {
    const std::uint64_t end = check.end.rflags.value_or(check.start.rflags.value_or(0x202));
    check.end.rflags = end ^ (std::uint64_t{1} << (i++ % 32));
    EXPECT_THAT(run(check), Optional(HasSubstr("rflags is"))) << check.name;
  }
  EXPECT_GE(i, 32U);
}

TEST_P(SelfTest, EachCheckComparesSelectors) {
  std::size_t i = 0;
  for (SelfTestCheck check : checks()) {
    const auto segment = static_cast<Segment>(i++ % kSegmentCount);
    check.end.segments.emplace_back(segment, std::uint16_t{0x1234});
    EXPECT_THAT(run(check), Optional(HasSubstr(std::string(name_of(segment)) + " is"))) << check.name;
  }
}

TEST_P(SelfTest, EachCheckSeesAHookCallTooManyOrTooFew) {
  for (const SelfTestCheck& check : checks()) {
    SelfTestCheck more = check;
    more.boundaries.insert(more.boundaries.begin(), check.boundaries.front());
    EXPECT_NE(run(more), std::nullopt) << check.name;
    SelfTestCheck fewer = check;
    fewer.boundaries.pop_back();
    fewer.boundaries.insert(fewer.boundaries.begin(), 63);
    EXPECT_NE(run(fewer), std::nullopt) << check.name;
  }
}

TEST_P(SelfTest, EachFaultIsComparedInAllItsParts) {
  unsigned faults = 0;
  for (const SelfTestCheck& check : checks()) {
    if (!check.fault) {
      continue;
    }
    ++faults;
    std::vector<SelfTestFault> others(4, *check.fault);
    others[0].kind = check.fault->kind == GuestFault::Kind::read ? GuestFault::Kind::write : GuestFault::Kind::read;
    others[1].vector ^= 1;
    others[2].address = others[2].address + 1;
    others[3].rip = std::uint8_t{63};
    for (const SelfTestFault& other : others) {
      SelfTestCheck altered = check;
      altered.fault = other;
      EXPECT_THAT(run(altered), Optional(HasSubstr("ended with"))) << check.name;
    }
    SelfTestCheck none = check;
    none.fault.reset();
    none.boundaries.push_back(63);
    EXPECT_THAT(run(none), Optional(HasSubstr("ended with"))) << check.name;
  }
  EXPECT_GE(faults, 10U);
}

TEST_P(SelfTest, AMissingFaultIsADifference) {
  SelfTestCheck check = check_named("one hook call an instruction");
  check.fault = SelfTestFault{.vector = 13, .rip = std::uint8_t{9}};
  EXPECT_THAT(run(check), Optional(HasSubstr("expected exception 13 at")));
}

TEST_P(SelfTest, MemoryIsCompared) {
  SelfTestCheck check = check_named("std, rep movs, cld");
  check.data_after[9] ^= 1;
  EXPECT_THAT(run(check), Optional(HasSubstr("memory is 01 02 03")));
}

TEST_P(SelfTest, WhatAHookReadsIsCompared) {
  SelfTestCheck flags = check_named("registers and flags read in mid block");
  flags.hooks.front().seen->rflags = 0x202;
  EXPECT_THAT(run(flags), Optional(HasSubstr("at the boundary 3: rflags is 0x246, expected 0x202")));
  SelfTestCheck gpr = check_named("a register read in mid block");
  gpr.hooks.front().seen->gprs = {{Gpr::rax, 8}};
  EXPECT_THAT(run(gpr), Optional(HasSubstr("expected 0x8")));
}

TEST_P(SelfTest, WhatAHookDoesCounts) {
  SelfTestCheck redirect = check_named("redirecting RIP in mid block");
  redirect.hooks.clear();
  EXPECT_NE(run(redirect), std::nullopt);
  SelfTestCheck rflags = check_named("flags written before a jump that they cause");
  rflags.hooks.front().write_rflags.reset();
  EXPECT_NE(run(rflags), std::nullopt);
  SelfTestCheck gpr = check_named("a register written in mid block");
  gpr.hooks.clear();
  EXPECT_NE(run(gpr), std::nullopt);
}

}  // namespace
}  // namespace framefold
