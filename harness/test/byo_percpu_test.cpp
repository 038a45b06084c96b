// Per-CPU data of an entry of one's own, by description.
#include "test/byo_fixture.hpp"

namespace framefold::test {
namespace {

/// Per-CPU data and a vcpu_info that is one of several: by %fs and a number on 64-bit, by a segment of the guest's own,
/// with another distance, on 32-bit.
class ByoPerCpu : public ByoObject {
 protected:
  std::string with64(const std::string& base, const std::string& info) {
    const std::string entry = describe("padded64", "percpu64.o");
    return replace(entry, {{"hypercall_page = ", base + "\nhypercall_page = "}, {"pointer = \"vcpu_ptr\"", info}});
  }
  std::string with32(const std::string& segment, const std::string& info) {
    const std::string entry = describe("trapframe32", "percpu32.o");
    return replace(entry, {{"[vcpu_info]\n", segment + "[vcpu_info]\n"}, {"symbol = \"vcpu_area\"", info}});
  }
};

TEST_F(ByoPerCpu, OfSeveralVcpusIsProvedByDescription) {
  const std::string wide = with64("fs_base = \"cpu_area\"", "pointer = \"vcpu_ptr\"\nindex = 5");
  const Result result = framefold(fmt::format("explore '{}'", wide));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr("padded64: proved"));
  const std::string narrow =
      with32("[[segments]]\nselector = 0xd9\nbase = \"cpu_area\"\n", "symbol = \"vcpu_area\"\nindex = 2\nstride = 128");
  const Result other = framefold(fmt::format("explore '{}'", narrow));
  EXPECT_EQ(other.status, 0) << other.text;
  EXPECT_THAT(other.text, HasSubstr("trapframe32: proved"));
}

/// Its descriptor is the kernel's all the same: Xen sees to it. `new` finds it as well.
TEST_F(ByoPerCpu, OfASelectorWithRplZeroIsProvedByDescription) {
  const std::string entry =
      replace(describe("trapframe32", "percpu_rpl0_32.o"),
              {{"[vcpu_info]\n", "[[segments]]\nselector = 0xd8\nbase = \"cpu_area\"\n[vcpu_info]\n"},
               {"symbol = \"vcpu_area\"", "symbol = \"vcpu_area\"\nindex = 2\nstride = 128"}});
  const Result result = framefold(fmt::format("explore '{}'", entry));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr("trapframe32: proved"));
  const fs::path object = fs::path(entry).parent_path() / "percpu_rpl0_32.o";
  const Result first =
      framefold(fmt::format("new --callback upcall -o '{}' '{}'", (home_ / "f.toml").string(), object.string()));
  EXPECT_THAT(read(home_ / "f.toml"), HasSubstr("selector = 0xd8"));
  EXPECT_THAT(read(home_ / "f.toml"), HasSubstr("base = \"cpu_area\"")) << first.text;
}

/// Data may be a member of a structure, which has no name of its own.
TEST_F(ByoPerCpu, BehindASymbolIsProvedByDescription) {
  const std::string segment = "[[segments]]\nselector = 0xd9\nbase = \"cpu_area\"\n";
  const Result result = framefold(fmt::format("explore '{}'", with32(segment, "symbol = \"vcpu_area+0x100\"")));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr("trapframe32: proved"));
  for (const auto& [place, key] : {std::pair{"vcpu_area+0x80", ": vcpu_info.symbol: expected vcpu_area+0x100, or "},
                                   std::pair{"vcpu_area+", ": vcpu_info.symbol: expected the name of a symbol, or one"},
                                   std::pair{"vcpus+8", ": vcpu_info.symbol: expected a symbol that "}}) {
    fs::remove_all(home_ / "trapframe32.object");
    const Result wrong = framefold(fmt::format("check '{}'", with32(segment, fmt::format("symbol = \"{}\"", place))));
    expect_message(wrong, place);
    EXPECT_THAT(wrong.text, HasSubstr(key));
  }
}

