// framefold new: the description that it writes of every image and object here holds, or names the line to fill in; and
// what it measured is what those who know the code have written down.
#include <algorithm>
#include <map>
#include <regex>

#include "image/description.hpp"
#include "test/cli_fixture.hpp"

namespace framefold::test {
namespace {

std::vector<std::string> bundled_names() {
  return {"linux-x86_32-2007",   "linux-x86_32-single",   "linux-x86_64-hypercall", "minios-x86_32-fixed",
          "minios-x86_32-table", "minios-x86_64-fixed",   "minios-x86_64-nesting",  "minios-x86_64-single",
          "minios-x86_64-table", "xenlinux-x86_32-fixed", "xenlinux-x86_32-table",  "xenlinux-x86_64-nesting"};
}

std::string bundled_image(const std::string& name) {
  return (fs::path(FRAMEFOLD_ENTRIES) / name / (name + ".elf")).string();
}
std::string own(const std::string& path) { return (fs::path(FRAMEFOLD_OWN_ENTRIES) / path).string(); }

Description described(const std::string& path) { return parse_description(read(path), path); }

/// Registers and their offsets; what is no register has a name of its writer's choice.
std::map<std::string, std::uint32_t> registers_of(const Description& description) {
  std::map<std::string, std::uint32_t> slots;
  for (const FrameSlot& slot : description.frame.slots) {
    const bool other = slot.name.find("word") != std::string::npos || slot.name.find("orig") != std::string::npos ||
                       slot.name == "error" || slot.name == "padding" || slot.name == "trapno";
    if (!other) {
      slots[slot.name] = slot.offset;
    }
  }
  return slots;
}

std::map<std::string, std::string> handlers_of(const Description& description) {
  std::map<std::string, std::string> handlers;
  for (const VectorDescription& vector : description.vectors) {
    handlers[vector.symbol] = vector.handler;
  }
  return handlers;
}

class New : public Cli {
 protected:
  static Result describe(const std::string& objects, const std::string& to = "new.toml") {
    return run({"new", objects, "-f", "-o", to});
  }

