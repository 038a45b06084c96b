// 32-bit frames against bytes written down by hand from Xen's rules.
#include "xen_fixture.hpp"

namespace framefold {
namespace {

using namespace test;
using ::testing::Each;

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

TEST_F(Xen32, NmiFromUserModeSwitchesStacks) {
  enter_user_mode();
  guest.set_upcall(0, 0);
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0x8ff0, 20), hex("44 33 22 11  2b e0 00 00  46 02 00 00  04 10 00 00  33 e0 00 00"));
  EXPECT_THAT(guest.at(0, 0x2000), Each(kUntouched));
  EXPECT_EQ(guest.registers.rip, kNmiCallback);
  EXPECT_EQ(guest.registers[Segment::cs], 0xe019);
  EXPECT_EQ(guest.registers[Segment::ss], 0xe021);
  EXPECT_EQ(guest.vcpu.async_exception_mask, kTrapNmi);
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
  guest.vcpu.nmi_pending = true;
  EXPECT_EQ(guest.give_control(), 0U);
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

}  // namespace
}  // namespace framefold
