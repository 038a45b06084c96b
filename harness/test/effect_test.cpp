// What a part of a run leaves, and may be put in place at other states.
#include "run/effect.hpp"

#include <gtest/gtest.h>

#include "entries.hpp"

namespace framefold {
namespace {

using test::bundled_entry;

/// Whether it is seen that a word of data has become `value`.
bool is_kept(Guest& guest, GuestAddress data, std::uint64_t value) {
  Effect effect;
  const unsigned word = word_size(guest.entry().width());
  for (unsigned i = 0; i < word; ++i) {
    guest.apply({data + i, static_cast<std::uint8_t>(value >> (8 * i))});
  }
  guest.data_changes(effect.data);
  return keeps_stack_pointer(effect, guest);
}

TEST(StackPointerInData, IsNoneOfAnEffect) {
  const Entry& entry = bundled_entry("minios-x86_64-fixed");
  Guest guest(entry);
  ASSERT_TRUE(entry.nesting_count);
  const GuestAddress data = *entry.nesting_count;
  const GuestRange& stack = guest.stack_range(StackId::thread);
  EXPECT_TRUE(is_kept(guest, data, (stack.begin + 64).value));
  EXPECT_TRUE(is_kept(guest, data, stack.end.value));
  EXPECT_FALSE(is_kept(guest, data, stack.end.value + 0x100000));
  EXPECT_FALSE(is_kept(guest, data, 1));
}

}  // namespace
}  // namespace framefold
