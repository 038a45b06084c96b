// Entries of one's own as objects, not linked: what they leave undefined, and what other objects bring along.
#include "byo_fixture.hpp"

namespace framefold::test {
namespace {

TEST_F(ByoObject, OneIsLinkedAndProved) {
  for (const char* name : {"padded64", "trapframe32"}) {
    const Result result = framefold(fmt::format("explore '{}'", describe(name, fmt::format("{}.o", name))));
    EXPECT_EQ(result.status, 0) << result.text;
    EXPECT_THAT(result.text, HasSubstr(fmt::format("{}: proved", name)));
  }
}

TEST_F(ByoObject, CodeThatIsNeverEnteredMayCallAnything) {
  const Result result = framefold(fmt::format("check '{}'", describe("padded64", "padded64.o startup64.o")));
  EXPECT_EQ(result.status, 0) << result.text;
}

TEST_F(ByoObject, AnUndefinedFunctionThatIsReachedIsNamed) {
  const std::string entry = describe("padded64", "calls_out.o startup64.o");
  const Result check = framefold(fmt::format("check '{}'", entry));
  expect_message(check, entry);
  EXPECT_THAT(check.text, HasSubstr("image: expected objects that define audit_hook as well"));
  for (const char* command : {"explore", "mutants", "table"}) {
    const Result refused = framefold(fmt::format("{} --entry '{}'", command, entry));
    expect_message(refused, command);
    EXPECT_THAT(refused.text, HasSubstr("image: expected objects that define audit_hook as well"));
  }
  const Result explore = framefold(fmt::format("explore --unchecked '{}'", entry));
  EXPECT_EQ(explore.status, 1);
  EXPECT_THAT(explore.text, HasSubstr("padded64:guest-fault:audit_hook"));
}

TEST_F(ByoObject, RunSaysThatAViolationMayBeTheDescriptions) {
  const std::string entry = describe("padded64", "calls_out.o");
  const std::string toml = (home_ / "plain.toml").string();
  std::ofstream(toml) << "[context]\nvector = \"upcall\"\n";
  const Result result = framefold(fmt::format("run --entry '{}' '{}'", entry, toml));
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("framefold: the description does not hold, and this may be what shows: "));
  EXPECT_THAT(result.text, HasSubstr("image: expected objects that define audit_hook as well"));
}

TEST_F(ByoObject, AnInstructionThatTrapsIsAResult) {
  const std::string entry = describe("padded64", "privileged64.o");
  const Result check = framefold(fmt::format("check '{}'", entry));
  expect_message(check, entry);
  EXPECT_THAT(check.text, HasSubstr("expected code that runs in the guest's ring: upcall, kernel on thread stops at "));
  const Result explore = framefold(fmt::format("explore '{}'", entry));
  EXPECT_EQ(explore.status, 1) << explore.text;
  EXPECT_THAT(explore.text, HasSubstr("padded64:guest-fault:leave"));
}

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
  EXPECT_THAT(undescribed.text, HasSubstr(": stacks.interrupt: expected the stack that the entry switches to"));
}

TEST_F(ByoVariant, WhatAHandlerReturnsIsWhatTheDescriptionSays) {
  const char* const argument = "argument = \"rdi\"\n";
  expect_proof(variant("returns64.o", {{argument, fmt::format("{}returns = 0\n", argument)}}));
  for (const char* other : {"", "returns = 1\n"}) {
    const Result result = framefold(
        fmt::format("check '{}'", variant("returns64.o", {{argument, fmt::format("{}{}", argument, other)}})));
    expect_message(result, other);
    EXPECT_THAT(result.text, HasSubstr("(ud2)"));
  }
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

}  // namespace
}  // namespace framefold::test
