// Code that is right wherever a plain upcall comes, and wrong elsewhere: what it takes to see that it is.
#include "test/byo_fixture.hpp"

namespace framefold::test {
namespace {

class ByoProof : public ByoObject {
 protected:
  Result explore(const std::string& object, const std::string& rows = "") {
    fs::remove_all(home_ / "padded64.object");
    entry_ = describe("padded64", object);
    std::ofstream(entry_, std::ios::binary | std::ios::app) << rows;
    return framefold(fmt::format("explore '{}'", entry_));
  }
  std::string entry_;
};

TEST_F(ByoProof, CodeThatIsRightHasOne) {
  const Result result = explore("padded64.o");
  EXPECT_EQ(result.status, 0) << result.text;
}

/// A context below the image is folded into nothing. (One above it would be, where the upper bound is missing.)
TEST_F(ByoProof, ARegionThatIsComparedOnOneSideOnlyHasNone) {
  const Result result = explore("no_lower_bound64.o");
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("violation   padded64:handler-frame:"));
}

/// Stacks that framefold makes lie above 4 GiB.
TEST_F(ByoProof, AStackPointerOfWhichHalfIsLostHasNone) {
  const Result result = explore("half_rsp64.o");
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("violation   padded64:guest-fault:"));
}

/// Code that folds whatever has its RIP in the window. Where no labels say so, it is seen where that is.
TEST_F(ByoProof, AFoldThatTakesAUsersRipForItsOwnHasNone) {
  const std::string user_stack = "kernel = { symbol = \"kernel_stack\", size = 0x4000 }\n";
  const std::string labels = "[region]\nstart = \"win_lo\"\nend = \"win_hi\"\nrestore_end = \"win_back\"\n";
  for (const auto& [object, status, verdict] :
       {std::tuple{"users64.o", 0, ": proved"}, std::tuple{"users_taken64.o", 1, "place = \"region\""}}) {
    fs::remove_all(home_ / "padded64.object");
    const std::string entry =
        replace(describe("padded64", object), {{"modes = [\"kernel\"]", "modes = [\"kernel\", \"user\"]"},
                                               {"[stacks]\n", "[stacks]\n" + user_stack},
                                               {labels, ""}});
    const Result result = framefold(fmt::format("explore --no-second-values '{}'", entry));
    EXPECT_EQ(result.status, status) << result.text;
    EXPECT_THAT(result.text, HasSubstr(verdict));
    EXPECT_THAT(result.text, HasSubstr("users' contexts have their RIP there too, from leave+0x"));
  }
}

/// A hypercall, and an instruction inside another one, change a register that the next state is told apart by.
TEST_F(ByoProof, WhatChangesARegisterUnseenIsSeen) {
  for (const char* where : {"call", "inside"}) {
    const Result wrong = explore(fmt::format("unseen_{}64.o", where));
    EXPECT_EQ(wrong.status, 1) << wrong.text;
    EXPECT_THAT(wrong.text, HasSubstr("violation   padded64:handler-frame:"));
    const Result right = explore(fmt::format("unseen_{}_right64.o", where));
    EXPECT_EQ(right.status, 0) << right.text;
  }
}

/// On the way out of a hypercall, Xen delivers what was raised before events were unmasked.
TEST_F(ByoProof, AWindowIsOpenOnAllOfTheHypercallPage) {
  const Result result = explore("calls_in_window64.o");
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("violation   padded64:critical-frame:"));
}

TEST_F(ByoProof, CodeInsideAnInstructionThatNoBranchNamesHasNone) {
  const Result result = explore("inside_by_pointer64.o");
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("violation   padded64:guest-fault:"));
}

TEST_F(ByoProof, AFunctionThatOnlyExploringReachesIsAskedFor) {
  const Result result = explore("calls_in_fold64.o");
  expect_message(result, entry_);
  EXPECT_THAT(result.text, HasSubstr("image: expected objects that define fold_hook as well, or a row of `calls` that "
                                     "says what it does: "));
  const Result unchecked = framefold(fmt::format("explore --unchecked '{}'", entry_));
  EXPECT_EQ(unchecked.status, 1) << unchecked.text;
  EXPECT_THAT(unchecked.text, HasSubstr("violation   padded64:guest-fault:"));
  const Result described = explore("calls_in_fold64.o", "[[calls]]\nsymbol = \"fold_hook\"\n");
  EXPECT_EQ(described.status, 0) << described.text;
}

/// RCX may be what the handler has left there, where an event interrupts; RBX is the context's own everywhere.
TEST_F(ByoProof, CodeThatChangesARegisterOfTheFrameIsWhatIsWrong) {
  for (const auto& [gpr, status] : {std::pair{"rcx", 2}, std::pair{"rbx", 0}}) {
    const Result verdict = explore(fmt::format("changes_{}64.o", gpr));
    EXPECT_EQ(verdict.status, 1) << verdict.text;
    EXPECT_THAT(verdict.text, HasSubstr("violation   padded64:register-mismatch:"));
    const Result check = framefold(fmt::format("check '{}'", entry_));
    EXPECT_EQ(check.status, status) << check.text;
    EXPECT_THAT(check.text, HasSubstr(fmt::format(": upcall, kernel on thread resumes with {} = 0x", gpr)));
    EXPECT_THAT(check.text, testing::Not(HasSubstr("handler.symbol: ")));
  }
  explore("padded64.o");
  EXPECT_THAT(framefold(fmt::format("check '{}'", entry_)).text, testing::Not(HasSubstr("resumes with")));
}

