// Deliveries and event channels against bytes written down by hand from Xen's rules.
#include <array>

#include "machine/xen_public.hpp"
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

// ---- 64-bit frames ----

// Section 1.10.
TEST_F(Xen64, GoldenVector) {
  guest.set_upcall(0, 1);
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xfc8, 0x38), hex("c8 c7 c6 c5 c4 c3 c2 c1"     // rcx
                                       "b8 b7 b6 b5 b4 b3 b2 b1"     // r11
                                       "66 55 44 33 22 11 00 00"     // rip
                                       "30 e0 00 00 00 00 00 00"     // cs, RPL 0, mask 0
                                       "46 02 00 00 00 00 00 00"     // rflags, IF
                                       "08 10 00 00 00 00 00 00"     // rsp
                                       "2b e0 00 00 00 00 00 00"));  // ss
  EXPECT_THAT(guest.at(0, 0xfc8), Each(kUntouched));
  EXPECT_THAT(guest.at(0x1000, 0x1000), Each(kUntouched));
  const Registers& r = guest.registers;
  EXPECT_EQ(r[Gpr::rsp], 0xfc8U);
  EXPECT_EQ(r.rip, kEventCallback);
  EXPECT_EQ(r[Segment::cs], 0xe033);
  EXPECT_EQ(r[Segment::ss], 0xe02b);
  EXPECT_EQ(r.rflags, 0x246U);
  EXPECT_EQ(r[Gpr::rcx], kEventCallback);
  EXPECT_EQ(r[Gpr::r11], 0x246U);
  EXPECT_EQ(r[Gpr::rax], 0x0a0a0a0a0a0a0a0aU);
  EXPECT_EQ(r.gs_base, 0x6000U);
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
  EXPECT_EQ(guest.shared.upcall_pending(), 1);
  EXPECT_EQ(guest.vcpu.mode, GuestMode::kernel);
}

// Section 1.10, second half.
TEST_F(Xen64, NmiWhileMasked) {
  guest.set_upcall(1, 1);
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xfc8, 0x38), hex("c8 c7 c6 c5 c4 c3 c2 c1"
                                       "b8 b7 b6 b5 b4 b3 b2 b1"
                                       "66 55 44 33 22 11 00 00"
                                       "30 e0 00 00 01 00 00 00"  // cs, mask 1
                                       "46 00 00 00 00 00 00 00"  // rflags, no IF
                                       "08 10 00 00 00 00 00 00"
                                       "2b e0 00 00 00 00 00 00"));
  EXPECT_EQ(guest.registers.rflags, 0x246U);
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
}

TEST_F(Xen64, AnyMaskByteIsKeptInTheFrameAndGetsBit0) {
  guest.set_upcall(0x80, 0);
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xfe0, 16), hex("30 e0 00 00 80 00 00 00  46 00 00 00 00 00 00 00"));
  EXPECT_EQ(guest.shared.upcall_mask(), 0x81);
}

TEST_F(Xen64, PaddingOfVcpuInfoShowsAboveTheMask) {
  const std::uint32_t mask_at = abi_of(Width::k64).upcall_mask;
  guest.page[mask_at + 1] = 0x22;
  guest.page[mask_at + 2] = 0x33;
  guest.page[mask_at + 3] = 0x44;
  guest.page[mask_at + 4] = 0x55;
  guest.set_upcall(0, 1);
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xfe0, 8), hex("30 e0 00 00 00 22 33 44"));
  EXPECT_EQ(guest.page[mask_at + 1], 0x22);
}

