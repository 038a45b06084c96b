// What an entry of one's own calls besides its handlers, by description.
#include "test/byo_fixture.hpp"

namespace framefold::test {
namespace {

/// What the entry calls besides its handlers, described by rows of `calls`, in both widths.
class ByoCalls : public ByoObject, public testing::WithParamInterface<const char*> {
 protected:
  static constexpr const char* kRows = R"(
[[calls]]
symbol = "hook_value"
returns = 7
[[calls]]
symbol = "hook_never"
never = true
[[calls]]
symbol = "hook_store"
sets = "hook_word"
to = 5
[[calls]]
symbol = "hook_event"
takes_event = true
[[calls]]
symbol = "hook_quiet"
clobbers = false
)";

  /// The description with the rows, one line of them replaced.
  std::string with(const std::string& line = "", const std::string& instead = "") {
    fs::remove_all(home_ / (std::string(GetParam()) + ".object"));
    const bool wide = std::string_view(GetParam()) == "padded64";
    const std::string entry = describe(GetParam(), wide ? "hooks64.o" : "hooks32.o");
    std::string rows = kRows;
    if (!line.empty()) rows.replace(rows.find(line), line.size(), instead);
    const std::string text = read(entry);
    std::ofstream(entry, std::ios::binary) << text << rows;
    return entry;
  }
};

TEST_P(ByoCalls, ThatAreDescribedAreProved) {
  const Result result = framefold(fmt::format("explore '{}'", with()));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr(": proved"));
}

TEST_P(ByoCalls, WhatTheyReturnStoreAndKeepIsWhatTheCodeGets) {
  for (const auto& [line, instead] : std::vector<std::pair<std::string, std::string>>{
           {"returns = 7", "returns = 8"}, {"to = 5", "to = 6"}, {"clobbers = false", ""}}) {
    const Result result = framefold(fmt::format("check '{}'", with(line, instead)));
    expect_message(result, line);
  }
}

TEST_P(ByoCalls, AValueThatIsLookedAtHasToBeSaid) {
  const Result result = framefold(fmt::format("check '{}'", with("returns = 7", "")));
  expect_message(result, "returns = 7");
  EXPECT_THAT(result.text, HasSubstr("calls[0].returns: missing: expected what hook_value returns: "));
}

TEST_P(ByoCalls, OneThatIsNeverReachedIsAGuestFaultAndCheckNamesItsLine) {
  const std::string entry = with("returns = 7", "returns = 9");
  const Result check = framefold(fmt::format("check '{}'", entry));
  expect_message(check, entry);
  EXPECT_THAT(check.text, HasSubstr("calls[1].never: expected a function that is not reached"));
  expect_message(framefold(fmt::format("explore '{}'", entry)), entry);
  const Result explore = framefold(fmt::format("explore --unchecked '{}'", entry));
  EXPECT_EQ(explore.status, 1) << explore.text;
  EXPECT_THAT(explore.text, HasSubstr(":guest-fault:hook_never"));
  EXPECT_THAT(explore.text, HasSubstr("rests on    calls[1].never = true ("));
}

TEST_P(ByoCalls, ARowThatSaysNothingOfThisCodeIsListed) {
  for (const auto& [command, line] : {std::pair{"check", "  hook_never (calls[1]) is called in none of these"},
                                      std::pair{"explore", "  not called  hook_never (calls[1])\n"}}) {
    const Result result = framefold(fmt::format("{} '{}'", command, with("never = true", "returns = 0")));
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_THAT(result.text, HasSubstr(line));
    const Result silent = framefold(fmt::format("{} '{}'", command, with()));
    EXPECT_EQ(silent.status, 0) << silent.text;
    EXPECT_THAT(silent.text, testing::Not(HasSubstr("hook_never (")));
  }
}

/// Reached by a fold alone, and by a jump.
TEST_P(ByoCalls, ALabelOfTheEntryIsNoFunction) {
  const bool wide = std::string_view(GetParam()) == "padded64";
  const std::string label = wide ? "evt_fold" : "upcall_fold";
  for (const char* says : {"never = true", "returns = 0"}) {
    const std::string row = fmt::format("clobbers = false\n[[calls]]\nsymbol = \"{}\"\n{}", label, says);
    const Result result = framefold(fmt::format("explore '{}'", with("clobbers = false", row)));
    expect_message(result, says);
    EXPECT_THAT(result.text,
                HasSubstr(fmt::format("calls[5].symbol: expected a function: the code reaches {}", label)));
  }
}