TEST_F(ByoPerCpu, WithoutTheBaseItsLineIsNamed) {
  const Result wide = framefold(fmt::format("check '{}'", with64("", "pointer = \"vcpu_ptr\"\nindex = 5")));
  expect_message(wide, "fs_base");
  EXPECT_THAT(wide.text, HasSubstr(": fs_base: expected the per-CPU data of the entry"));
  const Result narrow =
      framefold(fmt::format("check '{}'", with32("", "symbol = \"vcpu_area\"\nindex = 2\nstride = 128")));
  expect_message(narrow, "segments");
  EXPECT_THAT(narrow.text, HasSubstr(": segments: expected the segment that the entry loads"));
}

/// Entry code reaches another object's per-CPU data by offsets alone.
TEST_F(ByoPerCpu, ThatNoObjectNamesIsMadeByARowOfData) {
  const std::string entry = with64("fs_base = \"area\"", "pointer = \"vcpu_ptr\"");
  const Result missing = framefold(fmt::format("check '{}'", entry));
  expect_message(missing, "area");
  EXPECT_THAT(missing.text, HasSubstr(": fs_base: expected a symbol that "));
  std::ofstream(entry, std::ios::app) << "[[data]]\nsymbol = \"area\"\nsize = 64\n";
  const Result made = framefold(fmt::format("check '{}'", entry));
  EXPECT_EQ(made.status, 0) << made.text;
}

TEST_F(ByoPerCpu, AnotherVcpusInfoIsNamed) {
  for (const char* info : {"pointer = \"vcpu_ptr\"", "pointer = \"vcpu_ptr\"\nindex = 4"}) {
    const Result result = framefold(fmt::format("check '{}'", with64("fs_base = \"cpu_area\"", info)));
    expect_message(result, info);
    EXPECT_THAT(result.text, HasSubstr(": vcpu_info."));
    fs::remove_all(home_ / "padded64.object");
  }
  const Result stride =
      framefold(fmt::format("check '{}'", with32("[[segments]]\nselector = 0xd9\nbase = \"cpu_area\"\n",
                                                 "symbol = \"vcpu_area\"\nindex = 2")));
  expect_message(stride, "stride");
}

/// The pointer is a member of the per-CPU data: with one of the two off by a word, either line may be the wrong one.
TEST_F(ByoPerCpu, APointerBesideTheOneInItIsNamedBeforeTheBase) {
  const auto with = [this](const char* base, const char* pointer) {
    fs::remove_all(home_ / "padded64.object");
    const std::string entry = replace(describe("padded64", "gs_vcpu64.o"),
                                      {{"hypercall_page = ", fmt::format("gs_base = \"{}\"\nhypercall_page = ", base)},
                                       {"\"vcpu_ptr\"", fmt::format("\"{}\"", pointer)}});
    return framefold(fmt::format("check '{}'", entry));
  };
  EXPECT_EQ(with("cpu_area", "cpu_area+16").status, 0);
  for (const auto& [base, pointer, says] :
       {std::tuple{"cpu_area", "cpu_area+24", "a pointer is null, that at cpu_vcpu; "},
        std::tuple{"cpu_area", "cpu_area+20",
                   "expected cpu_vcpu, where the entry loads what it reads the event bytes "},
        std::tuple{"cpu_number", "cpu_area+16", "expected cpu_rest, where the entry loads what it reads the event "}}) {
    const Result result = with(base, pointer);
    expect_message(result, pointer);
    EXPECT_THAT(result.text, testing::AllOf(HasSubstr(": vcpu_info.pointer: expected "), HasSubstr(says)));
  }
  EXPECT_THAT(with("cpu_area", "cpu_area+24").text, HasSubstr("; or gs_base = cpu_number (where "));
  EXPECT_THAT(with("cpu_number", "cpu_area+16").text, HasSubstr("; or gs_base = cpu_area (where "));
}