TEST_F(Xen64, NmiStackedOnAnEventBeforeItsFirstInstruction) {
  guest.set_upcall(0, 1);
  Delivery event{&guest.event, 0};
  ASSERT_TRUE(deliver(guest.vcpu, guest.registers, guest.memory, guest.shared, event));
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xf88, 0x78), hex("c8 c7 c6 c5 c4 c3 c2 c1"  // rcx: Xen has not exited yet
                                       "b8 b7 b6 b5 b4 b3 b2 b1"  // r11
                                       "00 70 00 00 00 00 00 00"  // rip: the event callback
                                       "30 e0 00 00 01 00 00 00"  // cs, mask 1
                                       "46 00 00 00 00 00 00 00"  // rflags, no IF
                                       "c8 0f 00 00 00 00 00 00"  // rsp: the event's frame
                                       "2b e0 00 00 00 00 00 00"  // ss
                                       "a5 a5 a5 a5 a5 a5 a5 a5"  // alignment
                                       "c8 c7 c6 c5 c4 c3 c2 c1"  // the event's frame
                                       "b8 b7 b6 b5 b4 b3 b2 b1"
                                       "66 55 44 33 22 11 00 00"
                                       "30 e0 00 00 00 00 00 00"
                                       "46 02 00 00 00 00 00 00"
                                       "08 10 00 00 00 00 00 00"
                                       "2b e0 00 00 00 00 00 00"));
  EXPECT_EQ(guest.registers[Gpr::rsp], 0xf88U);
  EXPECT_EQ(guest.registers.rip, kNmiCallback);
  EXPECT_EQ(guest.registers[Gpr::rcx], kNmiCallback);
  EXPECT_EQ(guest.registers[Gpr::r11], 0x246U);
}

TEST_F(Xen64, NmiAtTheFirstInstructionOfTheCallbackSeesRcxAndR11Destroyed) {
  guest.set_upcall(0, 1);
  ASSERT_EQ(guest.give_control(), 1U);
  guest.vcpu.nmi_pending = true;
  ASSERT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xf88, 16), hex("00 70 00 00 00 00 00 00  46 02 00 00 00 00 00 00"));
}

TEST_F(Xen64, EventStackedOnAnExceptionThatDoesNotMask) {
  const Vector fault = exception_vector(13, true);
  guest.set_upcall(0, 1);
  EXPECT_EQ(guest.give_control(PendingException{&fault, 0xe030}), 2U);
  EXPECT_EQ(guest.at(0xf88, 0x78), hex("c8 c7 c6 c5 c4 c3 c2 c1"     // rcx
                                       "b8 b7 b6 b5 b4 b3 b2 b1"     // r11
                                       "00 72 00 00 00 00 00 00"     // rip: the exception handler
                                       "30 e0 00 00 00 00 00 00"     // cs, mask 0
                                       "46 02 00 00 00 00 00 00"     // rflags, IF; RF is off again
                                       "c0 0f 00 00 00 00 00 00"     // rsp: the exception's frame
                                       "2b e0 00 00 00 00 00 00"     // ss
                                       "c8 c7 c6 c5 c4 c3 c2 c1"     // the exception's frame: rcx
                                       "b8 b7 b6 b5 b4 b3 b2 b1"     // r11
                                       "30 e0 00 00 00 00 00 00"     // error code
                                       "66 55 44 33 22 11 00 00"     // rip
                                       "30 e0 00 00 00 00 00 00"     // cs
                                       "46 02 01 00 00 00 00 00"     // rflags, IF and RF
                                       "08 10 00 00 00 00 00 00"     // rsp
                                       "2b e0 00 00 00 00 00 00"));  // ss
  EXPECT_EQ(guest.registers.rip, kEventCallback);
  EXPECT_EQ(guest.registers[Gpr::rsp], 0xf88U);
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
}

TEST_F(Xen64, NoEventIsStackedOnAnExceptionThatMasks) {
  const Vector fault = exception_vector(6, false, true);
  guest.set_upcall(0, 1);
  EXPECT_EQ(guest.give_control(PendingException{&fault, 0}), 1U);
  EXPECT_EQ(guest.registers.rip, kExceptionHandler);
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
  EXPECT_EQ(guest.at(0xfe0, 8), hex("30 e0 00 00 00 00 00 00"));  // the mask before
}

