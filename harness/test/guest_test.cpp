// Reset gives back every byte, whatever a run did, though it copies only what the run can have touched.
#include "run/guest.hpp"

#include <gtest/gtest.h>

#include "entries.hpp"
#include "run/oracle.hpp"
#include "scenario/codec.hpp"
#include "scenario/mutator.hpp"

namespace framefold {
namespace {

using test::bundled_entry;
using test::bundled_names;

/// Every byte of guest memory that the guest may write.
std::vector<std::uint8_t> writable_memory(const GuestMemory& memory) {
  std::vector<std::uint8_t> all;
  for (const MemoryRegion& region : memory.regions()) {
    if (region.access == Access::read_write) {
      all.insert(all.end(), region.host, region.host + region.range.size());
    }
  }
  return all;
}

Scenario random_scenario(const Entry& entry, Random& random) {
  Scenario scenario = decode({}, entry);
  for (std::uint64_t i = 0; i < 3 + random.below(12); ++i) {
    mutate(scenario, entry, random);
  }
  // The nesting count is part of the first state and follows the stack: keep that one out of the comparison.
  scenario.context.mode = GuestMode::kernel;
  scenario.context.stack = ContextStack::thread;
  canonicalise(scenario, entry);
  return scenario;
}

class GuestReset : public testing::TestWithParam<std::string> {};

TEST_P(GuestReset, GivesBackEveryByteAfterAnyRun) {
  const Entry& entry = bundled_entry(GetParam());
  Oracle oracle(entry);
  Guest& guest = oracle.execution().guest();
  oracle.judge(decode({}, entry));
  guest.reset();
  const std::vector<std::uint8_t> first = writable_memory(guest.memory());
  Random random(42);
  for (int i = 0; i < 300; ++i) {
    const Scenario scenario = random_scenario(entry, random);
    oracle.judge(scenario);
    guest.reset();
    ASSERT_EQ(writable_memory(guest.memory()), first) << "scenario " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Entries, GuestReset, testing::ValuesIn(bundled_names()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Guest, NoticesAByteThatChanged) {
  const Entry& entry = bundled_entry("minios-x86_64-table");
  Guest guest(entry);
  guest.reset();
  const GuestRange stack = guest.stack_range(StackId::thread);
  EXPECT_EQ(guest.first_change(StackId::thread, stack.begin), std::nullopt);
  const GuestAddress changed = stack.end - 17;
  guest.memory().find(changed, 1)[0] ^= 0xff;
  EXPECT_EQ(guest.first_change(StackId::thread, stack.begin), changed);
  EXPECT_EQ(guest.first_change(StackId::thread, changed + 1), std::nullopt);
}

TEST(Guest, NoticesDataOnlyWhereAStoreWasNoted) {
  const Entry& entry = bundled_entry("minios-x86_64-table");
  Guest guest(entry);
  guest.reset();
  EXPECT_EQ(guest.first_data_change(), std::nullopt);
  const GuestAddress count = *entry.nesting_count;
  guest.memory().find(count, 4)[0] ^= 1;
  guest.note_store(count, 4);
  EXPECT_EQ(guest.first_data_change(), count);
  guest.reset();
  EXPECT_EQ(guest.first_data_change(), std::nullopt);
}

TEST(Guest, KillsOnlyBelowTheStackPointer) {
  const Entry& entry = bundled_entry("minios-x86_64-table");
  Guest guest(entry);
  guest.reset();
  const GuestAddress top = guest.stack_range(StackId::thread).end - 512;
  guest.kill_stack_below(top, 64);
  EXPECT_EQ(guest.first_change(StackId::thread, top), std::nullopt);
  EXPECT_EQ(guest.first_change(StackId::thread, top - 100), top - 64);
  EXPECT_EQ(guest.memory().find(top - 1, 1)[0], kDeadStackByte);
}

TEST(Guest, HypercallPageHasTheBytesOfItsWidth) {
  const Guest wide(bundled_entry("minios-x86_64-table"));
  ASSERT_EQ(wide.stub().size(), 5U);
  EXPECT_EQ(wide.stub()[4].text, "syscall");
  EXPECT_TRUE(has(wide.stub()[4].flags, InstructionFlag::traps));
  const Guest narrow(bundled_entry("minios-x86_32-table"));
  ASSERT_EQ(narrow.stub().size(), 3U);
  EXPECT_TRUE(has(narrow.stub()[2].flags, InstructionFlag::traps));
}

}  // namespace
}  // namespace framefold
