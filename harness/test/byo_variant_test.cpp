// What entries of one's own do otherwise: how they find their data, their stacks and their page, what their handlers
// return, and what a description claims of it.
#include "test/byo_fixture.hpp"

namespace framefold::test {
namespace {

class ByoVariant : public ByoObject {
 protected:
  /// The description of padded64 for another object, with lines replaced.
  std::string variant(const std::string& object, const std::vector<std::pair<std::string, std::string>>& changes = {}) {
    fs::remove_all(home_ / "padded64.object");
    return replace(describe("padded64", object), changes);
  }
  static void expect_proof(const std::string& entry) {
    const Result result = framefold(fmt::format("explore '{}'", entry));
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_THAT(result.text, HasSubstr("padded64: proved"));
  }
};

TEST_F(ByoVariant, PositionIndependentCodeFindsItsDataThroughTheGot) { expect_proof(variant("got64.o")); }

TEST_F(ByoVariant, WhatNobodyDefinesIsNamedHoweverItIsReached) {
  const Result function = framefold(fmt::format("check '{}'", variant("calls_by_pointer64.o")));
  expect_message_on(function, "a function by a pointer", 2);
  EXPECT_THAT(function.text, HasSubstr("image: expected objects that define audit_hook as well, or a row of `calls`"));
  expect_proof(variant("calls_by_pointer64.o", {{"[handler]", "[[calls]]\nsymbol = \"audit_hook\"\n[handler]"}}));
  const Result data = framefold(fmt::format("check '{}'", variant("large_data64.o")));
  expect_message_on(data, "data larger than what stands for it", 2);
  EXPECT_THAT(data.text, HasSubstr("image: expected objects that define big_table as well, or a row of `data` that"));
  EXPECT_THAT(data.text, HasSubstr(", which is big_table+0x1000"));
  expect_proof(variant("large_data64.o",
                       {{"[frame]", "[entry_data]\ncounters = [{ symbol = \"big_table\", size = 8192 }]\n[frame]"}}));
}

TEST_F(ByoVariant, UndefinedDataIsZeroedMemoryOfTheDescribedSize) {
  const auto with = [this](const std::string& objects, const std::string& symbol, unsigned size) {
    return variant(objects, {{"[frame]", fmt::format("[[data]]\nsymbol = \"{}\"\nsize = {}\n[frame]", symbol, size)}});
  };
  copy("padded64");  // its linked image
  expect_proof(with("large_data64.o", "big_table", 8192));
  const std::vector<std::string> lines = lines_of(read(with("large_data64.o", "big_table", 64)));
  const auto row = static_cast<std::size_t>(std::find(lines.begin(), lines.end(), "[[data]]") - lines.begin());
  struct Wrong {
    std::string entry;
    std::size_t line;
    const char* text;
  };
  const auto expect_refusal = [](const Wrong& wrong) {
    const Result result = framefold(fmt::format("explore '{}'", wrong.entry));
    expect_message_on(result, wrong.text, wrong.line);
    EXPECT_THAT(result.text, HasSubstr(wrong.text));
  };
  expect_refusal(
      {with("large_data64.o", "big_table", 64), row + 2, "data[0].size: expected as many bytes as the code"});
  expect_refusal({with("large_data64.o", "big_table", (256 << 10) + 1), row + 2, "data[0].size: expected an integer"});
  expect_refusal({with("large_data64.o", "no_table", 64), row + 1, "no_table is not used by them"});
  expect_refusal({with("large_data64.o", "evt_save", 64), row + 1, "evt_save is defined by them"});
  expect_refusal({with("calls_out.o", "audit_hook", 64), row + 1, "audit_hook is a function that they call"});
  expect_refusal({with("large_data64.o", "vcpu_ptr", 64), row + 1, "vcpu_ptr is vcpu_info.pointer"});
  expect_refusal({with("../padded64/padded64.elf", "big_table", 64), row, "data: expected only where `image` is"});
}

TEST_F(ByoVariant, AHypercallPageInTheMiddleOfTheCodeIsTakenAsItIs) {
  expect_proof(variant("page_before64.o startup64.o", {{"xen_calls", "hyper_page"}}));
  expect_proof(variant("page_behind64.o startup64.o", {{"xen_calls", "hyper_page"}}));
  expect_proof(variant("startup64.o page_behind64.o", {{"xen_calls", "hyper_page"}}));
}

TEST_F(ByoVariant, AnInterruptStackByAPointerThatStartUpCodeSets) {
  const char* const thread = "thread = { symbol = \"idle_stack\", size = 0x4000 }";
  const auto with = [&](const char* pointer) {
    return variant("irq_stack64.o",
                   {{thread, fmt::format("{}\ninterrupt = {{ symbol = \"irq_stack\", size = 0x4000{} }}\nnesting = {{ "
                                         "symbol = \"irq_depth\", on_thread = -1, on_interrupt = 0 }}",
                                         thread, pointer)}});
  };
  expect_proof(with(", pointer = \"irq_stack_top\""));
  const Result without = framefold(fmt::format("check '{}'", with("")));
  expect_message(without, "no pointer");
  EXPECT_THAT(without.text, HasSubstr(": stacks.interrupt.symbol: expected the stack that the entry switches to"));
  const Result undescribed = framefold(fmt::format("explore '{}'", variant("irq_stack64.o")));
  expect_message(undescribed, "no interrupt stack");
  EXPECT_THAT(undescribed.text,
              HasSubstr(": stacks.interrupt: missing: expected the stack that the entry switches to"));
}

/// Of a word that the code compares with -1 or 1, sets and counts back.
TEST_F(ByoVariant, TheCountOnEachStackIsMeasured) {
  const char* const thread = "thread = { symbol = \"idle_stack\", size = 0x4000 }";
  const auto with = [&](const char* object, int on_thread, int on_interrupt) {
    return variant(object, {{thread, fmt::format("{}\ninterrupt = {{ symbol = \"irq_stack\", size = 0x4000, pointer = "
                                                 "\"irq_stack_top\" }}\nnesting = {{ symbol = \"irq_depth\", "
                                                 "on_thread = {}, on_interrupt = {} }}",
                                                 thread, on_thread, on_interrupt)}});
  };
  const auto expect_line = [&](const std::string& entry, const char* key, int expected) {
    const Result result = framefold(fmt::format("explore '{}'", entry));
    expect_message(result, key);
    EXPECT_THAT(result.text, HasSubstr(fmt::format(": stacks.nesting.{}: expected {}: ", key, expected)));
  };
  for (const int other : {-4, -2, -1, 1, 7}) expect_line(with("irq_stack64.o", -1, other), "on_interrupt", 0);
  expect_proof(with("irq_flag64.o", 0, 1));
  expect_line(with("irq_flag64.o", 0, 2), "on_interrupt", 1);
  expect_line(with("irq_flag64.o", 7, 1), "on_thread", 0);
}

TEST_F(ByoVariant, WhatAHandlerReturnsIsWhatTheDescriptionSays) {
  const char* const argument = "argument = \"rdi\"\n";
  expect_proof(variant("returns64.o", {{argument, fmt::format("{}returns = 0\n", argument)}}));
  const Result other = framefold(
      fmt::format("check '{}'", variant("returns64.o", {{argument, fmt::format("{}returns = 1\n", argument)}})));
  expect_message(other, "returns = 1");
  EXPECT_THAT(other.text, HasSubstr("vectors[0].symbol: expected code that returns to what it interrupted"));
  EXPECT_THAT(other.text, HasSubstr("(ud2)"));
  EXPECT_THAT(other.text, HasSubstr(": handler.returns: expected 0: with it the description holds"));
  const Result unsaid = framefold(fmt::format("check '{}'", variant("returns64.o")));
  expect_message(unsaid, "no value");
  EXPECT_THAT(unsaid.text, HasSubstr("handler.returns: missing: expected what irq_dispatch returns: "));
}

TEST_F(ByoVariant, WhatOneHandlerReturnsMayBeSaidOfItsVector) {
  const auto with = [this](const char* handlers, const char* divide, const char* fault) {
    const std::string argument = "argument = \"rdi\"\n";
    const std::string divide_symbol = "symbol = \"de_entry\"\n";
    const std::string fault_symbol = "symbol = \"pf_entry\"\n";
    return variant("returns_each64.o", {{argument, argument + handlers},
                                        {divide_symbol, divide_symbol + divide},
                                        {fault_symbol, fault_symbol + fault}});
  };
  expect_proof(with("returns = 0\n", "returns = 1\n", "returns = 1\n"));
  const std::string event_symbol = "symbol = \"evt_entry\"\n";
  expect_proof(replace(with("returns = 1\n", "", ""), {{event_symbol, event_symbol + "returns = 0\n"}}));
  const Result wrong = framefold(fmt::format("check '{}'", with("returns = 0\n", "", "")));
  expect_message(wrong, "one value for all");
  EXPECT_THAT(wrong.text, HasSubstr("vectors[1].symbol: expected code that returns to what it interrupted"));
  const Result two = framefold(fmt::format("check '{}'", with("returns = 0\n", "returns = 1\n", "returns = 2\n")));
  expect_message(two, "two values of one handler");
  EXPECT_THAT(two.text, HasSubstr("vectors[2].returns: expected what vectors[1].returns ("));
}

TEST_F(ByoVariant, AFindingThatRestsOnWhatAnExceptionMasksSaysSo) {
  const std::string symbol = "symbol = \"de_entry\"\n";
  expect_proof(variant("needs_mask64.o", {{symbol, symbol + "masks_events = true\n"}}));
  for (const std::string& said : {std::string("masks_events = false\n"), std::string()}) {
    const std::string entry = variant("needs_mask64.o", {{symbol, symbol + said}});
    const std::string claim =
        fmt::format("vectors[1].masks_events = false ({}{}", entry, said.empty() ? " does not say it)" : ":19)");
    const Result result = framefold(fmt::format("explore '{}'", entry));
    EXPECT_EQ(result.status, 1) << result.text;
    EXPECT_THAT(result.text, HasSubstr("padded64:guest-fault:de_entry+0x6"));
    EXPECT_THAT(result.text, HasSubstr("rests on    " + claim));
    EXPECT_THAT(framefold(fmt::format("check '{}'", entry)).text, HasSubstr("\n  " + claim));
  }
  const Result other = framefold(fmt::format("explore '{}'", copy("bypage64").string()));
  EXPECT_THAT(other.text, HasSubstr("rests on    nests = false"));
  EXPECT_THAT(other.text, testing::Not(HasSubstr("masks_events = ")));
}

TEST_F(ByoVariant, CodeThatTouchesAVcpuInfoNeedsItsDescription) {
  const Result touches =
      framefold(fmt::format("check '{}'", variant("padded64.o", {{"[vcpu_info]\npointer = \"vcpu_ptr\"\n", ""}})));
  expect_message(touches, "none");
  EXPECT_THAT(touches.text, HasSubstr(": vcpu_info: expected"));
}

TEST_F(ByoVariant, WhatADescriptionClaimsOfTheCodeIsLookedAt) {
  const Result nests =
      framefold(fmt::format("explore '{}'", variant("padded64.o", {{"width = 64", "nests = true\nwidth = 64"}})));
  expect_message(nests, "nests");
  EXPECT_THAT(nests.text, HasSubstr("nests: expected false: an event at win_lo is folded"));
  const std::string narrow = copy("trapframe32").string();
  std::string text = read(narrow);
  const std::string upcall = "kind = \"event\"\nsymbol = \"upcall\"";
  text.replace(text.find(upcall), upcall.size(), "kind = \"event\"\nsymbol = \"upcall_save\"");
  std::ofstream(narrow, std::ios::binary) << text;
  const Result callback = framefold(fmt::format("explore '{}'", narrow));
  expect_message(callback, "callback");
  EXPECT_THAT(callback.text, HasSubstr("vectors[0].symbol: expected where Xen enters: the code compares addresses"));
}

}  // namespace
}  // namespace framefold::test