TEST_F(Xen64, ExceptionThatDoesNotMaskLeavesTheMask) {
  const Vector fault = exception_vector(6, false);
  guest.set_upcall(0x40, 1);
  EXPECT_EQ(guest.give_control(PendingException{&fault, 0}), 1U);
  EXPECT_EQ(guest.shared.upcall_mask(), 0x40);
  EXPECT_EQ(guest.at(0xfe0, 16), hex("30 e0 00 00 40 00 00 00  46 00 01 00 00 00 00 00"));
}

TEST_F(Xen64, ExceptionWithErrorCodeFromTheKernel) {
  EXPECT_TRUE(guest.deliver_and_exit(exception_vector(13, true), 0xe030));
  EXPECT_EQ(guest.at(0xfc0, 0x40), hex("c8 c7 c6 c5 c4 c3 c2 c1"
                                       "b8 b7 b6 b5 b4 b3 b2 b1"
                                       "30 e0 00 00 00 00 00 00"  // error code
                                       "66 55 44 33 22 11 00 00"
                                       "30 e0 00 00 00 00 00 00"
                                       "46 02 01 00 00 00 00 00"  // RF
                                       "08 10 00 00 00 00 00 00"
                                       "2b e0 00 00 00 00 00 00"));
  EXPECT_EQ(guest.registers[Gpr::rsp], 0xfc0U);
  EXPECT_EQ(guest.registers.rflags, 0x246U);
}

TEST_F(Xen64, ExceptionWithErrorCodeFromUserMode) {
  enter_user_mode();
  EXPECT_TRUE(guest.deliver_and_exit(exception_vector(13, true), 0x410));
  EXPECT_EQ(guest.at(0x8fc0, 0x40), hex("c8 c7 c6 c5 c4 c3 c2 c1"
                                        "b8 b7 b6 b5 b4 b3 b2 b1"
                                        "10 04 00 00 00 00 00 00"  // error code
                                        "66 55 44 33 22 11 00 00"
                                        "33 e0 00 00 00 00 00 00"  // cs, RPL 3
                                        "46 02 01 00 00 00 00 00"
                                        "08 10 00 00 00 00 00 00"  // the user's rsp
                                        "2b e0 00 00 00 00 00 00"));
  EXPECT_THAT(guest.at(0, 0x2000), Each(kUntouched));
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x8fc0U);
  EXPECT_EQ(guest.vcpu.mode, GuestMode::kernel);
  EXPECT_EQ(guest.registers.gs_base, 0x6000U);
  EXPECT_EQ(guest.vcpu.user_gs_base, 0x5000U);
}

TEST_F(Xen64, EventFromUserModeIsPushedOnTheKernelStack) {
  enter_user_mode();
  guest.set_upcall(0, 1);
  EXPECT_EQ(bounce_frame_top(guest.vcpu, guest.registers, Width::k64), GuestAddress{0x9000});
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x8fc8U);
  EXPECT_EQ(guest.at(0x8fe0, 0x20), hex("33 e0 00 00 00 00 00 00  46 02 00 00 00 00 00 00"
                                        "08 10 00 00 00 00 00 00  2b e0 00 00 00 00 00 00"));
}

TEST_F(Xen64, UserSegmentsAreShownVerbatim) {
  enter_user_mode();
  guest.registers[Segment::cs] = 0xe023;
  guest.registers[Segment::ss] = 0x002f;
  EXPECT_TRUE(guest.deliver_and_exit(guest.event));
  EXPECT_EQ(guest.at(0x8fe0, 8), hex("23 e0 00 00 00 00 00 00"));
  EXPECT_EQ(guest.at(0x8ff8, 8), hex("2f 00 00 00 00 00 00 00"));
  EXPECT_EQ(guest.registers[Segment::cs], 0xe033);
  EXPECT_EQ(guest.registers[Segment::ss], 0xe02b);
}

