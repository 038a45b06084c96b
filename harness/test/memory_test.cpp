// Guest memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "machine/guest_memory.hpp"
#include "machine/internal_error.hpp"

namespace framefold {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

TEST(Memory, MapsWholeZeroedPages) {
  GuestMemory memory;
  std::uint8_t* host = memory.map({0x1ff0}, 0x20, Access::read_write);
  ASSERT_EQ(memory.regions().size(), 1U);
  const MemoryRegion& region = memory.regions().front();
  EXPECT_EQ(region.range.begin.value, 0x1000U);
  EXPECT_EQ(region.range.end.value, 0x3000U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.host) % GuestMemory::kPageSize, 0U);
  EXPECT_EQ(host, region.host + 0xff0);
  EXPECT_THAT(std::vector<std::uint8_t>(region.host, region.host + 0x2000), Each(0));
}

TEST(Memory, RefusesOverlaps) {
  GuestMemory memory;
  memory.map({0x2000}, 0x2000, Access::read_write);
  const auto message = ThrowsMessage<InternalError>(HasSubstr("overlaps 0x2000..0x4000"));
  EXPECT_THAT([&] { memory.map({0x2000}, 0x2000, Access::read_only); }, message);
  EXPECT_THAT([&] { memory.map({0x1000}, 0x1001, Access::read_only); }, message);  // by one byte, below
  EXPECT_THAT([&] { memory.map({0x3fff}, 1, Access::read_only); }, message);       // by one byte, above
  EXPECT_THAT([&] { memory.map({0x1000}, 0x9000, Access::read_only); }, message);  // around it
  EXPECT_EQ(memory.regions().size(), 1U);
  EXPECT_NO_THROW(memory.map({0x1000}, 0x1000, Access::read_only));
  EXPECT_NO_THROW(memory.map({0x4000}, 1, Access::read_only));
}

TEST(Memory, RefusesWhatIsNoRegion) {
  GuestMemory memory;
  const auto message = ThrowsMessage<InternalError>(HasSubstr("no region"));
  EXPECT_THAT([&] { memory.map({0x1000}, 0, Access::read_write); }, message);
  EXPECT_THAT([&] { memory.map({0xfffffffffffff000}, 0x1000, Access::read_write); }, message);
  EXPECT_THAT([&] { memory.map({0xfffffffffffff000}, 0x3000, Access::read_write); }, message);
  EXPECT_THAT([&] { memory.map({0x1000}, ~std::uint64_t{0}, Access::read_write); }, message);
  EXPECT_THAT(memory.regions(), IsEmpty());
  EXPECT_NO_THROW(memory.map({0xffffffffffffe000}, 0x1000, Access::read_write));
}

class Find : public ::testing::Test {
 protected:
  Find() {
    writable_ = memory_.map({0x1000}, 0x1000, Access::read_write);
    read_only_ = memory_.map({0x2000}, 0x1000, Access::read_only);
    text_ = memory_.map({0x8000}, 0x1000, Access::read_execute);
  }
  GuestMemory memory_;
  std::uint8_t* writable_ = nullptr;
  std::uint8_t* read_only_ = nullptr;
  std::uint8_t* text_ = nullptr;
};

TEST_F(Find, CoversExactlyTheRegion) {
  EXPECT_EQ(memory_.find({0x1000}, 0x1000), writable_);
  EXPECT_EQ(memory_.find({0x1fff}, 1), writable_ + 0xfff);
  EXPECT_EQ(memory_.find({0x1ff8}, 8), writable_ + 0xff8);
  EXPECT_EQ(memory_.find({0x1000}, 0x1001), nullptr);
  EXPECT_EQ(memory_.find({0x0fff}, 1), nullptr);
  EXPECT_EQ(memory_.find({0x0fff}, 8), nullptr);
  EXPECT_EQ(memory_.find({0x3000}, 1), nullptr);
  EXPECT_EQ(memory_.find({0x8fff}, 2), nullptr);
}

TEST_F(Find, DoesNotReachIntoTheNextRegion) { EXPECT_EQ(memory_.find({0x1ffc}, 8), nullptr); }

TEST_F(Find, IsNotFooledByWrapping) {
  EXPECT_EQ(memory_.find({0xfffffffffffffff8}, 0x1010), nullptr);
  EXPECT_EQ(memory_.find({0x1ff8}, 0xfffffffffffffff8), nullptr);
  EXPECT_EQ(memory_.find({0x1000}, ~std::uint64_t{0}), nullptr);
  EXPECT_EQ(memory_.find({~std::uint64_t{0}}, 2), nullptr);
}

TEST_F(Find, WritableIsOnlyWhatTheGuestMayWrite) {
  EXPECT_EQ(memory_.find_writable({0x1010}, 8), writable_ + 0x10);
  EXPECT_EQ(memory_.find_writable({0x2000}, 8), nullptr);
  EXPECT_EQ(memory_.find_writable({0x8000}, 8), nullptr);
  EXPECT_EQ(memory_.find_writable({0x1ffc}, 8), nullptr);
  EXPECT_EQ(memory_.find_writable({0x0ffc}, 8), nullptr);
  EXPECT_EQ(memory_.find({0x2000}, 8), read_only_);
  EXPECT_EQ(memory_.find({0x8000}, 8), text_);
}

TEST(Words, AreLittleEndianAndOfAnySize) {
  std::uint8_t bytes[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_EQ(load_word(bytes, 1), 0x01U);
  EXPECT_EQ(load_word(bytes, 4), 0x04030201U);
  EXPECT_EQ(load_word(bytes + 1, 8), 0x0908070605040302U);
  store_word(bytes, 0xaabbccddeeff, 2);
  EXPECT_THAT(bytes, ElementsAre(0xff, 0xee, 3, 4, 5, 6, 7, 8, 9));
}

}  // namespace
}  // namespace framefold