/// Xen swaps GS alone: FS is the user's until the code loads it, which no instruction of a PV guest's ring does with a
/// base. Code that goes through it is wrong; code that does not is right whatever the base.
TEST_F(ByoPerCpu, OfFsIsNotThereFromUserMode) {
  const auto with_user = [this](const char* object, const char* base) {
    fs::remove_all(home_ / "padded64.object");
    return replace(describe("padded64", object),
                   {{"modes = [\"kernel\"]", fmt::format("modes = [\"kernel\", \"user\"]\nfs_base = \"{}\"", base)},
                    {"[stacks]\n", "[stacks]\nkernel = { symbol = \"kernel_stack\", size = 0x4000 }\n"}});
  };
  const std::string early =
      replace(with_user("fs_early64.o", "cpu_area"), {{"pointer = \"vcpu_ptr\"", "pointer = \"vcpu_ptr\"\nindex = 5"}});
  const Result check = framefold(fmt::format("check '{}'", early));
  expect_message(check, "modes");
  EXPECT_THAT(check.text, HasSubstr(": modes: expected only \"kernel\", or code that does not go through fs while user "
                                    "code's is there, which Xen leaves (it swaps GS alone): upcall, user stops at "
                                    "evt_handle "));
  const Result explore = framefold(fmt::format("explore --no-second-values '{}'", early));
  EXPECT_EQ(explore.status, 1) << explore.text;
  EXPECT_THAT(explore.text, HasSubstr(":guest-fault:evt_handle"));
  const Result without = framefold(fmt::format("explore --no-second-values '{}'", with_user("users64.o", "vcpu_ptr")));
  EXPECT_EQ(without.status, 0) << without.text;
  EXPECT_THAT(without.text, HasSubstr(": proved"));
}

/// On 32-bit the base is that of the segment which FS holds in the kernel, and `new` says so.
TEST_F(ByoPerCpu, OfASegmentThatNobodyLoadsIsProvedByDescription) {
  const std::string modes = "modes = [\"kernel\", \"user\"]";
  const std::string kernel = "kernel = { symbol = \"trap_stack\", size = 0x4000 }\n";
  const auto with = [&](const std::string& instead, const std::string& stack) {
    fs::remove_all(home_ / "trapframe32.object");
    return replace(describe("trapframe32", "fs_kept32.o"),
                   {{modes, instead},
                    {kernel, stack},
                    {"symbol = \"vcpu_area\"", "symbol = \"vcpu_area\"\nindex = 2\nstride = 128"}});
  };
  const Result without = framefold(fmt::format("check '{}'", with("modes = [\"kernel\"]", "")));
  expect_message(without, "fs_base");
  EXPECT_THAT(without.text, HasSubstr(": fs_base: expected the per-CPU data of the entry: upcall, kernel on thread"));
  const std::string entry = with("modes = [\"kernel\"]\nfs_base = \"cpu_area\"", "");
  const Result proved = framefold(fmt::format("explore '{}'", entry));
  EXPECT_EQ(proved.status, 0) << proved.text;
  EXPECT_THAT(proved.text, HasSubstr("trapframe32: proved"));
  const fs::path object = fs::path(entry).parent_path() / "fs_kept32.o";
  const std::string first = (home_ / "entry.toml").string();
  EXPECT_EQ(framefold(fmt::format("new --callback upcall -o '{}' '{}'", first, object.string())).status, 0);
  EXPECT_THAT(read(first), HasSubstr("\nfs_base = \"cpu_area\""));
  const Result check = framefold(fmt::format("check '{}'", first));
  EXPECT_EQ(check.status, 0) << check.text << read(first);
  // User code has a segment of its own there.
  const Result user = framefold(fmt::format("check '{}'", with(modes + "\nfs_base = \"cpu_area\"", kernel)));
  expect_message(user, "modes");
  EXPECT_THAT(user.text,
              HasSubstr(": modes: expected only \"kernel\", or code that does not go through fs while user "));
}