TEST_F(Xen64, UserGsBaseIsRemembered) {
  enter_user_mode();
  guest.registers.gs_base = 0x5500;
  EXPECT_TRUE(guest.deliver_and_exit(guest.event));
  EXPECT_EQ(guest.vcpu.user_gs_base, 0x5500U);
  EXPECT_EQ(guest.vcpu.kernel_gs_base, 0x6000U);
}

TEST_F(Xen64, SecondOfStackedFramesShowsTheCallbacksStackSelector) {
  guest.registers[Segment::ss] = 0x002f;
  const Vector fault = exception_vector(6, false);
  guest.set_upcall(0, 1);
  EXPECT_EQ(guest.give_control(PendingException{&fault, 0}), 2U);
  EXPECT_EQ(guest.at(0xff8, 8), hex("2f 00 00 00 00 00 00 00"));
  EXPECT_EQ(guest.at(0xfb8, 8), hex("2b e0 00 00 00 00 00 00"));
}

TEST_F(Xen64, UserBitOfAPageFaultFollowsTheMode) {
  const Vector fault = exception_vector(14, true);
  EXPECT_TRUE(guest.deliver_and_exit(fault, 0x6));
  EXPECT_EQ(guest.at(0xfd0, 8), hex("02 00 00 00 00 00 00 00"));
  EXPECT_EQ(guest.pushed_error_code, 0x2U);
  EXPECT_EQ(load_word(&guest.page[16], 8), 0x0badf000U);  // vcpu_info.arch.cr2
  enter_user_mode();
  EXPECT_TRUE(guest.deliver_and_exit(fault, 0x2));
  EXPECT_EQ(guest.at(0x8fd0, 8), hex("06 00 00 00 00 00 00 00"));
  EXPECT_EQ(guest.pushed_error_code, 0x6U);
}

TEST_F(Xen64, OnlyPageFaultsHaveTheirErrorCodeChanged) {
  EXPECT_TRUE(guest.deliver_and_exit(exception_vector(13, true), 0x6));
  EXPECT_EQ(guest.pushed_error_code, 0x6U);
  EXPECT_EQ(load_word(&guest.page[16], 8), 0U);
}

TEST_F(Xen64, SavedFlagsKeepWhatNewFlagsDrop) {
  guest.registers.rflags = 0x257fd7;  // ID AC RF NT IOPL=3 OF DF IF TF SF ZF AF PF CF
  EXPECT_TRUE(guest.deliver_and_exit(guest.event));
  EXPECT_EQ(guest.at(0xfe8, 8), hex("d7 4f 25 00 00 00 00 00"));  // without IOPL
  EXPECT_EQ(guest.registers.rflags, 0x200ed7U);                   // without AC, RF, NT, TF, IOPL
  EXPECT_EQ(guest.registers[Gpr::r11], 0x200ed7U);
}

TEST_F(Xen64, OnlyFaultsShowRf) {
  for (const std::uint8_t number : {1, 3, 4}) {  // #DB, #BP, #OF
    guest.registers[Gpr::rsp] = 0x1008;
    EXPECT_TRUE(guest.deliver_and_exit(exception_vector(number, false)));
    EXPECT_EQ(guest.at(0xfe8, 8), hex("46 02 00 00 00 00 00 00")) << int{number};
  }
  guest.registers[Gpr::rsp] = 0x1008;
  EXPECT_TRUE(guest.deliver_and_exit(exception_vector(0, false)));
  EXPECT_EQ(guest.at(0xfe8, 8), hex("46 02 01 00 00 00 00 00"));
}

struct Alignment {
  std::uint64_t rsp;
  const char* slot;
};
class Alignments : public Xen64, public ::testing::WithParamInterface<Alignment> {};
INSTANTIATE_TEST_SUITE_P(Rsp, Alignments,
                         Values(Alignment{0x1000, "00 10 00 00 00 00 00 00"},
                                Alignment{0x1001, "01 10 00 00 00 00 00 00"},
                                Alignment{0x1008, "08 10 00 00 00 00 00 00"},
                                Alignment{0x100f, "0f 10 00 00 00 00 00 00"}));
