// 64-bit frames against bytes written down by hand from Xen's rules.
#include "xen_fixture.hpp"

namespace framefold {
namespace {

using namespace test;
using ::testing::Each;
using ::testing::Values;

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

TEST_F(Xen64, NmiFromUserModeIsPushedOnTheKernelStack) {
  enter_user_mode();
  guest.set_upcall(0, 0);
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0x8fc8, 0x38), hex("c8 c7 c6 c5 c4 c3 c2 c1"
                                        "b8 b7 b6 b5 b4 b3 b2 b1"
                                        "66 55 44 33 22 11 00 00"
                                        "33 e0 00 00 00 00 00 00"  // cs, RPL 3
                                        "46 02 00 00 00 00 00 00"
                                        "08 10 00 00 00 00 00 00"  // the user's rsp
                                        "2b e0 00 00 00 00 00 00"));
  EXPECT_THAT(guest.at(0, 0x2000), Each(kUntouched));
  EXPECT_EQ(guest.registers.rip, kNmiCallback);
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x8fc8U);
  EXPECT_EQ(guest.registers.gs_base, 0x6000U);
  EXPECT_EQ(guest.vcpu.mode, GuestMode::kernel);
  EXPECT_EQ(guest.vcpu.async_exception_mask, kTrapNmi);
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 0U);
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

}  // namespace
}  // namespace framefold