/// Whatever the handler has left there is wrong for the context; where the context gets its own, nobody knows what a
/// look means.
TEST_F(ByoProof, AValueThatAHandlerHasLeftInARegisterIsNoExcuse) {
  const Result lost = explore("rcx_lost64.o");
  EXPECT_EQ(lost.status, 1) << lost.text;
  EXPECT_THAT(lost.text, HasSubstr("violation   padded64:register-mismatch:"));
  EXPECT_THAT(framefold(fmt::format("check '{}'", entry_)).text,
              HasSubstr("upcall, kernel on thread resumes with rcx"));
  const Result looks = explore("counts_in_rcx64.o");
  expect_message(looks, entry_);
  EXPECT_THAT(looks.text, HasSubstr(": handler.symbol: expected another function, or code that does not look: "));
}

/// Where a handler was interrupted, the bug has the code look at what that handler had in RAX. It is wrong elsewhere
/// too, where nobody looks at such a value.
TEST_F(ByoProof, CodeThatLooksAtAHandlersValueByABugIsWrong) {
  const Result low = explore("folds_low64.o");
  EXPECT_EQ(low.status, 1) << low.text;
  EXPECT_THAT(low.text, HasSubstr("violation   padded64:handler-frame:win_lo: 1 arrivals"));
  EXPECT_THAT(low.text, testing::Not(HasSubstr("handler.returns")));
}

/// Its contexts are those of a kernel alone, which has no two selectors alike either.
TEST_F(ByoProof, SegmentsThatAreExchangedHaveNoneWithoutUserMode) {
  const auto kernel_only = [this](const std::string& object) {
    fs::remove_all(home_ / "trapframe32.object");
    return replace(describe("trapframe32", object), {{"modes = [\"kernel\", \"user\"]", "modes = [\"kernel\"]"},
                                                     {"kernel = { symbol", "# kernel = { symbol"}});
  };
  const Result wrong = framefold(fmt::format("explore '{}'", kernel_only("exchanges32.o")));
  EXPECT_EQ(wrong.status, 1) << wrong.text;
  EXPECT_THAT(wrong.text, HasSubstr("violation   trapframe32:register-mismatch:"));
  const Result right = framefold(fmt::format("explore '{}'", kernel_only("trapframe32.o")));
  EXPECT_EQ(right.status, 0) << right.text;
}

/// A trap with a name is not one of framefold's.
TEST_F(ByoProof, ATrapOfTheCodesOwnIsAVerdict) {
  const Result result = explore("traps_in_fold64.o");
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("violation   padded64:guest-fault:"));
}

/// Exceptions with and without an error code may have one handler, whichever is described last.
TEST_F(ByoProof, AnErrorCodeThatIsLostHasNoneWhereTheHandlerTakesOthersToo) {
  const std::string other =
      "[[vectors]]\nname = \"debug\"\nkind = \"exception\"\nnumber = 1\nsymbol = \"de_entry\"\n"
      "handler = \"fault_dispatch\"\n";
  const Result lost = explore("error_lost64.o", other);
  expect_message(lost, entry_);
  EXPECT_THAT(lost.text, HasSubstr(": handler.error_code_argument: "));
  const Result passed = explore("padded64.o", other);
  EXPECT_EQ(passed.status, 0) << passed.text;
}

/// With events masked only, so that no plain context shows it.
TEST_F(ByoProof, AnExceptionThatCallsAnothersHandlerHasNone) {
  const std::string other =
      "[[vectors]]\nname = \"debug\"\nkind = \"exception\"\nnumber = 1\nsymbol = \"db_entry\"\n"
      "handler = \"debug_dispatch\"\n";
  const Result result = explore("other_handler64.o", other);
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("violation   padded64:handler-frame:"));
}

/// What an exception's handler writes to the frame counts where an NMI's is the same function, too.
TEST_F(ByoProof, AFrameThatIsRestoredAsItWasHasNoneWhateverElseCallsItsHandler) {
  const std::string nmi = "[nmi]\nsymbol = \"de_entry\"\nhandler = \"fault_dispatch\"\n";
  EXPECT_THAT(explore("keeps_rax64.o").text, HasSubstr("violation   padded64:register-mismatch:"));
  EXPECT_THAT(explore("keeps_rax64.o", nmi).text, HasSubstr("violation   padded64:register-mismatch:"));
  EXPECT_THAT(explore("padded64.o", nmi).text, testing::Not(HasSubstr("register-mismatch")));
}

}  // namespace
}  // namespace framefold::test