TEST_P(Alignments, FrameIsAlignedAndShowsTheTrueStackPointer) {
  guest.registers[Gpr::rsp] = GetParam().rsp;
  EXPECT_EQ(bounce_frame_top(guest.vcpu, guest.registers, Width::k64), GuestAddress{0x1000});
  EXPECT_TRUE(guest.deliver_and_exit(guest.event));
  EXPECT_EQ(guest.registers[Gpr::rsp], 0xfc8U);
  EXPECT_EQ(guest.at(0xff0, 8), hex(GetParam().slot));
  EXPECT_THAT(guest.at(0x1000, 16), Each(kUntouched));  // the gap
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

// ---- 32-bit frames ----

// Section 4.1: no SS and ESP, no alignment, CS verbatim with the mask in bits 16 to 23.
TEST_F(Xen32, GoldenVector) {
  guest.set_upcall(0, 1);
  EXPECT_EQ(bounce_frame_top(guest.vcpu, guest.registers, Width::k32), GuestAddress{0x1004});
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xff8, 12), hex("44 33 22 11"     // eip
                                     "19 e0 00 00"     // cs, RPL 1, mask 0
                                     "46 02 00 00"));  // eflags, IF
  EXPECT_THAT(guest.at(0, 0xff8), Each(kUntouched));
  EXPECT_THAT(guest.at(0x1004, 0xffc), Each(kUntouched));
  const Registers& r = guest.registers;
  EXPECT_EQ(r[Gpr::rsp], 0xff8U);
  EXPECT_EQ(r.rip, kEventCallback);
  EXPECT_EQ(r[Segment::cs], 0xe019);
  EXPECT_EQ(r[Segment::ss], 0xe021);
  EXPECT_EQ(r[Segment::ds], 0xe021);
  EXPECT_EQ(r.rflags, 0x246U);
  EXPECT_EQ(r[Gpr::rax], 0x0a0a0a0aU);
  EXPECT_EQ(r[Gpr::rcx], 0xc1c2c3c4U);  // the exit is by IRET
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
  EXPECT_EQ(guest.shared.upcall_pending(), 1);
}

TEST_F(Xen32, FrameIsNotAligned) {
  for (const std::uint64_t esp : {0x1000U, 0x1001U, 0x1002U, 0x100fU}) {
    guest.registers[Gpr::rsp] = esp;
    EXPECT_TRUE(guest.deliver_and_exit(guest.event));
    EXPECT_EQ(guest.registers[Gpr::rsp], esp - 12);
  }
}

TEST_F(Xen32, EventFromUserModeSwitchesStacks) {
  enter_user_mode();
  guest.set_upcall(0, 1);
  EXPECT_EQ(bounce_frame_top(guest.vcpu, guest.registers, Width::k32), GuestAddress{0x9004});
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0x8ff0, 20), hex("44 33 22 11"     // eip
                                      "2b e0 00 00"     // cs, RPL 3
                                      "46 02 00 00"     // eflags
                                      "04 10 00 00"     // esp
                                      "33 e0 00 00"));  // ss
  EXPECT_THAT(guest.at(0, 0x2000), Each(kUntouched));
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x8ff0U);
  EXPECT_EQ(guest.registers[Segment::cs], 0xe019);
  EXPECT_EQ(guest.registers[Segment::ss], 0xe021);
  EXPECT_EQ(guest.registers[Segment::ds], 0xe033);  // the guest's to change
  EXPECT_EQ(guest.vcpu.mode, GuestMode::kernel);
}

