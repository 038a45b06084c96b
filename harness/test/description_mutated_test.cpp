// Descriptions that are anything but what a person would write: each parses, or is refused in one line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "image/description.hpp"
#include "test/tiny_image.hpp"

namespace framefold {
namespace {

using test::tiny_description;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// One change to a text: a byte, a piece cut out, a piece doubled, or pieces of TOML put in.
void mutate(std::string& text, test::TinyRandom& random) {
  constexpr const char* kPieces[] = {"[[",
                                     "]]",
                                     "\"",
                                     "\"\"\"",
                                     "= ",
                                     "\n",
                                     "{",
                                     "}",
                                     "[vectors]",
                                     "-1",
                                     "9223372036854775807",
                                     "0x",
                                     "1979-05-27",
                                     "nan",
                                     "\\u0000",
                                     "\xc3",
                                     "a.b.c = 1\n",
                                     "[[known]]\n",
                                     "size",
                                     "true"};
  const std::size_t at = random.below(text.size());
  const std::size_t length = std::min<std::size_t>(random.below(24), text.size() - at);
  switch (random.below(4)) {
    case 0:
      text[at] = static_cast<char>(random.below(256));
      break;
    case 1:
      text.erase(at, length);
      break;
    case 2:
      text.insert(random.below(text.size()), text.substr(at, length));
      break;
    default:
      text.insert(at, kPieces[random.below(std::size(kPieces))]);
      break;
  }
}

TEST(Description, TenThousandMutatedOnesParseOrAreRefusedInOneLine) {
  test::TinyRandom random(1);
  unsigned good = 0;
  for (int i = 0; i < 10000; ++i) {
    std::string text = tiny_description(i % 2 == 0 ? Width::k64 : Width::k32);
    for (std::uint64_t changes = 1 + random.below(4); changes > 0 && !text.empty(); --changes) mutate(text, random);
    try {
      parse_description(text, "entry.toml");
      ++good;
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), AllOf(StartsWith("entry.toml:"), Not(HasSubstr("\n")))) << text;
    }
  }
  EXPECT_GT(good, 100U);
  EXPECT_LT(good, 9900U);
}

}  // namespace
}  // namespace framefold
