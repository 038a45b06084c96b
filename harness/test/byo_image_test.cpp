// What a description may name as `image`, and stacks that objects bring or do not bring.
#include <cstdlib>

#include "test/byo_fixture.hpp"

namespace framefold::test {
namespace {

TEST_F(ByoObject, WhatCannotBeLinkedIsSaid) {
  const Result missing = framefold(fmt::format("check '{}'", describe("padded64", "padded64.o nosuch.o")));
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.text, HasSubstr("nosuch.o"));
  fs::remove_all(home_ / "padded64.object");
  const Result twice = framefold(fmt::format("check '{}'", describe("padded64", "startup64.o startup64.o")));
  expect_message(twice, "twice");
  EXPECT_THAT(twice.text, HasSubstr("multiple definition"));
}

TEST_F(ByoObject, WithoutLdTheMessageSaysSo) {
  const std::string entry = describe("padded64", "padded64.o");
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", home_.c_str(), 1);
  const Result result = framefold(fmt::format("check '{}'", entry));
  ::setenv("PATH", path.c_str(), 1);
  expect_message(result, entry);
  EXPECT_THAT(result.text, HasSubstr("there is no `ld`"));
}

TEST_F(ByoObject, AnArchiveIsNoObject) {
  const std::string entry = describe("padded64", "lib.a");
  const std::string folder = fs::path(entry).parent_path().string();
  ASSERT_EQ(std::system(fmt::format("cd '{}' && ar rc lib.a padded64.o", folder).c_str()), 0);
  const Result result = framefold(fmt::format("check '{}'", entry));
  expect_message(result, "lib.a");
  EXPECT_THAT(result.text,
              HasSubstr("lib.a: expected the objects in it that hold entry code (`ar x` takes them out): it is "
                        "an archive"));
  const Result first = framefold(fmt::format("new '{}/lib.a'", folder));
  EXPECT_EQ(first.status, 2);
  EXPECT_THAT(first.text, HasSubstr("lib.a: expected the objects in it"));
}

TEST_F(ByoObject, ALocalNameThatTwoObjectsHaveIsToldApartByAnother) {
  const std::string entry = describe("padded64", "padded64.o other.o");
  const std::string folder = fs::path(entry).parent_path().string();
  const std::string other = ".text\nleave: nop\nevt_fold: nop\n";
  std::ofstream(folder + "/other.s") << other;
  ASSERT_EQ(std::system(fmt::format("cd '{}' && as -o other.o other.s", folder).c_str()), 0);
  const Result result = framefold(fmt::format("check '{}'", entry));
  expect_message(result, "leave");
  EXPECT_THAT(result.text, HasSubstr(" defines, once: leave is a local name that it has 2 times. `objcopy "
                                     "--redefine-sym leave=NEW` on one of its objects tells them apart"));
  ASSERT_EQ(
      std::system(
          fmt::format("cd '{}' && objcopy --redefine-sym leave=leave2 --redefine-sym evt_fold=fold2 other.o", folder)
              .c_str()),
      0);
  EXPECT_EQ(framefold(fmt::format("check '{}'", entry)).status, 0);
}

/// Between two ways in: both sides are the entry's code.
TEST_F(Byo, AHypercallPageInTheMiddleOfTheCodeIsTakenAsItIs) {
  const fs::path entry = copy("middle64");
  const Result result = framefold(fmt::format("explore '{}'", entry.string()));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr("middle64: proved"));
  EXPECT_THAT(result.text, HasSubstr("81 of 3 vectors"));
  const std::string first = (home_ / "first.toml").string();
  EXPECT_EQ(framefold(fmt::format("new -o '{}' '{}'", first, (entry.parent_path() / "middle64.elf").string())).status,
            0);
  EXPECT_THAT(read(first), testing::AllOf(HasSubstr("hypercall_page = \"hyper_page\""), HasSubstr("\"pf_entry\"")));
  const std::vector<std::string> lines = lines_of(read(entry));
  const auto end = std::find(lines.begin(), lines.end(), "end = \"win_hi\"");
  ASSERT_NE(end, lines.end());
  const Result across = check_with(entry, lines, static_cast<std::size_t>(end - lines.begin()), "end = \"fault\"");
  expect_message(across, "fault");
  EXPECT_THAT(across.text,
              HasSubstr(": region.end: expected fault on the side of the hypercall page that win_lo is on"));
}

/// Code that knows by RSP whether it is there needs no count; code that counts does.
TEST_F(ByoObject, AnInterruptStackThatRspTellsNeedsNoCount) {
  const auto with = [this](const char* object, const std::string& more) {
    fs::remove_all(home_ / "padded64.object");
    return replace(
        describe("padded64", object),
        {{"[stacks]\n",
          "[stacks]\ninterrupt = { symbol = \"irqs\", size = 0x4000, pointer = \"irq_stack_top\" }\n" + more}});
  };
  const std::string entry = with("stack_by_rsp64.o", "");
  const Result proved = framefold(fmt::format("explore '{}'", entry));
  EXPECT_EQ(proved.status, 0) << proved.text;
  EXPECT_THAT(proved.text, HasSubstr("padded64: proved"));
  const std::string first = (home_ / "entry.toml").string();
  EXPECT_EQ(
      framefold(fmt::format("new -o '{}' '{}/stack_by_rsp64.o'", first, fs::path(entry).parent_path().string())).status,
      0);
  EXPECT_THAT(read(first), HasSubstr("# No `nesting`: "));
  const Result check = framefold(fmt::format("check '{}'", first));
  EXPECT_EQ(check.status, 0) << check.text << read(first);
  const Result counts = framefold(fmt::format("check '{}'", with("irq_stack64.o", "")));
  expect_message(counts, "irq_stack64.o");
  EXPECT_THAT(counts.text, HasSubstr(": stacks.nesting: missing: expected the count with which the entry stays on the "
                                     "interrupt stack"));
}

}  // namespace
}  // namespace framefold::test