TEST_F(Xen32, ModeFollowsTheSelectorOnly) {
  guest.registers[Segment::cs] = 0xe02b;
  EXPECT_TRUE(in_user_mode(guest.vcpu, guest.registers, Width::k32));
  guest.registers[Segment::cs] = 0xe01a;  // RPL 2 counts as outside the kernel: bit 1
  EXPECT_TRUE(in_user_mode(guest.vcpu, guest.registers, Width::k32));
  guest.registers[Segment::cs] = 0xe019;
  guest.vcpu.mode = GuestMode::user;
  EXPECT_FALSE(in_user_mode(guest.vcpu, guest.registers, Width::k32));
}

TEST_F(Xen64, ModeIsXensAndNotTheSelectors) {
  EXPECT_FALSE(in_user_mode(guest.vcpu, guest.registers, Width::k64));
  enter_user_mode();
  guest.registers[Segment::cs] = 0xe030;
  EXPECT_TRUE(in_user_mode(guest.vcpu, guest.registers, Width::k64));
}

TEST_F(Xen32, ExceptionWithErrorCodeFromTheKernel) {
  EXPECT_TRUE(guest.deliver_and_exit(exception_vector(13, true), 0xe018));
  EXPECT_EQ(guest.at(0xff4, 16), hex("18 e0 00 00"     // error code
                                     "44 33 22 11"     // eip
                                     "19 e0 00 00"     // cs
                                     "46 02 01 00"));  // eflags, RF
  EXPECT_EQ(guest.registers[Gpr::rsp], 0xff4U);
  EXPECT_EQ(guest.registers.rflags, 0x246U);
}

TEST_F(Xen32, ExceptionWithErrorCodeFromUserMode) {
  enter_user_mode();
  guest.set_upcall(1, 0);
  EXPECT_TRUE(guest.deliver_and_exit(exception_vector(13, true), 0x410));
  EXPECT_EQ(guest.at(0x8fec, 24), hex("10 04 00 00"     // error code
                                      "44 33 22 11"     // eip
                                      "2b e0 01 00"     // cs, mask 1
                                      "46 00 01 00"     // eflags, RF, no IF
                                      "04 10 00 00"     // esp
                                      "33 e0 00 00"));  // ss
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x8fecU);
}

TEST_F(Xen32, UserBitOfAPageFaultFollowsTheMode) {
  const Vector fault = exception_vector(14, true);
  EXPECT_TRUE(guest.deliver_and_exit(fault, 0x6));
  EXPECT_EQ(guest.at(0xff4, 4), hex("02 00 00 00"));
  EXPECT_EQ(load_word(&guest.page[8], 4), 0x0badf000U);  // vcpu_info.arch.cr2
  enter_user_mode();
  EXPECT_TRUE(guest.deliver_and_exit(fault, 0x2));
  EXPECT_EQ(guest.at(0x8fec, 4), hex("06 00 00 00"));
}

TEST_F(Xen32, NmiWhileMasked) {
  const std::uint32_t mask_at = abi_of(Width::k32).upcall_mask;
  guest.page[mask_at + 1] = 0x22;  // padding: bits 24 to 31 of the CS word
  guest.page[mask_at + 2] = 0x33;
  guest.set_upcall(0x80, 1);
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xff8, 12), hex("44 33 22 11  19 e0 80 22  46 00 00 00"));
  EXPECT_EQ(guest.shared.upcall_mask(), 0x81);
  EXPECT_EQ(guest.registers.rip, kNmiCallback);
}

TEST_F(Xen32, NmiStackedOnAnEventBeforeItsFirstInstruction) {
  guest.set_upcall(0, 1);
  Delivery event{&guest.event, 0};
  ASSERT_TRUE(deliver(guest.vcpu, guest.registers, guest.memory, guest.shared, event));
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xfec, 24), hex("00 70 00 00  19 e0 01 00  46 00 00 00"
                                     "44 33 22 11  19 e0 00 00  46 02 00 00"));
  EXPECT_EQ(guest.registers[Gpr::rsp], 0xfecU);
}