TEST_F(ByoPerCpu, ThatNoSymbolReachesIsAskedForByNewAndCanBeSaid) {
  const std::string entry = describe("padded64", "gs_early64.o");
  const fs::path folder = fs::path(entry).parent_path();
  const std::string first = (home_ / "entry.toml").string();
  const std::string object = (folder / "gs_early64.o").string();
  EXPECT_EQ(framefold(fmt::format("new -o '{}' '{}'", first, object)).status, 0);
  EXPECT_THAT(read(first), testing::AllOf(HasSubstr("\ngs_base = \"FILL-IN\""), HasSubstr("symbol = \"evt_entry\""),
                                          HasSubstr("`framefold new --gs-base PLACE` goes on from there")));
  const Result asked = framefold(fmt::format("check '{}'", first));
  expect_message(asked, "gs_base");
  EXPECT_THAT(asked.text, HasSubstr(": gs_base: expected this line to be filled in"));
  EXPECT_EQ(framefold(fmt::format("new -f --gs-base area_of_cpu -o '{}' '{}'", first, object)).status, 0);
  EXPECT_THAT(read(first), HasSubstr("\ngs_base = \"area_of_cpu\""));
  const Result check = framefold(fmt::format("check '{}'", first));
  EXPECT_EQ(check.status, 0) << check.text << read(first);
  for (const char* bad : {"nosuch", "area_of_cpu+", "+8"}) {
    const Result refused = framefold(fmt::format("new --gs-base {} '{}'", bad, object));
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.text, HasSubstr("--gs-base: expected a symbol"));
  }
}

/// With most data as its base the callback gets to its handler: the name decides, or a person.
TEST_F(ByoPerCpu, ABaseThatSeveralSymbolsWouldDoForIsNotGuessed) {
  const fs::path folder = fs::path(describe("padded64", "gs_cpu_area64.o")).parent_path();
  const std::string first = (home_ / "entry.toml").string();
  const auto make = [&](const char* object, const char* options) {
    EXPECT_EQ(framefold(fmt::format("new -f {} -o '{}' '{}'", options, first, (folder / object).string())).status, 0);
    return read(first);
  };
  const auto says = [](const char* area) {
    return testing::AllOf(HasSubstr(fmt::format("\ngs_base = \"{}\"", area)), HasSubstr("pointer = \"area_top\""),
                          HasSubstr("symbol = \"area_depth\", on_thread = -1, on_interrupt = 0"));
  };
  EXPECT_THAT(make("gs_cpu_area64.o", ""), says("cpu_area"));
  EXPECT_EQ(framefold(fmt::format("check '{}'", first)).status, 0);
  EXPECT_THAT(make("gs_area_start64.o", ""),
              testing::AllOf(HasSubstr("\ngs_base = \"FILL-IN\""), HasSubstr("area_start, or ")));
  EXPECT_THAT(framefold(fmt::format("check '{}'", first)).text,
              HasSubstr(": gs_base: expected this line to be filled in"));
  EXPECT_THAT(make("gs_area_start64.o", "--gs-base area_start"), says("area_start"));
  EXPECT_EQ(framefold(fmt::format("check '{}'", first)).status, 0);
}

/// Which vcpu_info it is, several lines say together: those with which the description holds are named, or all.
TEST_F(ByoPerCpu, OfTheLinesThatSayWhichVcpuInfoTheWrongOneIsNamed) {
  const auto narrow = [this](const char* symbol, int index, int stride) {
    fs::remove_all(home_ / "trapframe32.object");
    return framefold(fmt::format(
        "check '{}'", with32("[[segments]]\nselector = 0xd9\nbase = \"cpu_area\"\n",
                             fmt::format("symbol = \"{}\"\nindex = {}\nstride = {}", symbol, index, stride))));
  };
  EXPECT_EQ(narrow("vcpu_area", 2, 128).status, 0);
  for (const auto& [symbol, index, stride, says] :
       {std::tuple{"vcpu_area+8", 2, 128, ": vcpu_info.symbol: expected vcpu_area: with it the description holds; "},
        std::tuple{
            "vcpu_area+0x80", 2, 128,
            ": vcpu_info.index: expected 1, or vcpu_info.stride (LINE) 64, or vcpu_info.symbol (LINE) vcpu_area: "},
        std::tuple{"vcpu_area", 0, 128, ": vcpu_info.index: expected 2, or vcpu_info.symbol (LINE) vcpu_area+0x100: "},
        std::tuple{"vcpu_area", 1, 128, ": vcpu_info.index: expected 2, or vcpu_info.stride (LINE) 256, or "},
        std::tuple{"vcpu_area", 2, 192, ": vcpu_info.stride: expected 128: with it the description holds; "},
        std::tuple{"vcpu_area", 31, 4096,
                   "; vcpu_info.symbol (LINE), vcpu_info.index (LINE) and vcpu_info.stride (LINE) together say "}}) {
    const Result result = narrow(symbol, index, stride);
    expect_message(result, says);
    EXPECT_THAT(std::regex_replace(result.text, std::regex("\\([^ ()]*entry.toml:[0-9]+\\)"), "(LINE)"),
                HasSubstr(says));
  }
  const std::string linked = replace(copy("trapframe32").string(),
                                     {{"symbol = \"vcpu_area\"", "symbol = \"vcpu_area\"\nindex = 31\nstride = 4096"}});
  const Result no_room = framefold(fmt::format("check '{}'", linked));
  expect_message(no_room, "no room");
  EXPECT_THAT(no_room.text, testing::ContainsRegex(": vcpu_info.index: expected 127040 bytes .*, vcpu_info.symbol "
                                                   "\\(.*\\); or a smaller vcpu_info.stride \\(.*\\)\n"));
  const Result wide = framefold(
      fmt::format("check '{}'", with64("fs_base = \"cpu_area\"", "pointer = \"vcpu_ptr\"\nindex = 5\nstride = 128")));
  expect_message(wide, "stride");
  EXPECT_THAT(wide.text, HasSubstr(": vcpu_info.stride: expected 64: with it the description holds; "));
}