TEST_P(ByoCalls, OneThatTakesAnEventIsInterruptedByIt) {
  const auto deliveries = [](const std::string& entry) {
    const std::string toml = entry + ".scenario.toml";
    std::ofstream(toml) << "[context]\nvector = \"upcall\"\n";
    const Result result = framefold(fmt::format("run --trace --entry '{}' '{}'", entry, toml));
    EXPECT_EQ(result.status, 0) << result.text;
    std::size_t count = 0;
    for (std::size_t at = 0; (at = result.text.find("> upcall delivered", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  const std::size_t with_event = deliveries(with());
  const std::size_t without = deliveries(with("takes_event = true", ""));
  EXPECT_EQ(without, 1U);
  EXPECT_EQ(with_event, 2U);
}

TEST_P(ByoCalls, WithoutARowTheFunctionIsNamed) {
  const Result result = framefold(
      fmt::format("check '{}'", with("symbol = \"hook_event\"\ntakes_event = true", "symbol = \"hook_other\"")));
  expect_message(result, "hook_other");
}

/// One function, of which the description says nothing but its name.
class ByoUnsaidValue : public ByoObject {
 protected:
  std::string with(const std::string& object, const std::string& returns) {
    fs::remove_all(home_ / "padded64.object");
    const std::string entry = describe("padded64", object);
    std::ofstream(entry, std::ios::app) << "[[calls]]\nsymbol = \"audit_hook\"\n" << returns;
    return entry;
  }
};

TEST_F(ByoUnsaidValue, ThatCodeDecidesByIsAskedFor) {
  const Result result = framefold(fmt::format("check '{}'", with("looks64.o", "")));
  expect_message(result, "looks");
  EXPECT_THAT(result.text, HasSubstr("calls[0].returns: missing: expected what audit_hook returns: evt_handle+0x7 "
                                     "(cmpb $5, %bh) looks at it"));
  EXPECT_EQ(framefold(fmt::format("explore '{}'", with("looks64.o", "returns = 0x600\n"))).status, 0);
  const Result decided = framefold(fmt::format("explore --unchecked '{}'", with("looks64.o", "returns = 0x5ff\n")));
  EXPECT_EQ(decided.status, 1) << decided.text;
}

TEST_F(ByoUnsaidValue, ThatIsOnlyCopiedIsNot) {
  const Result result = framefold(fmt::format("explore '{}'", with("copies64.o", "")));
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr(": proved"));
}

TEST_F(ByoUnsaidValue, ThatMayBeOverwrittenIsNotDecidedBy) {
  const Result reg = framefold(fmt::format("explore '{}'", with("looks_overwritten64.o", "")));
  expect_message(reg, "looks_overwritten");
  EXPECT_THAT(reg.text,
              HasSubstr("calls[0].clobbers: expected false, where it keeps what it does not return: "
                        "evt_handle+0xc (cmpb $5, %bh) looks at rcx behind audit_hook, which a C function may "
                        "overwrite (where that line is right, the code is not: --unchecked judges it)\n"));
  const Result flags = framefold(fmt::format("explore '{}'", with("looks_flags64.o", "")));
  expect_message(flags, "looks_flags");
  EXPECT_THAT(flags.text, HasSubstr(") looks at flags behind audit_hook, which a C function may overwrite"));
  for (const auto& [object, returns] :
       {std::pair{"looks_overwritten64.o", "clobbers = false\n"}, std::pair{"looks_carry64.o", ""}}) {
    const Result result = framefold(fmt::format("explore '{}'", with(object, returns)));
    EXPECT_EQ(result.status, 0) << result.text;
  }
}

/// AF in a copy of all flags; CF behind an instruction that writes the others; and parts of two words that are copied.
TEST_F(ByoUnsaidValue, ThatMayBeOverwrittenIsNotDecidedByInParts) {
  for (const auto& [object, what] : {std::pair{"looks_pushf64.o", "(pushfq) looks at flags"},
                                     std::pair{"looks_carry_behind_inc64.o", ") looks at flags"},
                                     std::pair{"looks_unaligned64.o", "(movq 3(%rsp), %rdx) looks at rcx"}}) {
    const Result result = framefold(fmt::format("check '{}'", with(object, "")));
    expect_message(result, object);
    EXPECT_THAT(result.text,
                HasSubstr(": calls[0].clobbers: expected false, where it keeps what it does not return: "));
    EXPECT_THAT(result.text, HasSubstr(fmt::format("{} behind audit_hook, which a C function may overwrite", what)));
  }
}

/// Where a function has left something in one, nobody knows what: code that asks gets no verdict that rests on it.
TEST_F(ByoUnsaidValue, OfSseAndX87RegistersIsAFaultThatIsNamed) {
  const Result result = framefold(fmt::format("check '{}'", with("uses_xmm64.o", "")));
  expect_message(result, "uses_xmm64.o");
  EXPECT_THAT(result.text,
              HasSubstr("stops at evt_handle+0x5 (movd %rax, %xmm0): x87, MMX or SSE while CR0.TS may be set"));
}

/// Events without end make values without end.
TEST_F(ByoUnsaidValue, ThatCountsWithoutEndIsNamedWhereMemoryEnds) {
  const std::string entry = with("counts64.o", "[entry_data]\ncounters = [{ symbol = \"irq_count\", size = 4 }]\n");
  std::string text = read(entry);
  const std::string hook = "[[calls]]\nsymbol = \"audit_hook\"\n";
  std::ofstream(entry, std::ios::binary) << text.erase(text.find(hook), hook.size());
  const Result result = framefold(fmt::format("explore --memory 16 '{}'", entry));
  EXPECT_EQ(result.status, 2) << result.text;
  EXPECT_THAT(result.text, testing::ContainsRegex("  data        irq_count: [3-9] values in the states that waited"));
  EXPECT_THAT(result.text, HasSubstr("; where data that is listed counts without end, no memory is enough\n"));
}

/// Of an exception, in a register that the description does not name.
class ByoErrorCode : public ByoObject {
 protected:
  static constexpr const char* kSays = "error_code_argument = \"rsi\"\n";
};

TEST_F(ByoErrorCode, InARegisterThatNobodyNamesIsALineToLookAt) {
  const std::string entry = replace(describe("padded64", "error_in_rdx64.o"), {{kSays, ""}});
  const Result unsaid = framefold(fmt::format("check '{}'", entry));
  EXPECT_EQ(unsaid.status, 0) << unsaid.text;
  EXPECT_THAT(unsaid.text,
              HasSubstr("  rdx holds the error code of fault, kernel on thread when fault_dispatch is called, "
                        "and handler.error_code_argument does not say so"));
  EXPECT_THAT(unsaid.text, HasSubstr("  handler.error_code_argument = \"none\" ("));
  replace(entry, {{"argument = \"rdi\"\n", "argument = \"rdi\"\nerror_code_argument = \"rdx\"\n"}});
  const Result said = framefold(fmt::format("check '{}'", entry));
  EXPECT_EQ(said.status, 0) << said.text;
  EXPECT_THAT(said.text, testing::Not(HasSubstr("error_code")));
}

TEST_F(ByoErrorCode, ThatIsLostIsNotSaidToBeNone) {
  const std::string entry = describe("padded64", "error_lost64.o");
  const Result check = framefold(fmt::format("check '{}'", entry));
  expect_message(check, kSays);
  EXPECT_THAT(check.text,
              HasSubstr(": handler.error_code_argument: expected the register in which fault_dispatch gets the "
                        "error code of fault, kernel on thread: none holds it."));
  const Result judged = framefold(fmt::format("explore --unchecked '{}'", entry));
  EXPECT_EQ(judged.status, 1) << judged.text;
  EXPECT_THAT(judged.text, HasSubstr(":handler-frame:pf_entry"));
}

/// Code that a plain iretq goes on with at a user's RIP in the region is no longer there for the frame: its flags are
/// the user's.
TEST_F(ByoUnsaidValue, IsNotLookedForWhereAContextRuns) {
  for (const auto& [object, status, verdict] :
       {std::tuple{"users64.o", 0, ": proved"}, std::tuple{"users_plain64.o", 1, ":register-mismatch:"}}) {
    fs::remove_all(home_ / "padded64.object");
    const std::string entry =
        replace(describe("padded64", object),
                {{"modes = [\"kernel\"]", "modes = [\"kernel\", \"user\"]"},
                 {"[stacks]\n", "[stacks]\nkernel = { symbol = \"kernel_stack\", size = 0x4000 }\n"}});
    const Result result = framefold(fmt::format("explore --no-second-values '{}'", entry));
    EXPECT_EQ(result.status, status) << result.text;
    EXPECT_THAT(result.text, HasSubstr(verdict));
  }
}

/// What a function does where work is asked for: no plain upcall reaches it.
TEST_F(ByoObject, WhatAFunctionStoresWhereWorkIsAskedForIsHeldAgainstItsRow) {
  const std::string kernel = "kernel = { symbol = \"kernel_stack\", size = 0x4000 }\n";
  const std::string rows =
      "[work_flag]\nsymbol = \"work_bits\"\nmask = 4\n"
      "[[calls]]\nsymbol = \"do_work\"\nsets = \"work_bits\"\nto = 0\n";
  const std::string entry =
      replace(describe("padded64", "users_work64.o"),
              {{"modes = [\"kernel\"]", "modes = [\"kernel\", \"user\"]"}, {"[stacks]\n", "[stacks]\n" + kernel}});
  const std::string text = read(entry);
  const auto check = [&](const std::string& what, const std::string& with) {
    std::ofstream(entry, std::ios::binary) << text << std::regex_replace(rows, std::regex(what), with);
    return framefold(fmt::format("check '{}'", entry));
  };
  EXPECT_EQ(check("nothing", "").status, 0) << check("nothing", "").text;
  for (const auto& [what, with, key] :
       {std::tuple{"sets = \"work_bits", "sets = \"kernel_stack+0x40", "calls[0].sets"},
        std::tuple{"sets = \"work_bits", "sets = \"vcpu_ptr", "calls[0].sets"},
        std::tuple{"to = 0", "to = 16", "calls[0].to"},
                                        std::tuple{"mask = 4", "mask = 6", "work_flag.mask"},
        std::tuple{"flag\\]\nsymbol = \"work_bits", "flag]\nsymbol = \"kernel_stack+0x40", "work_flag.symbol"}}) {
    const Result result = check(what, with);
    expect_message(result, with);
    EXPECT_THAT(result.text, HasSubstr(fmt::format(": {}: ", key)));
  }
}

/// A single run has a verdict, which says that it rests on the value.
TEST_F(ByoUnsaidValue, ThatAFindingRestsOnIsNamed) {
  const std::string entry = with("looks_flags64.o", "");
  std::ofstream(entry + ".scenario.toml") << "[context]\nvector = \"upcall\"\n";
  const Result result = framefold(fmt::format("run --unchecked --json --entry '{}' '{}.scenario.toml'", entry, entry));
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("calls[0].clobbers: expected false, where it keeps what it does not return: "));
  EXPECT_THAT(result.text, HasSubstr(" looks at flags behind audit_hook"));
}

/// A verdict without the line: it says what it rests on. With it checked, there is none.
TEST_F(ByoUnsaidValue, IsWhatAnUncheckedVerdictRestsOn) {
  const std::string entry = with("looks_flags64.o", "");
  const Result judged = framefold(fmt::format("explore --unchecked --no-second-values '{}'", entry));
  EXPECT_EQ(judged.status, 1) << judged.text;
  EXPECT_THAT(judged.text, HasSubstr("violation   padded64:guest-fault:"));
  EXPECT_THAT(judged.text, HasSubstr(": calls[0].clobbers: expected false, where it keeps what it does not return: "));
  expect_message(framefold(fmt::format("explore '{}'", entry)), "looks_flags");
}

TEST_F(ByoUnsaidValue, HasNoMutants) {
  const Result result = framefold(fmt::format("mutants '{}'", with("looks_nested64.o", "")));
  expect_message(result, "looks_nested");
  EXPECT_THAT(result.text, HasSubstr("calls[0].returns: missing: "));
}

TEST_F(ByoObject, AnotherFunctionThatGetsTheFrameMayBeTheHandler) {
  const std::string entry =
      replace(describe("padded64", "padded64.o"), {{"symbol = \"irq_dispatch\"", "symbol = \"leave_as_is\""}});
  const Result result = framefold(fmt::format("check '{}'", entry));
  expect_message(result, "leave_as_is");
  EXPECT_THAT(result.text, HasSubstr("handler.symbol: expected irq_dispatch, which evt_entry calls with its frame; or, "
                                     "where that is another function, a row of `calls`"));
}

TEST_F(ByoObject, AHandlersArgumentOnTheStackIsItsOwn) {
  const Result result = framefold(fmt::format("explore '{}'", describe("trapframe32", "looks_argument32.o")));
  expect_message(result, "looks_argument");
  EXPECT_THAT(result.text, HasSubstr("handler.symbol: expected another function, or code that does not look: "));
  EXPECT_THAT(result.text, HasSubstr(" looks at an argument on the stack behind event_handler"));
}

/// Only an event in the handler itself leads there, which no check lets in.
TEST_F(ByoUnsaidValue, ThatOnlyExploringReachesIsAskedForByIt) {
  EXPECT_EQ(framefold(fmt::format("check '{}'", with("looks_nested64.o", ""))).status, 0);
  const std::string junit = (home_ / "j.xml").string();
  const Result result =
      framefold(fmt::format("explore --unchecked --junit '{}' '{}'", junit, with("looks_nested64.o", "")));
  expect_message(result, "looks_nested");
  EXPECT_THAT(result.text, HasSubstr("calls[0].returns: missing: expected what audit_hook returns: "));
  EXPECT_THAT(result.text,
              HasSubstr(" looks at it (with the value that framefold puts there nothing is wrong, which "));
  EXPECT_THAT(read(junit), HasSubstr("calls[0].returns"));
  EXPECT_EQ(framefold(fmt::format("explore '{}'", with("looks_nested64.o", "returns = 0\n"))).status, 0);
}

INSTANTIATE_TEST_SUITE_P(Width, ByoCalls, testing::Values("padded64", "trapframe32"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace framefold::test