  /// What is measured or follows from the code is what the maintained description says.
  static void expect_the_same(const Description& made, const Description& known) {
    EXPECT_EQ(made.width, known.width);
    EXPECT_EQ(made.hypercall_page, known.hypercall_page);
    EXPECT_EQ(made.handler.argument, known.handler.argument);
    EXPECT_EQ(made.handler.error_code_argument, known.handler.error_code_argument);
    EXPECT_EQ(made.frame.size, known.frame.size);
    EXPECT_EQ(registers_of(made), registers_of(known));
    EXPECT_EQ(handlers_of(made), handlers_of(known));
    EXPECT_EQ(made.vcpu_info.pointer, known.vcpu_info.pointer);
    EXPECT_EQ(made.vcpu_info.symbol, known.vcpu_info.symbol);
    EXPECT_EQ(made.gs_base, known.gs_base);
    EXPECT_EQ(made.user_mode, known.user_mode);
    EXPECT_EQ(made.stacks.interrupt.has_value(), known.stacks.interrupt.has_value());
    EXPECT_EQ(made.stacks.nesting_count, known.stacks.nesting_count);
    if (known.stacks.interrupt && made.stacks.interrupt) {
      EXPECT_EQ(made.stacks.interrupt->symbol, known.stacks.interrupt->symbol);
      EXPECT_EQ(made.stacks.interrupt->size, known.stacks.interrupt->size);
      EXPECT_EQ(made.stacks.on_thread, known.stacks.on_thread);
      EXPECT_EQ(made.stacks.on_interrupt, known.stacks.on_interrupt);
    }
  }
};

class NewBundled : public New, public testing::WithParamInterface<std::string> {};

TEST_P(NewBundled, HoldsAndSaysWhatIsKnown) {
  ASSERT_EQ(describe(bundled_image(GetParam())).status, 0);
  const Result check = run({"check", "new.toml"});
  EXPECT_EQ(check.status, 0) << check.err << read("new.toml");
  const Description made = described("new.toml");
  const Description known = described((fs::path(FRAMEFOLD_ENTRIES) / GetParam() / "entry.toml").string());
  expect_the_same(made, known);
  EXPECT_EQ(made.stacks.thread.symbol, known.stacks.thread.symbol);
  EXPECT_EQ(made.region.start, known.region.start);
  EXPECT_EQ(made.region.end, known.region.end);
  EXPECT_EQ(made.region.table, known.region.table);
  EXPECT_THAT(read("new.toml"), Not(HasSubstr("FILL-IN")));
}

INSTANTIATE_TEST_SUITE_P(All, NewBundled, testing::ValuesIn(bundled_names()), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_F(New, EntriesOfOnesOwnLinkedOrNot) {
  for (const char* name : {"padded64", "trapframe32", "bypage64"}) {
    SCOPED_TRACE(name);
    const Description known = described(own(fmt::format("{}/entry.toml", name)));
    for (const std::string& object :
         {fmt::format("{}/{}.elf", name, name), fmt::format("{}.object/{}.o", name, name)}) {
      SCOPED_TRACE(object);
      ASSERT_EQ(describe(own(object)).status, 0);
      const Result check = run({"check", "new.toml"});
      EXPECT_EQ(check.status, 0) << check.err;
      Description made = described("new.toml");
      if (object.ends_with(".o") && made.hypercall_page == "hypercall_page") {
        made.hypercall_page = known.hypercall_page;  // the object has none, and framefold makes it
      }
      expect_the_same(made, known);
    }
  }
}

TEST_F(New, ExplorationProvesFromWhatItWrote) {
  ASSERT_EQ(describe(own("padded64.object/padded64.o")).status, 0);
  const Result result = run({"explore", "new.toml"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("padded64: proved"));
}

TEST_F(New, RegionLabelsAreThoseThatTheCodeComparesWith) {
  ASSERT_EQ(describe(own("trapframe32/trapframe32.elf")).status, 0);
  const Description made = described("new.toml");
  EXPECT_EQ(made.region.start, "crit_lo");
  EXPECT_EQ(made.region.end, "crit_hi");
  EXPECT_EQ(made.region.restore_end, "crit_back");
}

TEST_F(New, EveryGuessSaysWhatFromAndIsOneLine) {
  ASSERT_EQ(describe(bundled_image("minios-x86_64-table")).status, 0);
  const std::string text = read("new.toml");
  for (const char* line : {"symbol = \"hypervisor_callback\" ", "argument = \"rdi\" ", "start = \"scrit\" ",
                           "pointer = \"HYPERVISOR_shared_info\" ", "gs_base = \"cpu_pda\" ", "nesting = "}) {
    const std::size_t at = text.find(line);
    ASSERT_NE(at, std::string::npos) << line;
    const std::string whole = text.substr(at, text.find('\n', at) - at);
    EXPECT_THAT(whole, testing::ContainsRegex("# (guessed|measured)")) << whole;
  }
}

TEST_F(New, WithoutACallbackTheLineToFillInIsNamed) {
  ASSERT_EQ(describe(own("padded64.object/startup64.o")).status, 0);
  expect_complaint(run({"check", "new.toml"}), "vectors[0].symbol: expected this line to be filled in");
  const std::string text = read("new.toml");
  EXPECT_THAT(text, HasSubstr("symbol = \"FILL-IN\""));
  EXPECT_THAT(text, HasSubstr("# FILL IN: "));
}

TEST_F(New, WhatTheCodeCallsAndNobodyDefinesGetsARow) {
  ASSERT_EQ(describe(own("padded64.object/calls_out.o")).status, 0);
  EXPECT_THAT(read("new.toml"), HasSubstr("symbol = \"audit_hook\""));
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
}

/// The page is reached by user frames alone; and what exceptions call is named like an NMI's callback.
TEST_F(New, APageIsToldByWhatBranchesToItAndACallbackIsDefined) {
  ASSERT_EQ(describe(own("padded64.object/gate64.o")).status, 0);
  const Description made = described("new.toml");
  EXPECT_EQ(made.hypercall_page, "gate");
  EXPECT_TRUE(made.user_mode);
  EXPECT_EQ(made.vectors.size(), 3U);
  EXPECT_EQ(made.vectors.at(1).handler, "c_nmi");
  const std::string text = read("new.toml");
  EXPECT_THAT(text, HasSubstr("# guessed: branches lead to multiples of 32 bytes behind it; framefold makes the page"));
  EXPECT_THAT(text, Not(AnyOf(HasSubstr("[nmi]"), HasSubstr("c_nmi is not described"))));
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << text;
  // Nothing branches behind the start of what is called.
  ASSERT_EQ(describe(own("padded64.object/padded64.o")).status, 0);
  EXPECT_THAT(read("new.toml"), HasSubstr("# nothing in the object looks like one: framefold makes the page"));
}

TEST_F(New, WhatTheHandlersReturnIsTriedWhereTheCodeLooksAtIt) {
  ASSERT_EQ(describe(own("padded64.object/returns64.o")).status, 0);
  EXPECT_EQ(described("new.toml").handler.returns, 0);
  EXPECT_THAT(read("new.toml"), HasSubstr("check what the C handlers return"));
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
  ASSERT_EQ(describe(own("padded64.object/padded64.o")).status, 0);
  EXPECT_EQ(described("new.toml").handler.returns, std::nullopt);
}

TEST_F(New, WhatStartUpCodeSetsIsFoundOnTheWayToTheHandler) {
  for (const char* object : {"irq_stack64.o", "stack_in_rax64.o", "stack_by_xchg64.o"}) {
    ASSERT_EQ(describe(own(std::string("padded64.object/") + object)).status, 0);
    EXPECT_EQ(described("new.toml").stacks.interrupt_pointer, "irq_stack_top") << object;
    EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
    EXPECT_THAT(read("new.toml"), Not(HasSubstr("the stack pointer is"))) << object;
  }
  ASSERT_EQ(describe(own("padded64.object/stack_lost64.o")).status, 0);
  EXPECT_THAT(read("new.toml"), HasSubstr("the stack pointer is 0x0, where no data is: `stacks.interrupt` would say"));
  ASSERT_EQ(describe(own("padded64.object/calls_by_pointer64.o")).status, 0);
  EXPECT_EQ(described("new.toml").calls.at(0).symbol, "audit_hook");
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
  ASSERT_EQ(describe(own("trapframe32.object/percpu32.o")).status, 0);
  const Description segment = described("new.toml");
  ASSERT_EQ(segment.segments.size(), 1U);
  EXPECT_EQ(segment.segments[0].selector, 0xd9);
  EXPECT_EQ(segment.segments[0].base, "cpu_area");
  EXPECT_EQ(segment.vectors[0].symbol, "upcall");
}

/// An array of structures, and a pointer to one: where the code stores the byte that unmasks.
TEST_F(New, WhichOfSeveralVcpusInfosIsMeasured) {
  ASSERT_EQ(describe(own("trapframe32.object/percpu32.o")).status, 0);
  const VcpuInfoDescription array = described("new.toml").vcpu_info;
  EXPECT_EQ(array.symbol, "vcpu_area");
  EXPECT_EQ(array.offset(), 2U * 128);
  EXPECT_EQ(run({"explore", "new.toml"}).status, 0) << read("new.toml");
  ASSERT_EQ(describe(own("padded64.object/percpu64.o")).status, 0);
  EXPECT_EQ(described("new.toml").fs_base, "cpu_area");
  EXPECT_EQ(described("new.toml").vcpu_info.offset(), 5U * 64);
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
  ASSERT_EQ(describe(own("padded64.object/of_several64.o")).status, 0);
  const VcpuInfoDescription pointer = described("new.toml").vcpu_info;
  EXPECT_EQ(pointer.pointer, "vcpu_ptr");
  EXPECT_EQ(pointer.offset(), 5U * 64);
  EXPECT_EQ(run({"explore", "new.toml"}).status, 0) << read("new.toml");
}

/// The handler is what runs on another stack; where there is none, the first that nobody defines, and the line names
/// the others.
TEST_F(New, WhichOfSeveralFunctionsThatGetTheFrameIsTheHandlerIsGuessed) {
  ASSERT_EQ(describe(own("padded64.object/helper_irq64.o")).status, 0);
  EXPECT_EQ(described("new.toml").handler.symbol, "irq_dispatch");
  EXPECT_EQ(described("new.toml").calls.at(0).symbol, "account_irq");
  EXPECT_THAT(read("new.toml"),
              HasSubstr("# measured: called with a frame, on another stack; so is account_irq: check "));
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
  ASSERT_EQ(describe(own("padded64.object/helper64.o")).status, 0);
  EXPECT_EQ(described("new.toml").handler.symbol, "account_irq");
  EXPECT_THAT(read("new.toml"), HasSubstr("# measured: called with a frame; so is irq_dispatch: check "));
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
  ASSERT_EQ(describe(own("padded64.object/own_helper64.o")).status, 0);
  EXPECT_EQ(described("new.toml").handler.symbol, "irq_dispatch");
  EXPECT_THAT(read("new.toml"), HasSubstr("# measured: called with a frame; so is note_frame: check "));
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
}

/// What the code bears out: two stubs, and two labels on the event's way, of which one gets to the event's handler.
TEST_F(New, AStubThatOnlyAMnemonicNamesIsMeasured) {
  const std::string rename = fmt::format(
      "objcopy --redefine-sym=de_entry=kite_de --redefine-sym=pf_entry=kite_pf --redefine-sym=leave=kite_ss "
      "--redefine-sym=evt_save=kite_ts '{}' named.o",
      own("padded64.object/padded64.o"));
  ASSERT_EQ(std::system(rename.c_str()), 0);
  ASSERT_EQ(describe("named.o").status, 0);
  const Description made = described("new.toml");
  ASSERT_EQ(made.vectors.size(), 3U) << read("new.toml");
  EXPECT_EQ(made.vectors[1].symbol, "kite_de");
  EXPECT_EQ(made.vectors[1].number, 0U);
  EXPECT_EQ(made.vectors[2].symbol, "kite_pf");
  EXPECT_TRUE(made.vectors[2].error_code);
  EXPECT_THAT(read("new.toml"),
              AllOf(HasSubstr("# kite_ss is not described as exception 12, which its name looks like: "),
                    HasSubstr("# kite_ts is not described as exception 10, ")));
  EXPECT_EQ(run({"check", "new.toml"}).status, 0);
}

/// A base that shows behind the handler alone. What nobody defines, and is named like per-CPU data, is a function.
TEST_F(New, ABaseIsData) {
  const std::string rename =
      fmt::format("objcopy --redefine-sym=setup_a=setup_percpu '{}' startup.o", own("padded64.object/startup64.o"));
  ASSERT_EQ(std::system(rename.c_str()), 0);
  fs::copy(own("padded64.object/gs_vcpu64.o"), "gs.o");
  ASSERT_EQ(run({"new", "gs.o", "startup.o", "-o", "new.toml"}).status, 0);
  EXPECT_EQ(described("new.toml").gs_base, "cpu_area");
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
}

TEST_F(New, TheLinesOfModesAndErrorCodesSayWhatToCheck) {
  for (const char* object : {"padded64.o", "startup64.o"}) {
    ASSERT_EQ(describe(own(fmt::format("padded64.object/{}", object))).status, 0);
    EXPECT_THAT(read("new.toml"), testing::ContainsRegex("\nmodes = [^\n]* # [^\n]+\n")) << object;
  }
  ASSERT_EQ(describe(own("padded64.object/padded64.o")).status, 0);
  EXPECT_THAT(read("new.toml"), testing::ContainsRegex("\nerror_code = true +# [^\n]+\n"));
}

TEST_F(New, WhatNothingShowsIsOneLineToFillIn) {
  ASSERT_EQ(describe(own("padded64.object/looks64.o")).status, 0);
  expect_complaint(run({"check", "new.toml"}), ": calls[0].returns: expected this line to be filled in");
  const std::string filled = std::regex_replace(read("new.toml"), std::regex("\"FILL-IN\""), "0");
  write("filled.toml", filled);
  EXPECT_EQ(run({"check", "filled.toml"}).status, 0) << filled;
  EXPECT_EQ(described("filled.toml").vectors.size(), 3U);
  const std::string rename =
      fmt::format("objcopy --redefine-sym=cpu_area=area '{}' named.o", own("padded64.object/percpu64.o"));
  ASSERT_EQ(std::system(rename.c_str()), 0);
  ASSERT_EQ(describe("named.o").status, 0);
  expect_complaint(run({"check", "new.toml"}), ": fs_base: expected this line to be filled in");
}

TEST_F(New, WhatAFunctionReturnsOnTheWayToTheHandlerCanBeSaid) {
  const std::string object = own("padded64.object/hooks64.o");
  ASSERT_EQ(describe(object).status, 0);
  EXPECT_THAT(read("new.toml"),
              AllOf(HasSubstr("symbol = \"evt_entry\""), HasSubstr("--returns hook_value=N` goes on")));
  ASSERT_EQ(run({"new", object, "--returns", "hook_value=7", "-f", "-o", "new.toml"}).status, 0);
  EXPECT_THAT(read("new.toml"), AllOf(HasSubstr("returns = 7"), HasSubstr("--returns hook_store=N` goes on")));
  for (const char* bad : {"hook_value", "=7", "hook_value=", "hook_value=x", "hook_value=0x100000000", "evt_save=1"}) {
    expect_complaint(run({"new", object, "--returns", bad}), "--returns: expected ");
  }
}

TEST_F(New, ACallbackThatNoNameShowsCanBeSaid) {
  ASSERT_EQ(run({"new", own("padded64/padded64.elf"), "--callback", "evt_entry", "-o", "new.toml"}).status, 0);
  EXPECT_THAT(read("new.toml"), HasSubstr("as --callback says"));
  // One that cannot be measured is described as far as that goes: the next line is to be filled in.
  ASSERT_EQ(run({"new", own("padded64.object/padded64.o"), "--callback", "win_lo", "-f", "-o", "new.toml"}).status, 0);
  EXPECT_THAT(read("new.toml"), AllOf(HasSubstr("symbol = \"win_lo\""),
                                      HasSubstr("win_lo is not taken for the event callback: it stops at ")));
  expect_complaint(run({"check", "new.toml"}), "handler.symbol: expected this line to be filled in");
  expect_complaint(run({"new", own("padded64/padded64.elf"), "--callback", "nosuch"}),
                   "--callback: expected a symbol of the code");
}

TEST_F(New, SeveralObjectsAreOneImage) {
  const Result result =
      run({"new", own("padded64.object/padded64.o"), own("padded64.object/startup64.o"), "-o", "e.toml"});
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, "e.toml\n");
  EXPECT_EQ(run({"check", "e.toml"}).status, 0);
}

/// 80 undefined symbols, code that is never entered, per-CPU data, an interrupt stack, and no vcpu_info.
TEST_F(New, AKernelsObjectsAreTakenAsTheyAre) {
  const std::vector<std::string> objects = {own("padded64.object/pvkernel64.o"), own("padded64.object/pvexit64.o")};
  ASSERT_EQ(run({"new", objects[0], objects[1], "-o", "e.toml"}).status, 0);
  const std::string text = read("e.toml");
  EXPECT_THAT(text, Not(HasSubstr("FILL-IN")));
  for (const char* line : {"No [vcpu_info]", "symbol = \"irq_stack\", size = 0x4000", "symbol = \"irq_count\"",
                           "symbol = \"xen_hypervisor_callback\"", "handler = \"exc_page_fault\""}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_EQ(run({"check", "e.toml"}).status, 0) << text;
  const Result misaligned = run({"explore", "e.toml"});  // its stack is at 8 modulo 16 in a handler
  EXPECT_EQ(misaligned.status, 1);
  EXPECT_THAT(misaligned.out, HasSubstr(":handler-abi:"));
  std::string by_8 = text;
  by_8.replace(by_8.find("stack_alignment = 16"), 20, "stack_alignment = 8");
  write("by8.toml", by_8);
  const Result proved = run({"explore", "by8.toml"});
  EXPECT_EQ(proved.status, 0) << proved.out << proved.err;
}

TEST_F(New, TheImageIsNamedRelativeToTheDescription) {
  fs::create_directories("a/b");
  fs::create_directories("c");
  fs::copy(own("padded64/padded64.elf"), "a/b");
  ASSERT_EQ(run({"new", "a/b/padded64.elf", "-o", "c/entry.toml"}).status, 0);
  EXPECT_EQ(described("c/entry.toml").image, "../a/b/padded64.elf");
  EXPECT_EQ(run({"check", "c/entry.toml"}).status, 0);
}

TEST_F(New, PrintsWithoutAFileAndOverwritesNone) {
  const std::string object = own("padded64.object/padded64.o");
  const Result printed = run({"new", object});
  EXPECT_EQ(printed.status, 0);
  EXPECT_THAT(printed.out, HasSubstr("\n[handler]\n"));
  write("entry.toml", "mine\n");
  expect_complaint(run({"new", object, "-o", "entry.toml"}), "entry.toml: expected no file with other contents; -f");
  EXPECT_EQ(read("entry.toml"), "mine\n");
  EXPECT_EQ(run({"new", object, "-f", "-o", "entry.toml"}).status, 0);
  EXPECT_EQ(run({"new", object, "-o", "entry.toml"}).status, 0);  // the same contents
  expect_complaint(run({"new", object, "-o", "nosuch/entry.toml"}), "nosuch/entry.toml: expected a place");
}

TEST_F(New, BadObjectsAreRefused) {
  const std::string good = read(own("padded64.object/padded64.o"));
  const auto with_byte = [&](std::size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    return bytes;
  };
  constexpr std::size_t kData = 5;      // EI_DATA
  constexpr std::size_t kType = 16;     // e_type
  constexpr std::size_t kMachine = 18;  // e_machine
  struct Bad {
    std::string bytes;
    const char* message;
  };
  const std::vector<Bad> bad = {
      {"", "bad.o: expected an ELF file"},
      {"int main() { return 0; }\n", "bad.o: expected an ELF file"},
      {good.substr(0, 20), "bad.o: expected"},
      {good.substr(0, 200), "bad.o: expected"},
      {with_byte(kMachine, '\xb7'),
       "bad.o: expected code of x86-64 (machine 62) or i386 (machine 3), found machine 183"},
      {with_byte(kData, 2), "bad.o: expected"},
      {with_byte(kType, 3), "bad.o: expected a relocatable object (ET_REL) or a statically linked executable"},
  };
  for (const Bad& each : bad) {
    write("bad.o", each.bytes);
    expect_complaint(run({"new", "bad.o", "-o", "new.toml"}), each.message);
    EXPECT_FALSE(fs::exists("new.toml"));
  }
  expect_complaint(run({"new", "absent.o"}), "absent.o: expected");
  expect_complaint(run({"new", "."}), ".: expected");
  expect_complaint(run({"new", own("padded64.object/padded64.o"), own("trapframe32.object/trapframe32.o")}),
                   "trapframe32.o: expected objects of one width");
  expect_complaint(run({"new", own("padded64/padded64.elf"), own("bypage64/bypage64.elf")}),
                   "expected relocatable objects, or one linked image");
  expect_complaint(run({"new"}), "OBJECT");
}

/// Names of files that mean something in TOML, or to the linker.
TEST_F(New, AFilesNameIsOneWhateverItIs) {
  const std::string object = own("padded64.object/padded64.o");
  for (const char* name : {"q\"uote.o", "back\\slash.o", "@list.o", "star*[x].o"}) {
    SCOPED_TRACE(name);
    fs::copy_file(object, name);
    ASSERT_EQ(run({"new", std::string("./") + name, "-f", "-o", "new.toml"}).status, 0);
    EXPECT_EQ(described("new.toml").image, name);
    EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
  }
  fs::copy_file(object, "\xff.o");
  expect_complaint(run({"new", "\xff.o", "-f", "-o", "new.toml"}), "expected TOML: ");  // which is UTF-8
  fs::copy_file(object, "-oldead");
  fs::copy_file(own("padded64.object/data64.o"), "data64.o");
  EXPECT_EQ(run({"new", "./-oldead", "data64.o", "-f", "-o", "new.toml"}).status, 0);
  EXPECT_EQ(run({"check", "new.toml"}).status, 0);
  EXPECT_FALSE(fs::exists("ldead"));
}

/// Symbols that no description can name, and those that nobody defines.
TEST_F(New, AnUndefinedFunctionIsNoCallbackWhateverItsName) {
  const std::string object = own("padded64.object/padded64.o");
  for (const char* name : {"fault dispatch", "fault-dispatch", "fault@c", "fault_\xc3\xa9"}) {
    SCOPED_TRACE(name);
    const std::string rename = fmt::format("objcopy '--redefine-sym=fault_dispatch={}' '{}' named.o", name, object);
    ASSERT_EQ(std::system(rename.c_str()), 0);
    const Result result = run({"new", "named.o", "-f", "-o", "new.toml"});
    EXPECT_EQ(result.status, 0) << result.err;
    EXPECT_THAT(read("new.toml"), HasSubstr("kind = \"event\"\nsymbol = \"evt_entry\" "));
    EXPECT_THAT(read("new.toml"), HasSubstr("handler = \"FILL-IN\" "));
  }
  const std::string rename = fmt::format("objcopy --redefine-sym=irq_dispatch=xen_evtchn_upcall '{}' named.o", object);
  ASSERT_EQ(std::system(rename.c_str()), 0);
  ASSERT_EQ(run({"new", "named.o", "-f", "-o", "new.toml"}).status, 0);
  EXPECT_EQ(described("new.toml").vectors.front().symbol, "evt_entry");
  EXPECT_EQ(described("new.toml").vectors.front().handler, "xen_evtchn_upcall");
  expect_complaint(run({"new", "--callback", "xen_evtchn_upcall", "named.o"}),
                   "--callback: expected a symbol of the code");
}

TEST_F(New, ATruncatedObjectIsCalledSo) {
  const std::string whole = read(own("padded64.object/padded64.o"));
  for (const std::size_t size : {std::size_t{64}, whole.size() / 2, whole.size() - 1}) {
    write("cut.o", std::string_view(whole).substr(0, size));
    expect_complaint(run({"new", "cut.o"}), "cut.o: expected a whole ELF file: this one is truncated");
  }
}

TEST_F(New, AnObjectWithoutCodeIsRefusedUnlessAnotherOneHasSome) {
  expect_complaint(run({"new", own("padded64.object/data64.o")}), "data64.o: expected code");
  const Result both =
      run({"new", own("padded64.object/data64.o"), own("padded64.object/padded64.o"), "-o", "new.toml"});
  ASSERT_EQ(both.status, 0) << both.err;
  EXPECT_EQ(run({"check", "new.toml"}).status, 0) << read("new.toml");
}

TEST_F(New, AnUnreadableObjectIsRefused) {
  if (::getuid() != 0) {
    GTEST_SKIP() << "only root can become somebody who may not read";
  }
  fs::copy(own("padded64.object/padded64.o"), "secret.o");
  fs::permissions("secret.o", fs::perms::none);
  fs::permissions(".", fs::perms::all);
  const Result result = run({"new", "secret.o"}, kOut, true);
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.err, HasSubstr("secret.o: expected"));
}

}  // namespace
}  // namespace framefold::test
