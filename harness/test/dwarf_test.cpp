// Source lines from the debug information of the built entries, and from bytes that have none.
#include <gtest/gtest.h>

#include "dwarf/read_lines.hpp"
#include "test/entries.hpp"

namespace framefold {
namespace {

TEST(SourceLinesOfEntries, CoverTheTextOfEachWidth) {
  for (const BundledEntry& bundled : bundled_entries()) {
    const std::string name(bundled.name);
    const Entry& entry = test::bundled_entry(name);
    const SourceLines lines = read_source_lines(bundled.elf);
    ASSERT_FALSE(lines.rows.empty()) << name;
    const SourceLine first = lines.find(entry.event().address);
    ASSERT_NE(first.file, nullptr) << name;
    EXPECT_EQ(*first.file, "entry/" + name + "/" + name + ".S");
    EXPECT_GT(first.line, 1U);
    EXPECT_EQ(lines.find({0}).line, 0U);
    EXPECT_EQ(lines.find(entry.text.end + 4096).line, 0U);
  }
}

TEST(SourceLinesOfEntries, FollowTheAddress) {
  const Entry& entry = test::bundled_entry("minios-x86_64-table");
  for (const BundledEntry& bundled : bundled_entries()) {
    if (bundled.name == entry.name()) {
      const SourceLines lines = read_source_lines(bundled.elf);
      const unsigned scrit = lines.find(*parse_location(entry, "scrit")).line;
      EXPECT_EQ(lines.find(*parse_location(entry, "scrit+0x3")).line, scrit + 1);
      EXPECT_EQ(lines.find(*parse_location(entry, "scrit+0x1")).line, scrit);
    }
  }
}

TEST(SourceLinesOfEntries, AreNoneWhereNothingCanBeRead) {
  EXPECT_TRUE(read_source_lines({}).rows.empty());
  const std::vector<std::uint8_t> noise(1000, 0x7f);
  EXPECT_TRUE(read_source_lines(noise).rows.empty());
  const std::span<const std::uint8_t> whole = bundled_entries().front().elf;
  for (std::size_t size = 0; size < whole.size(); size += 97) {
    read_source_lines(whole.first(size));  // whatever it finds
  }
}

}  // namespace
}  // namespace framefold