TEST_F(Xen32, EventStackedOnAnExceptionFromUserMode) {
  enter_user_mode();
  const Vector fault = exception_vector(13, true);
  guest.set_upcall(0, 1);
  EXPECT_EQ(guest.give_control(PendingException{&fault, 0}), 2U);
  EXPECT_EQ(guest.at(0x8fe0, 36), hex("00 72 00 00  19 e0 00 00  46 02 00 00"  // ring 1 by now
                                      "00 00 00 00"                            // error code
                                      "44 33 22 11  2b e0 00 00  46 02 01 00"
                                      "04 10 00 00  33 e0 00 00"));
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x8fe0U);
}

TEST_F(Xen32, NewFlagsKeepAc) {
  guest.registers.rflags = 0x257fd7;
  EXPECT_TRUE(guest.deliver_and_exit(guest.event));
  EXPECT_EQ(guest.at(0x1000, 4), hex("d7 4f 25 00"));
  EXPECT_EQ(guest.registers.rflags, 0x240ed7U);
}

TEST_F(Xen32, BadFramesCrash) {
  for (const std::uint64_t esp : {0x4000U, 0x8U, 0x2004U, 0x0U}) {
    guest.registers[Gpr::rsp] = esp;
    EXPECT_FALSE(guest.deliver_and_exit(guest.event)) << esp;
  }
  guest.memory.map({0x20000}, 0x1000, Access::read_only);
  guest.registers[Gpr::rsp] = 0x20800;
  EXPECT_FALSE(guest.deliver_and_exit(guest.event));
  enter_user_mode();
  guest.vcpu.kernel_sp = 0x4000;
  EXPECT_FALSE(guest.deliver_and_exit(guest.event));
  EXPECT_THAT(guest.at(0, 0x2000), Each(kUntouched));
  guest.vcpu.kernel_sp = 0x9004;
  guest.event.address = {0};
  EXPECT_FALSE(guest.deliver_and_exit(guest.event));
}

// ---- Event channels ----

class EventChannels : public ::testing::TestWithParam<Width> {
 public:
  XenGuest guest{GetParam()};
  const SharedInfo& shared = guest.shared;
};
INSTANTIATE_TEST_SUITE_P(Widths, EventChannels, Values(Width::k64, Width::k32),
                         [](const auto& info) { return info.param == Width::k64 ? "k64" : "k32"; });

TEST(Abi, LayoutsAreThoseOfThePage) {
  const Abi& wide = abi_of(Width::k64);
  EXPECT_EQ(wide.upcall_pending, 0U);
  EXPECT_EQ(wide.upcall_mask, 1U);
  EXPECT_EQ(wide.pending_sel, 8U);
  EXPECT_EQ(wide.cr2, 16U);
  EXPECT_EQ(wide.evtchn_pending, 2048U);
  EXPECT_EQ(wide.evtchn_mask, 2560U);
  EXPECT_EQ(wide.ports, 4096U);
  const Abi& narrow = abi_of(Width::k32);
  EXPECT_EQ(narrow.upcall_pending, 0U);
  EXPECT_EQ(narrow.upcall_mask, 1U);
  EXPECT_EQ(narrow.pending_sel, 4U);
  EXPECT_EQ(narrow.cr2, 8U);
  EXPECT_EQ(narrow.evtchn_pending, 2048U);
  EXPECT_EQ(narrow.evtchn_mask, 2176U);
  EXPECT_EQ(narrow.ports, 1024U);
}

TEST_P(EventChannels, RaiseSetsPortSelectorAndPending) {
  EXPECT_EQ(raise_event(shared, {70}, 1), Raise::kicked);
  EXPECT_EQ(guest.page[2048 + 8], 0x40);  // port 70
  EXPECT_EQ(shared.pending_sel(), GetParam() == Width::k64 ? 2U : 4U);
  EXPECT_EQ(shared.upcall_pending(), 1);
  EXPECT_EQ(shared.upcall_mask(), 0);
}

