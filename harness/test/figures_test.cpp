// What entries cost: measured figures against what is known of the code.
#include "report/figures.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "test/entries.hpp"

namespace framefold {
namespace {

EntryFigures figures_of(const std::string& name) {
  Oracle oracle(test::bundled_entry(name));
  return measure_entry(oracle);
}

class Figures : public testing::TestWithParam<std::string> {
 protected:
  const Entry& entry_ = test::bundled_entry(GetParam());
  EntryFigures figures_ = figures_of(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Entries, Figures, testing::ValuesIn(test::bundled_names()),
                         [](const testing::TestParamInfo<std::string>& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// What a fold is for: the stack that one more event needs is all that any number of them does.
TEST_P(Figures, OnlyAnEntryThatNestsNeedsMoreStackForEachEvent) {
  ASSERT_FALSE(figures_.upcalls.empty());
  for (const UpcallFigures& upcall : figures_.upcalls) {
    EXPECT_GT(upcall.stack[0], 0U);
    if (entry_.description.nests) {
      EXPECT_LT(upcall.stack[0], upcall.stack[1]) << upcall.context;
      EXPECT_EQ(upcall.stack[1] - upcall.stack[0], upcall.stack[2] - upcall.stack[1]) << upcall.context;
    } else {
      EXPECT_EQ(upcall.stack[1], upcall.stack[2]) << upcall.context;
    }
  }
}

TEST_P(Figures, EachContextIsMeasured) {
  std::vector<std::string_view> contexts;
  for (const UpcallFigures& upcall : figures_.upcalls) {
    contexts.push_back(upcall.context);
    EXPECT_GT(upcall.instructions, 20U) << upcall.context;
  }
  std::vector<std::string_view> expected = {"thread"};
  if (entry_.interrupt_stack) {
    expected.push_back("interrupt");
  }
  if (entry_.description.user_mode) {
    expected.push_back("user");
  }
  EXPECT_EQ(contexts, expected);
}

TEST(EntryFigures, StackOfAnUpcall) {
  // 15 bytes of padding where RSP is 15 mod 16, 168 of frame, the return address of the common path's call; on the
  // interrupt stack the frame's address and the handler's return address.
  EXPECT_EQ(figures_of("minios-x86_64-nesting").worst_stack(0), 15U + 168 + 8 + 16);
  // 52 bytes of frame, argument and return address; a frame from user mode is 8 bytes longer.
  const EntryFigures table = figures_of("minios-x86_32-table");
  EXPECT_EQ(table.upcalls.front().stack[0], 52U + 8);
  EXPECT_EQ(table.worst_stack(0), 60U + 8);
}

TEST(EntryFigures, SizesAreThoseOfTheSource) {
  const EntryFigures table = figures_of("minios-x86_64-table");
  EXPECT_EQ(table.region_bytes, 149U);
  EXPECT_EQ(table.table_bytes, 149U);
  EXPECT_EQ(figures_of("linux-x86_32-single").region_bytes, 16U);
}

struct PatchCost {
  std::string from;
  std::string to;
  int code;          // bytes
  int region;        // bytes
  int instructions;  // of an upcall that interrupts the kernel
};

/// What the READMEs of the entries that are put right say.
TEST(EntryFigures, WhatThePatchesCost) {
  for (const PatchCost& cost : {PatchCost{"minios-x86_64-single", "minios-x86_64-fixed", 27, -25, 5},
                                PatchCost{"minios-x86_32-table", "minios-x86_32-fixed", 7, 0, 2},
                                PatchCost{"xenlinux-x86_32-table", "xenlinux-x86_32-fixed", 7, 0, 2}}) {
    SCOPED_TRACE(cost.to);
    const EntryFigures from = figures_of(cost.from);
    const EntryFigures to = figures_of(cost.to);
    EXPECT_EQ(static_cast<int>(to.code_bytes) - static_cast<int>(from.code_bytes), cost.code);
    EXPECT_EQ(static_cast<int>(to.region_bytes) - static_cast<int>(from.region_bytes), cost.region);
    EXPECT_EQ(static_cast<int>(to.upcalls[0].instructions) - static_cast<int>(from.upcalls[0].instructions),
              cost.instructions);
  }
}

TEST(EntryFigures, FamilyFollowsFromTheDescription) {
  EXPECT_EQ(figures_of("minios-x86_64-nesting").family, "nests");
  EXPECT_EQ(figures_of("xenlinux-x86_32-fixed").family, "byte table");
  EXPECT_EQ(figures_of("linux-x86_32-2007").family, "single register");
  EXPECT_EQ(figures_of("linux-x86_64-hypercall").family, "iret hypercall");
}

}  // namespace
}  // namespace framefold
