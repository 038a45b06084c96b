// Lines whose being wrong shows far from where they are: bases, handlers, what functions do, the region's other ends.
#include "test/byo_fixture.hpp"

namespace framefold::test {
namespace {

class ByoRepair : public ByoObject {
 protected:
  using Changes = std::vector<std::pair<std::string, std::string>>;
  Result check(const std::string& name, const std::string& objects, const Changes& changes,
               const std::string& rows = "") {
    fs::remove_all(home_ / (name + ".object"));
    const std::string entry = replace(describe(name, objects), changes);
    std::ofstream(entry, std::ios::app) << rows;
    return framefold(fmt::format("check '{}'", entry));
  }
  static void expect_line(const Result& result, const std::string& what) {
    expect_message(result, what);
    EXPECT_THAT(result.text, HasSubstr(what));
  }
};

TEST_F(ByoRepair, AnotherBaseIsNamed) {
  const auto wide = [](const char* base) {
    return Changes{{"hypercall_page = ", fmt::format("fs_base = \"{}\"\nhypercall_page = ", base)},
                   {"pointer = \"vcpu_ptr\"", "pointer = \"vcpu_ptr\"\nindex = 5"}};
  };
  EXPECT_EQ(check("padded64", "percpu64.o", wide("cpu_area")).status, 0);
  for (const char* other : {"evt_entry", "fault", "leave"}) {
    expect_line(check("padded64", "percpu64.o", wide(other)),
                ": fs_base: expected cpu_area: with it the description holds");
  }
  // Zeroed data: number 0, which is a vCPU's as well.
  expect_line(check("padded64", "percpu64.o", wide("vcpu_ptr")), "; or fs_base = cpu_area");
  const auto narrow = [](const char* base) {
    return Changes{{"[vcpu_info]\n", fmt::format("[[segments]]\nselector = 0xd9\nbase = \"{}\"\n[vcpu_info]\n", base)},
                   {"symbol = \"vcpu_area\"", "symbol = \"vcpu_area\"\nindex = 2\nstride = 128"}};
  };
  EXPECT_EQ(check("trapframe32", "percpu32.o", narrow("cpu_area")).status, 0);
  expect_line(check("trapframe32", "percpu32.o", narrow("vcpu_area")), ": segments[0].base: expected cpu_area");
}

TEST_F(Byo, AnotherGsBaseIsNamed) {
  const fs::path folder = home_ / "hypercall";
  fs::copy(fs::path(FRAMEFOLD_ENTRIES) / "linux-x86_64-hypercall", folder);
  const std::string text = read(folder / "entry.toml");
  const std::string wrong = std::regex_replace(text, std::regex("gs_base = \"[a-z_]+\""), "gs_base = \"xen_vcpu\"");
  ASSERT_NE(text, wrong);
  std::ofstream(folder / "entry.toml", std::ios::binary) << wrong;
  const Result result = framefold(fmt::format("check '{}'", (folder / "entry.toml").string()));
  expect_message(result, "xen_vcpu");
  EXPECT_THAT(result.text, HasSubstr(": gs_base: expected "));
}

TEST_F(ByoRepair, AnotherHandlerOfAnExceptionIsNamed) {
  for (const char* other : {"evt_entry", "leave", "win_lo", "leave_as_is"}) {
    const std::string before = "symbol = \"pf_entry\"\nerror_code = true\nmasks_events = true\nhandler = ";
    const Result result =
        check("padded64", "padded64.o", {{before + "\"fault_dispatch\"", fmt::format("{}\"{}\"", before, other)}});
    expect_line(result, ": vectors[2].handler: expected ");
  }
  expect_line(check("padded64", "padded64.o", {{"handler = \"fault_dispatch\"", "handler = \"vcpu_ptr\""}}),
              ": vectors[1].handler: expected a function: vcpu_ptr is vcpu_info.pointer");
}

/// What the objects call is a function, and the line that takes it for data is the wrong one; what they do not call is
/// none. Either way the other line is named.
TEST_F(ByoRepair, OfTwoLinesThatNameOneSymbolTheOneThatTheObjectsBelieIsNamed) {
  for (const auto& [line, instead, key] :
       {std::tuple{"pointer = \"vcpu_ptr\"", "pointer = \"irq_dispatch\"", "vcpu_info.pointer"},
        std::tuple{"thread = { symbol = \"idle_stack\"", "thread = { symbol = \"irq_dispatch\"",
                   "stacks.thread.symbol"},
        std::tuple{"hypercall_page = \"xen_calls\"", "hypercall_page = \"irq_dispatch\"", "hypercall_page"},
        std::tuple{"hypercall_page = ", "gs_base = \"irq_dispatch\"\nhypercall_page = ", "gs_base"}}) {
    const Result result = check("padded64", "padded64.o", {{line, instead}});
    expect_line(result, fmt::format(": {}: expected ", key));
    EXPECT_THAT(result.text,
                testing::ContainsRegex(": irq_dispatch is a function that the objects call, and handler.symbol "
                                       "\\(.*entry.toml:[0-9]+\\)\n"));
  }
  EXPECT_EQ(check("padded64", "padded64.o", {}).status, 0);
}

/// Counters of this code, and what is none: functions, the page, data that nobody uses.
TEST_F(ByoRepair, ACounterThatTheCodeDoesNotChangeIsNamed) {
  const auto with = [&](const std::string& objects, const std::string& symbol) {
    return check("padded64", objects, {}, fmt::format("[[entry_data.counters]]\nsymbol = \"{}\"\nsize = 4\n", symbol));
  };
  EXPECT_EQ(with("counts64.o", "irq_count").status, 0);
  EXPECT_EQ(with("padded64.o startup64.o", "state_a").status, 0);  // of code that is not entered here
  const std::string key = ": entry_data.counters[0].symbol: expected data";
  expect_line(with("counts64.o startup64.o", "setup_a"), key + ": setup_a is a function that the objects call");
  expect_line(with("padded64.o", "xen_calls"), key + " of its own: xen_calls is hypercall_page (");
  expect_line(with("padded64.o", "irq_dispatch"), key + " of its own: irq_dispatch is handler.symbol (");
  expect_line(with("padded64.o startup64.o", "shared_scratch"),
              key + " that the code changes: nothing that runs uses shared_scratch, with an event anywhere");
}

TEST_F(ByoRepair, TheRegionsLineThatIsOutOfOrderIsNamed) {
  expect_line(check("padded64", "padded64.o", {{"start = \"win_lo\"", "start = \"pf_entry\""}}),
              ": region.start: expected an address before win_hi, found ");
  expect_line(check("padded64", "padded64.o", {{"end = \"win_hi\"", "end = \"evt_entry\""}}),
              ": region.end: expected an address behind win_lo in the entry's code, found ");
  const Result third =
      check("padded64", "padded64.o",
            {{"start = \"win_lo\"", "start = \"win_hi\""}, {"end = \"win_hi\"", "end = \"evt_fold\""}});
  expect_line(third, ": region.restore_end: expected an address from win_hi to evt_fold, found ");
  EXPECT_THAT(third.text, testing::ContainsRegex(": region.start \\(.*entry.toml:[0-9]+\\)\n"));
}

TEST_F(ByoRepair, AVectorOfAnothersSymbolAloneIsNamed) {
  expect_line(check("padded64", "padded64.o", {}, "[nmi]\nsymbol = \"pf_entry\"\nhandler = \"pf_entry\"\n"),
              ": nmi.symbol: expected where Xen enters, and no handler: pf_entry is vectors[2].symbol (");
}

/// Of a label on the event's way, it is the event that does not resume.
TEST_F(ByoRepair, AVectorThatIsItsOwnHandlerIsNamed) {
  const Result own = check("padded64", "padded64.o", {}, "[nmi]\nsymbol = \"leave\"\nhandler = \"leave\"\n");
  expect_line(own, ": vectors[0].symbol: expected ");
  EXPECT_THAT(own.text, testing::ContainsRegex("; or another function in nmi.handler \\(.*entry.toml:75\\) than in "
                                               "nmi.symbol \\(.*entry.toml:74\\)"));
  const Result other = check("padded64", "padded64.o", {{"symbol = \"evt_entry\"", "symbol = \"leave\""}});
  expect_message(other, "leave");
  EXPECT_THAT(other.text, testing::Not(HasSubstr("; or another function in ")));
}

/// Both are wrong then.
TEST_F(ByoRepair, NamesThatStandInEachOthersLineAreNamedTogether) {
  expect_line(check("padded64", "padded64.o",
                    {{"symbol = \"evt_entry\"", "symbol = \"pf_entry\""},
                     {"symbol = \"pf_entry\"\nerror", "symbol = \"evt_entry\"\nerror"}}),
              ": vectors[0].symbol: expected evt_entry, and vectors[2].symbol (");
  const Result one = check("padded64", "padded64.o", {{"symbol = \"evt_entry\"", "symbol = \"irq_dispatch\""}});
  expect_line(one, ": vectors[0].symbol: expected ");
  EXPECT_THAT(one.text, testing::Not(HasSubstr(", and vectors[")));
}

/// Which of the two is wrong, a person knows.
TEST_F(ByoRepair, OffsetsThatAnotherSlotHasAreNamedWithItsLine) {
  const Result same = check("padded64", "padded64.o", {{"rip = 136", "rip = 144"}});
  expect_line(same, ": frame.slots.rip: expected a slot of its own: cs (");
  EXPECT_THAT(same.text, testing::ContainsRegex("entry.toml:[0-9]+\\) is at 144 as well; no slot is at 136\n"));
  const Result exchanged = check("padded64", "padded64.o", {{"r8 = 80", "r8 = 88"}, {"rax = 88", "rax = 80"}});
  expect_line(exchanged,
              ": frame.slots.rax: expected the offset at which the frame of upcall, kernel on thread holds it");
  EXPECT_THAT(exchanged.text,
              testing::ContainsRegex(" is at 80, it is at 88, where r8 \\(.*entry.toml:[0-9]+\\) is \\(where "));
  const Result moved = check("padded64", "padded64.o", {{"padding = 0\n", ""}, {"r15 = 8", "r15 = 0"}});
  EXPECT_THAT(moved.text, HasSubstr(", it is at 8 (where "));
}

TEST_F(ByoRepair, AnotherThingThatAFunctionDoesIsNamed) {
  const std::string rows =
      "[[calls]]\nsymbol = \"hook_value\"\nreturns = 7\n[[calls]]\nsymbol = \"hook_never\"\nnever = true\n"
      "[[calls]]\nsymbol = \"hook_store\"\nsets = \"hook_word\"\nto = 5\n[[calls]]\nsymbol = \"hook_event\"\n"
      "[[calls]]\nsymbol = \"hook_quiet\"\nclobbers = false\n";
  const auto with = [&](const std::string& line, const std::string& instead) {
    std::string changed = rows;
    changed.replace(changed.find(line), line.size(), instead);
    return check("padded64", "hooks64.o", {}, changed);
  };
  EXPECT_EQ(with("to = 5", "to = 5").status, 0);
  expect_line(with("returns = 7", "returns = 8"), ": calls[0].returns: expected 7: with it the description holds");
  expect_line(with("to = 5", "to = 6"), ": calls[2].to: expected 5: ");
  expect_line(with("sets = \"hook_word\"", "sets = \"hook_word+0x4\""), ": calls[2].sets: expected hook_word: ");
  expect_line(with("sets = \"hook_word\"", "sets = \"vcpu_ptr\""), ": calls[2].sets: expected data of its own: ");
  expect_line(with("clobbers = false\n", ""), ": calls[4].clobbers: expected false, ");
}

TEST_F(ByoRepair, ARegionThatEndsBeforeTheMaskIsNamed) {
  const std::string end = "end = \"win_hi\"";
  EXPECT_EQ(check("padded64", "masks_behind64.o", {{end, end}}).status, 0);
  expect_line(check("padded64", "masks_behind64.o", {{end, "end = \"win_mask\""}}),
              ": region.end: expected a label behind win_mask: where an event is pending, events are unmasked there");
}

TEST_F(ByoRepair, ARestoreEndThatIsLateIsNamed) {
  const std::string line = "restore_end = \"win_back\"";
  EXPECT_EQ(check("padded64", "late_label64.o", {{line, line}}).status, 0);
  expect_line(check("padded64", "late_label64.o", {{line, "restore_end = \"win_late\""}}),
              ": region.restore_end: expected a label at ");
}

/// Which calls another handler, or runs into a fold, on no stack of anybody's.
TEST_F(ByoRepair, AnotherEventCallbackIsNamed) {
  const std::string line = "symbol = \"evt_entry\"";
  const auto with = [&](const char* other) { return Changes{{line, fmt::format("symbol = \"{}\"", other)}}; };
  for (const char* other : {"de_entry", "pf_entry", "fault"}) {
    expect_line(check("padded64", "padded64.o", with(other)),
                ": vectors[0].symbol: expected evt_entry: with it the description holds; as it is, handler.symbol: ");
  }
  Changes on_stack = with("evt_fold");
  on_stack.push_back({"[stacks]\n",
                      "[stacks]\ninterrupt = { symbol = \"irqs\", size = 0x4000, pointer = \"irq_stack_top\" }\n"
                      "nesting = { symbol = \"irq_depth\", on_thread = -1, on_interrupt = 0 }\n"});
  expect_line(check("padded64", "irq_stack64.o", on_stack), ": vectors[0].symbol: expected ");
  on_stack[0] = {line, line};
  EXPECT_EQ(check("padded64", "irq_stack64.o", on_stack).status, 0);
}

/// The code's own line, not that of the callback, is named where the handler is the wrong one.
TEST_F(ByoRepair, AnotherHandlerOfTheEventIsNamed) {
  for (const char* other : {"leave", "evt_save", "win_lo", "fault"}) {
    expect_line(check("padded64", "padded64.o", {{"symbol = \"irq_dispatch\"", fmt::format("symbol = \"{}\"", other)}}),
                ": handler.symbol: expected ");
  }
}

TEST_F(ByoRepair, AnotherHypercallPageIsNamedWhereTheCodeLeavesByIt) {
  const std::string line = "hypercall_page = \"xen_calls\"";
  expect_line(check("bypage64", "bypage64.o", {{line, "hypercall_page = \"xen_page\""}}),
              ": hypercall_page: expected xen_calls, if that is the page, to which leave+");
  EXPECT_EQ(check("bypage64", "bypage64.o", {{line, line}}).status, 0);
}

}  // namespace
}  // namespace framefold::test