TEST_P(EventChannels, RaiseDoesNotLookAtTheUpcallMask) {
  shared.upcall_mask() = 1;
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::kicked);
  EXPECT_EQ(shared.upcall_pending(), 1);
}

TEST_P(EventChannels, RaiseOfAPendingPortDoesNothing) {
  shared.set_port_pending({3}, true);
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::nothing);
  EXPECT_EQ(shared.pending_sel(), 0U);
  EXPECT_EQ(shared.upcall_pending(), 0);
}

TEST_P(EventChannels, RaiseOfAMaskedPortOnlySetsItsBit) {
  shared.set_port_masked({3}, true);
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::nothing);
  EXPECT_TRUE(shared.port_pending({3}));
  EXPECT_EQ(shared.pending_sel(), 0U);
  EXPECT_EQ(shared.upcall_pending(), 0);
}

TEST_P(EventChannels, RaiseWithTheSelectorSetDoesNotMarkAgain) {
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::kicked);
  shared.upcall_pending() = 0;  // the guest clears this first
  EXPECT_EQ(raise_event(shared, {4}, 1), Raise::nothing);
  EXPECT_TRUE(shared.port_pending({4}));
  EXPECT_EQ(shared.upcall_pending(), 0);
  EXPECT_EQ(raise_event(shared, {GetParam() == Width::k64 ? 64U : 32U}, 1), Raise::kicked);  // another selector bit
  EXPECT_EQ(shared.pending_sel(), 3U);
}

TEST_P(EventChannels, RaiseOfASecondWordOnlyMarks) {
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::kicked);
  EXPECT_EQ(raise_event(shared, {100}, 1), Raise::marked);
}

TEST_P(EventChannels, OtherPendingValuesAreOred) {
  shared.upcall_pending() = 0x01;
  EXPECT_EQ(raise_event(shared, {3}, 0x80), Raise::marked);
  EXPECT_EQ(shared.upcall_pending(), 0x81);
}

TEST_P(EventChannels, LastPortHasTheLastSelectorBit) {
  const unsigned ports = abi_of(GetParam()).ports;
  EXPECT_EQ(raise_event(shared, {ports - 1}, 1), Raise::kicked);
  EXPECT_EQ(shared.pending_sel(), std::uint64_t{1} << (GetParam() == Width::k64 ? 63 : 31));
  EXPECT_EQ(guest.page[2048 + ports / 8 - 1], 0x80);
}

TEST_P(EventChannels, UnmaskMarksOnlyWhatWasMaskedAndPending) {
  EXPECT_EQ(unmask_port(shared, {3}), Raise::nothing);  // neither
  shared.set_port_masked({3}, true);
  EXPECT_EQ(unmask_port(shared, {3}), Raise::nothing);  // masked
  EXPECT_FALSE(shared.port_masked({3}));
  shared.set_port_pending({3}, true);
  EXPECT_EQ(unmask_port(shared, {3}), Raise::nothing);  // pending, but unmasked: the edge is lost
  EXPECT_EQ(shared.upcall_pending(), 0);
  shared.set_port_masked({3}, true);
  EXPECT_EQ(unmask_port(shared, {3}), Raise::kicked);  // both
  EXPECT_FALSE(shared.port_masked({3}));
  EXPECT_TRUE(shared.port_pending({3}));
  EXPECT_EQ(shared.pending_sel(), 1U);
  EXPECT_EQ(shared.upcall_pending(), 1);
}

TEST_P(EventChannels, UnmaskWithTheSelectorSetDoesNotMark) {
  shared.set_port_masked({3}, true);
  shared.set_port_pending({3}, true);
  shared.set_pending_sel(1);
  EXPECT_EQ(unmask_port(shared, {3}), Raise::nothing);
  EXPECT_FALSE(shared.port_masked({3}));
  EXPECT_EQ(shared.upcall_pending(), 0);
}

}  // namespace
}  // namespace framefold
