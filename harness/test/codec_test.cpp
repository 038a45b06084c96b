#include "scenario/codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include "counting_new.hpp"
#include "scenario_fixture.hpp"

namespace framefold {
namespace {

using test::all_entries;
using test::any_canonical;
using test::plain_scenario;

constexpr std::size_t kLongestInput = 600;

/// One buffer a length, of exactly that length, so that AddressSanitizer sees a read behind the end.
class Inputs {
 public:
  Inputs() {
    for (std::size_t size = 0; size <= kLongestInput; ++size) buffers_.emplace_back(size);
  }
  const std::vector<std::uint8_t>& any(Random& random) {
    std::vector<std::uint8_t>& buffer = buffers_[random.below(buffers_.size())];
    for (std::uint8_t& byte : buffer) {
      if (bits_ == 0) bits_ = random.next() | std::uint64_t{1} << 63;
      byte = static_cast<std::uint8_t>(bits_);
      bits_ >>= 8;
    }
    return buffer;
  }

 private:
  std::vector<std::vector<std::uint8_t>> buffers_;
  std::uint64_t bits_ = 0;
};

std::uint8_t offset_of(std::string_view name) {
  for (const auto& field : codec_header_fields()) {
    if (field.name == name) return field.offset;
  }
  ADD_FAILURE() << "no field " << name;
  return 0;
}

Scenario decode_bytes(const std::vector<std::uint8_t>& bytes, const Entry& entry) { return decode(bytes, entry); }

TEST(Decode, IsTotalAndCanonicalAndEncodingIsAFixedPoint) {
  Random random(1);
  Inputs inputs;
  for (int i = 0; i < 1'000'000; ++i) {
    const Entry& entry = all_entries()[static_cast<std::size_t>(i) % all_entries().size()];
    const Scenario scenario = decode(inputs.any(random), entry);
    Scenario canonical = scenario;
    canonicalise(canonical, entry);
    ASSERT_EQ(scenario, canonical) << entry.name();
    const Encoded once = encode(scenario, entry);
    const Scenario again = decode(once.view(), entry);
    ASSERT_EQ(again, scenario) << entry.name();
    const Encoded twice = encode(again, entry);
    ASSERT_TRUE(std::equal(once.view().begin(), once.view().end(), twice.view().begin(), twice.view().end()));
  }
}

TEST(Encode, LosesNothingOfAnyCanonicalScenario) {
  Random random(2);
  for (const Entry& entry : all_entries()) {
    for (int i = 0; i < 100'000; ++i) {
      const Scenario scenario = any_canonical(random, entry);
      ASSERT_EQ(decode(encode(scenario, entry).view(), entry), scenario) << entry.name();
    }
  }
}

TEST(Decode, AndEncodeDoNotAllocate) {
  Random random(3);
  Inputs inputs;
  const std::vector<std::uint8_t>& bytes = inputs.any(random);
  for (const Entry& entry : all_entries()) {
    const std::size_t before = test::allocations;
    const Scenario scenario = decode(bytes, entry);
    const Encoded encoded = encode(scenario, entry);
    EXPECT_EQ(test::allocations, before);
    EXPECT_NE(encoded.size, 0U);
  }
  EXPECT_TRUE(test::counts_allocations());
}

TEST(Decode, OfNothingIsAPlainEvent) {
  for (const Entry& entry : all_entries()) {
    EXPECT_EQ(decode({}, entry), plain_scenario(entry));
    const Encoded encoded = encode(plain_scenario(entry), entry);
    EXPECT_EQ(encoded.size, kHeaderSize);
  }
}

TEST(Decode, ReadsAnUnknownVersionAsTheKnownOne) {
  const Entry entry = test::kernel_entry();
  for (unsigned version = 0; version < 256; ++version) {
    EXPECT_EQ(decode_bytes({static_cast<std::uint8_t>(version), 2}, entry).context.vector, 2);
  }
  EXPECT_EQ(encode(plain_scenario(entry), entry).bytes[0], kCodecVersion);
}

TEST(Decode, OfHalfARandomInputReachesEachChoice) {
  // What a fuzzer without our mutator depends on: no choice is rare under random bytes.
  const Entry entry = test::user32_entry();
  Random random(4);
  Inputs inputs;
  int user = 0;
  int in_region = 0;
  int open_exception = 0;
  int masked_exception = 0;
  int near = 0;
  int arrivals = 0;
  constexpr int kInputs = 20'000;
  for (int i = 0; i < kInputs; ++i) {
    const Scenario s = decode(inputs.any(random), entry);
    user += s.context.mode == GuestMode::user ? 1 : 0;
    in_region += s.context.place == ContextPlace::region ? 1 : 0;
    open_exception += s.context.vector != 0 && s.context.mask == 0 ? 1 : 0;
    masked_exception += s.context.vector != 0 && s.context.mask != 0 ? 1 : 0;
    arrivals += s.arrival_count;
    for (std::size_t a = 0; a < s.arrival_count; ++a) near += s.arrivals[a].distance <= 0xff ? 1 : 0;
  }
  EXPECT_GT(user, kInputs * 4 / 10);
  EXPECT_GT(in_region, kInputs * 2 / 10);
  EXPECT_GT(open_exception, kInputs * 3 / 10);
  EXPECT_GT(masked_exception, kInputs * 3 / 10);
  EXPECT_GT(near, arrivals * 98 / 100);
}

TEST(Decode, CountsTheHighByteOfADistanceOnlyWhenItIsFar) {
  const Entry entry = test::least_entry();
  std::vector<std::uint8_t> bytes(kHeaderSize + kArrivalSize);
  bytes[offset_of("arrival_count")] = 1;
  bytes[kHeaderSize + 1] = 0x34;
  bytes[kHeaderSize + 2] = 0x12;
  bytes[kHeaderSize + 3] = 0xfe;
  EXPECT_EQ(decode(bytes, entry).arrivals[0].distance, 0x34);
  bytes[kHeaderSize + 3] = 0xff;
  EXPECT_EQ(decode(bytes, entry).arrivals[0].distance, 0x1234);
}

/// Before there were others, all ticks were plain: `number` was 0 and `pending` 1 in their encodings.
TEST(Decode, TakesATickForASpuriousOneOnlyWhereItsNumberSaysSo) {
  constexpr std::size_t kNumber = kHeaderSize + 4;
  Entry entry = test::least_entry();
  entry.description.pending_values = {1, 0x80};
  std::vector<std::uint8_t> bytes(kHeaderSize + kArrivalSize);
  bytes[offset_of("version")] = kCodecVersion;
  bytes[offset_of("arrival_count")] = 1;
  bytes[kHeaderSize] = static_cast<std::uint8_t>(ArrivalKind::tick);
  for (const std::uint8_t pending : {0, 1, 0x80}) {
    bytes[kNumber + 1] = pending;
    bytes[kNumber] = 0;
    const Scenario plain = decode(bytes, entry);
    EXPECT_FALSE(plain.arrivals[0].spurious);
    EXPECT_EQ(encode(plain, entry).bytes[kNumber], 0);
    EXPECT_EQ(encode(plain, entry).bytes[kNumber + 1], 1);
    for (unsigned number = 1; number < 0xff; ++number) {
      bytes[kNumber] = static_cast<std::uint8_t>(number);
      EXPECT_EQ(decode(bytes, entry), plain);
    }
    bytes[kNumber] = 0xff;
    const Scenario spurious = decode(bytes, entry);
    EXPECT_TRUE(spurious.arrivals[0].spurious);
    EXPECT_EQ(spurious.arrivals[0].pending_value, pending == 0x80 ? 0x80 : 1);
    EXPECT_EQ(decode(encode(spurious, entry).view(), entry), spurious);
  }
}

TEST(Encode, WritesTheLayoutThatTheTablesTell) {
  const Entry entry = test::kernel_entry();
  Scenario s = plain_scenario(entry);
  s.context.vector = 2;
  s.context.error_code = 0x1234;
  s.context.stack = ContextStack::interrupt;
  s.context.mask = 0x81;
  s.context.rflags = 0x200401;
  s.context.gpr[static_cast<std::size_t>(Gpr::rdx)] ^= 0xab;
  s.frame_write = {true, false, 0x1122334455667788, 0};
  s.event_actions[1].nested_event = true;
  s.arrival_count = 1;
  s.arrivals[0] = {ArrivalKind::event, 0x1ff, 5, 1, 0, false, 0};
  canonicalise(s, entry);
  const std::vector<std::uint8_t> expected = {
      1,    2,    0,    1,    0,    0,    0,    0,  // version, vector, mode, stack, place, stack offset, place offset
      0x81, 1,    0,    0,    0x23, 0,    0x34, 0x12,  // mask, pending, port, masked port, options, RIP, error code
      0x01, 0x04, 0x20, 0,    1,    0,    0,    1,     // rflags, four actions, one arrival
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,  // RAX that the handler writes
      0,    0xff, 1,    0xff, 5,    1,    0,    0,     // event, distance, far, port, pending, error code
      0,    0,    0,    0,    0,    0,    0,    0,     // rax
      0,    0,    0,    0,    0,    0,    0,    0,     // rcx
      0xab, 0,    0,    0,    0,    0,    0,    0,     // rdx: the last that is not its tag
  };
  const Encoded encoded = encode(s, entry);
  EXPECT_THAT(std::vector<std::uint8_t>(encoded.view().begin(), encoded.view().end()),
              testing::ElementsAreArray(expected));
  EXPECT_EQ(decode(expected, entry), s);
}

TEST(Encode, StaysBelowTheGreatestSize) {
  Random random(5);
  std::size_t longest = 0;
  for (int i = 0; i < 20'000; ++i) {
    Scenario s = test::any_scenario(random);
    s.arrival_count = kMaxArrivals;
    canonicalise(s, test::all_entries()[0]);
    longest = std::max(longest, encode(s, test::all_entries()[0]).size);
  }
  EXPECT_EQ(longest, kHeaderSize + kMaxArrivals * kArrivalSize + (kGprCount - 1) * kRegisterSize);
  EXPECT_LE(longest, kMaxEncodedSize);
}

template <typename Part>
void expect_gapless(std::span<const CodecField<Part>> fields, std::size_t size) {
  std::size_t offset = 0;
  std::set<std::string_view> names;
  for (const CodecField<Part>& field : fields) {
    EXPECT_EQ(field.offset, offset) << field.name;
    EXPECT_TRUE(names.insert(field.name).second) << field.name;
    EXPECT_FALSE(field.help.empty()) << field.name;
    offset += field.size;
  }
  EXPECT_EQ(offset, size);
}

TEST(CodecFields, LeaveNoGap) {
  expect_gapless(codec_header_fields(), kHeaderSize);
  expect_gapless(codec_arrival_fields(), kArrivalSize);
}

TEST(CodecFields, EachMattersToSomeScenario) {
  // Setting the field's bytes changes what an input means, for at least one input of many.
  Random random(6);
  for (const auto& field : codec_header_fields()) {
    if (field.name == "version") continue;
    int changed = 0;
    for (int i = 0; i < 4'000; ++i) {
      const Entry& entry = all_entries()[static_cast<std::size_t>(i) % all_entries().size()];
      Encoded encoded = encode(any_canonical(random, entry), entry);
      const Scenario before = decode(encoded.view(), entry);
      encoded.bytes[field.offset] = static_cast<std::uint8_t>(random.next());
      changed += decode(encoded.view(), entry) == before ? 0 : 1;
    }
    EXPECT_GT(changed, 0) << field.name;
  }
}

}  // namespace
}  // namespace framefold
