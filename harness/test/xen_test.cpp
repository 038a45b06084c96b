// What Xen delivers, in which order, and where it crashes the domain instead.
#include <array>

#include "xen_fixture.hpp"

namespace framefold {
namespace {

using namespace test;
using ::testing::Each;
using ::testing::Values;

// ---- What Xen delivers, and in which order ----

TEST_F(Xen64, DeliversExceptionNmiAndEventInThisOrder) {
  const Vector fault = exception_vector(13, true);
  std::optional<PendingException> exception = PendingException{&fault, 0x18};
  guest.vcpu.nmi_pending = true;
  guest.set_upcall(0, 1);
  auto& g = guest;
  const auto first = next_delivery(g.vcpu, g.shared, exception, g.event, &g.nmi);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->vector, &fault);
  EXPECT_EQ(first->error_code, 0x18U);
  EXPECT_FALSE(exception);
  EXPECT_TRUE(g.vcpu.nmi_pending);
  const auto second = next_delivery(g.vcpu, g.shared, exception, g.event, &g.nmi);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->vector, &g.nmi);
  EXPECT_FALSE(g.vcpu.nmi_pending);
  const auto third = next_delivery(g.vcpu, g.shared, exception, g.event, &g.nmi);
  ASSERT_TRUE(third);
  EXPECT_EQ(third->vector, &g.event);
}

class Upcall : public ::testing::TestWithParam<std::array<int, 3>> {};
// The 16-bit load of test_guest_events: pending in the low byte, mask in the high one; 1 to 0xff delivers.
INSTANTIATE_TEST_SUITE_P(Words, Upcall,
                         Values(std::array{0, 0, 0}, std::array{0, 1, 1}, std::array{0, 0x80, 1},
                                std::array{0, 0xff, 1}, std::array{1, 0, 0}, std::array{1, 1, 0},
                                std::array{0x80, 1, 0}, std::array{0xff, 0xff, 0}));
TEST_P(Upcall, IsDeliveredByWholeBytes) {
  const auto [mask, pending, delivered] = GetParam();
  for (const Width width : {Width::k64, Width::k32}) {
    XenGuest guest(width);
    guest.set_upcall(static_cast<std::uint8_t>(mask), static_cast<std::uint8_t>(pending));
    std::optional<PendingException> none;
    EXPECT_EQ(next_delivery(guest.vcpu, guest.shared, none, guest.event, nullptr).has_value(), delivered == 1);
    EXPECT_EQ(guest.shared.upcall_pending(), pending);
  }
}

TEST_F(Xen64, UserModeDoesNotUnmask) {
  enter_user_mode();
  guest.set_upcall(1, 1);
  EXPECT_EQ(guest.give_control(), 0U);
}

TEST_F(Xen64, NmiIsDeliveredWhileEventsAreMaskedAndMasksFurtherNmis) {
  guest.set_upcall(1, 1);
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.registers.rip, kNmiCallback);
  EXPECT_EQ(guest.vcpu.async_exception_mask, 2);
  EXPECT_EQ(guest.vcpu.nmi_old_mask, 0);
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 0U);
  EXPECT_TRUE(guest.vcpu.nmi_pending);
}

TEST_F(Xen64, NmiWithoutHandlerIsLost) {
  guest.with_nmi = false;
  guest.vcpu.nmi_pending = true;
  guest.set_upcall(0, 1);
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.registers.rip, kEventCallback);
  EXPECT_FALSE(guest.vcpu.nmi_pending);
  EXPECT_EQ(guest.vcpu.async_exception_mask, 0);
}

// ---- 64-bit: where there is no delivery but a domain crash ----

TEST_F(Xen64, FrameMustBeMapped) {
  for (const std::uint64_t rsp : {0x4000U, 0x30U, 0x2010U, 0x0U}) {  // unmapped, wrapping, half above, wrapping
    guest.registers[Gpr::rsp] = rsp;
    EXPECT_FALSE(guest.deliver_and_exit(guest.event)) << rsp;
  }
  guest.registers[Gpr::rsp] = 0x0000800000000100;  // not canonical
  EXPECT_FALSE(guest.deliver_and_exit(guest.event));
  guest.registers[Gpr::rsp] = 0x38;  // 0x30 when aligned: one word too few
  EXPECT_FALSE(guest.deliver_and_exit(guest.event));
  EXPECT_THAT(guest.at(0, 0x2000), Each(kUntouched));
  EXPECT_EQ(guest.shared.upcall_mask(), 0);
  guest.registers[Gpr::rsp] = 0x40;  // just fits
  EXPECT_TRUE(guest.deliver_and_exit(guest.event));
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x8U);
}

TEST_F(Xen64, FrameMustBeWritable) {
  guest.memory.map({0x20000}, 0x1000, Access::read_only);
  guest.memory.map({0x30000}, 0x1000, Access::read_execute);
  guest.registers[Gpr::rsp] = 0x20800;
  EXPECT_FALSE(guest.deliver_and_exit(guest.event));
  guest.registers[Gpr::rsp] = 0x30800;
  EXPECT_FALSE(guest.deliver_and_exit(guest.event));
}

TEST_F(Xen64, UserFrameNeedsAGoodKernelStack) {
  enter_user_mode();
  guest.vcpu.kernel_sp = 0x4000;
  EXPECT_FALSE(guest.deliver_and_exit(guest.event));
}

TEST_F(Xen64, FrameMustNotLieInXensRange) {
  guest.memory.map({0xffff800000000000}, 0x1000, Access::read_write);
  guest.memory.map({0xffff87fffffff000}, 0x2000, Access::read_write);
  for (const std::uint64_t rsp : {0xffff800000000800U, 0xffff87fffffff800U, 0xffff880000000000U, 0xffff880000000030U}) {
    guest.registers[Gpr::rsp] = rsp;
    EXPECT_FALSE(guest.deliver_and_exit(guest.event)) << std::hex << rsp;
  }
  guest.registers[Gpr::rsp] = 0xffff880000000040;  // HYPERVISOR_VIRT_END + 64: all of the frame lies above
  EXPECT_TRUE(guest.deliver_and_exit(guest.event));
}

TEST_F(Xen64, NullCallbackCrashes) {
  guest.event.address = {0};
  EXPECT_FALSE(guest.deliver_and_exit(guest.event));
  Vector fault = exception_vector(13, true);
  fault.address = {0};
  EXPECT_FALSE(guest.deliver_and_exit(fault));
}

}  // namespace
}  // namespace framefold
