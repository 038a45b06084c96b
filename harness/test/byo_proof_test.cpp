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

/// Stacks that framefold makes lie above 4 GiB.
TEST_F(ByoProof, AStackPointerOfWhichHalfIsLostHasNone) {
  const Result result = explore("half_rsp64.o");
  EXPECT_EQ(result.status, 1) << result.text;
  EXPECT_THAT(result.text, HasSubstr("violation   padded64:guest-fault:"));
}

}  // namespace
}  // namespace framefold::test