/// By a pointer, and counted, in per-CPU data: where a wrong word has framefold write over others, all goes wrong
/// later.
TEST_F(ByoPerCpu, TheWordsByWhichTheCodeSwitchesStacksAreNamed) {
  const auto with = [this](const char* pointer, const char* count) {
    fs::remove_all(home_ / "padded64.object");
    const std::string entry =
        replace(describe("padded64", "gs_cpu_area64.o"),
                {{"hypercall_page = ", "gs_base = \"cpu_area\"\nhypercall_page = "},
                 {"[stacks]\n", fmt::format("[stacks]\ninterrupt = {{ symbol = \"irqs\", size = 0x4000, pointer = "
                                            "\"{}\" }}\nnesting = {{ symbol = \"{}\", on_thread = -1, on_interrupt = "
                                            "0 }}\n",
                                            pointer, count)}});
    return framefold(fmt::format("check '{}'", entry));
  };
  EXPECT_EQ(with("area_top", "area_depth").status, 0);
  for (const char* other : {"area_rest", "area_depth"}) {
    const Result result = with(other, "area_depth");
    expect_message(result, other);
    EXPECT_THAT(result.text,
                HasSubstr(": stacks.interrupt.pointer: expected area_top: with it the description holds; "));
  }
  for (const char* other : {"area_top", "area_top+4"}) {
    const Result result = with("area_top", other);
    expect_message(result, other);
    EXPECT_THAT(result.text,
                HasSubstr(": stacks.nesting.symbol: expected area_depth: with it the description holds; "));
  }
  for (const char* other : {"area_rest", "area_depth+4"}) {
    const Result result = with("area_top", other);
    expect_message(result, other);
    EXPECT_THAT(result.text, HasSubstr(": stacks.nesting.on_interrupt: expected the count with which "));
  }
}

/// With zeroes in what it counts by, code does not switch stacks; and what it counts is Xen's then.
TEST_F(ByoPerCpu, ABaseOverTheVcpuInfoIsNeitherTakenNorAdvised) {
  const auto with = [this](const char* base) {
    fs::remove_all(home_ / "padded64.object");
    const std::string entry = replace(describe("padded64", "gs_own_info64.o"),
                                      {{"hypercall_page = ", fmt::format("gs_base = \"{}\"\nhypercall_page = ", base)},
                                       {"pointer = \"vcpu_ptr\"", "symbol = \"own_info\""}});
    return framefold(fmt::format("explore '{}'", entry));
  };
  const Result taken = with("own_info");
  expect_message(taken, "own_info");
  EXPECT_THAT(taken.text, HasSubstr(": gs_base: expected the per-CPU data of the entry: 0x10 behind it lies what the "
                                    "code changes at evt_handle+0x6, and that is of vcpu_info ("));
  const Result advised = with("cpu_area");
  expect_message(advised, "cpu_area");
  EXPECT_THAT(advised.text, HasSubstr(": stacks.interrupt: missing: expected the stack that the entry switches to"));
}

}  // namespace
}  // namespace framefold::test
