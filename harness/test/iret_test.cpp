// The iret hypercall against bytes written down by hand from Xen's rules.
#include "machine/xen_public.hpp"
#include "xen_fixture.hpp"

namespace framefold {
namespace {

using namespace test;

constexpr std::uint64_t kTrapPlace = 0x2009;  // where the trap instruction of a test lies

// ---- iret, 64-bit ----

class Iret64 : public Xen64 {
 protected:
  Iret64() {
    guest.registers.rip = kTrapPlace;
    guest.registers[Gpr::rax] = 23;
    guest.registers[Gpr::rsp] = 0x1000;
    guest.registers.rflags = 0x282;
    guest.put(0x1000, hex("a1 a2 a3 a4 a5 a6 a7 a8"     // rax
                          "b1 b2 b3 b4 b5 b6 b7 b8"     // r11
                          "c1 c2 c3 c4 c5 c6 c7 c8"     // rcx
                          "00 00 00 00 00 00 00 00"     // flags
                          "78 56 34 12 00 00 00 00"     // rip
                          "30 e0 00 00 01 00 00 00"     // cs, and a mask byte that counts for nothing
                          "46 02 00 00 00 00 00 00"     // rflags
                          "f0 13 00 00 00 00 00 00"     // rsp
                          "2b e0 00 00 00 00 00 00"));  // ss
    guest.shared.upcall_mask() = 1;
  }
  void set_flags(const char* bytes) { guest.put(0x1018, hex(bytes)); }
  void set_cs(const char* bytes) { guest.put(0x1028, hex(bytes)); }
  void set_rflags(const char* bytes) { guest.put(0x1030, hex(bytes)); }
};

TEST_F(Iret64, LoadsTheFrame) {
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.give_control(), 0U);
  Registers expected = guest.registers;
  expected[Gpr::rax] = 0xa8a7a6a5a4a3a2a1;
  expected[Gpr::rcx] = 0xc8c7c6c5c4c3c2c1;
  expected[Gpr::r11] = 0xb8b7b6b5b4b3b2b1;
  expected[Gpr::rsp] = 0x13f0;
  expected.rip = 0x12345678;
  expected.rflags = 0x246;
  expected[Segment::cs] = 0xe033;
  expected[Segment::ss] = 0xe02b;
  expected.gs_base = 0x6000;
  EXPECT_EQ(guest.registers, expected);
  EXPECT_EQ(guest.shared.upcall_mask(), 0);
  EXPECT_EQ(guest.vcpu.mode, GuestMode::kernel);
}

TEST_F(Iret64, MaskIsTheFramesIfAndNothingElse) {
  for (const std::uint8_t before : {0x00, 0x01, 0x80}) {
    guest.registers[Gpr::rax] = 23;
    guest.registers[Gpr::rsp] = 0x1000;
    guest.shared.upcall_mask() = before;
    set_rflags("46 00 00 00 00 00 00 00");
    ASSERT_EQ(guest.call(), HypercallEnd::iret);
    EXPECT_EQ(guest.shared.upcall_mask(), 1);
    EXPECT_EQ(guest.registers.rflags, 0x246U);  // the live IF stays
  }
}

TEST_F(Iret64, FlagsAreThoseThatExistWithoutIoplAndVm) {
  set_rflags("ff ff ff ff ff ff ff ff");
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers.rflags, 0x3d4fd7U);
  guest.registers[Gpr::rax] = 23;
  guest.registers[Gpr::rsp] = 0x1000;
  set_rflags("00 00 00 80 00 00 00 00");  // bit 31
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers.rflags, 0x202U);
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
}

TEST_F(Iret64, InSyscallLeavesBySysret) {
  set_flags("00 01 00 00 00 00 00 00");
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers[Gpr::rcx], kTrapPlace + 2);  // nothing exited yet
  EXPECT_EQ(guest.give_control(), 0U);
  EXPECT_EQ(guest.registers[Gpr::rcx], 0x12345678U);
  EXPECT_EQ(guest.registers[Gpr::r11], 0x246U);
  EXPECT_EQ(guest.registers[Gpr::rax], 0xa8a7a6a5a4a3a2a1U);
  EXPECT_EQ(guest.registers[Segment::cs], 0xe033);
  EXPECT_EQ(guest.registers[Segment::ss], 0xe02b);
}

TEST_F(Iret64, InSyscallForcesTheSelectors) {
  set_flags("00 01 00 00 00 00 00 00");
  set_cs("10 e0 00 00 00 00 00 00");
  guest.put(0x1040, hex("18 e0 00 00 00 00 00 00"));
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.give_control(), 0U);
  EXPECT_EQ(guest.registers[Segment::cs], 0xe033);
  EXPECT_EQ(guest.registers[Segment::ss], 0xe02b);
  guest.registers[Gpr::rax] = 23;
  guest.registers[Gpr::rsp] = 0x1000;
  set_cs("23 e0 00 00 00 00 00 00");  // 32-bit user code
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.give_control(), 0U);
  EXPECT_EQ(guest.registers[Segment::cs], 0xe023);
  EXPECT_EQ(guest.registers[Segment::ss], 0xe02b);
  EXPECT_EQ(guest.vcpu.mode, GuestMode::user);
}

TEST_F(Iret64, OtherFlagBitsAreIgnored) {
  set_flags("ff fe ff ff ff ff ff ff");  // all but VGCF_in_syscall
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.give_control(), 0U);
  EXPECT_EQ(guest.registers[Gpr::rcx], 0xc8c7c6c5c4c3c2c1U);
}

TEST_F(Iret64, EventAtTheExitShowsTheTarget) {
  guest.shared.upcall_pending() = 1;
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0x13b8, 0x38), hex("c1 c2 c3 c4 c5 c6 c7 c8"  // rcx, r11 of the iret frame
                                        "b1 b2 b3 b4 b5 b6 b7 b8"
                                        "78 56 34 12 00 00 00 00"     // rip
                                        "30 e0 00 00 00 00 00 00"     // cs
                                        "46 02 00 00 00 00 00 00"     // rflags
                                        "f0 13 00 00 00 00 00 00"     // rsp
                                        "2b e0 00 00 00 00 00 00"));  // ss
  EXPECT_EQ(guest.registers.rip, kEventCallback);
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
}

TEST_F(Iret64, EventAtTheExitWithInSyscallShowsWhatSyscallLeft) {
  set_flags("00 01 00 00 00 00 00 00");
  guest.shared.upcall_pending() = 1;
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0x13b8, 0x38), hex("0b 20 00 00 00 00 00 00"  // rcx: behind the syscall
                                        "82 02 00 00 00 00 00 00"  // r11: rflags at the syscall
                                        "78 56 34 12 00 00 00 00"
                                        "30 e0 00 00 00 00 00 00"
                                        "46 02 00 00 00 00 00 00"
                                        "f0 13 00 00 00 00 00 00"
                                        "2b e0 00 00 00 00 00 00"));
  EXPECT_EQ(guest.registers[Gpr::rcx], kEventCallback);
  EXPECT_EQ(guest.registers[Gpr::r11], 0x246U);
}

TEST_F(Iret64, NoEventAtTheExitToAMaskedTarget) {
  set_rflags("46 00 00 00 00 00 00 00");
  guest.shared.upcall_pending() = 1;
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.give_control(), 0U);
  EXPECT_EQ(guest.registers.rip, 0x12345678U);
}

TEST_F(Iret64, Rpl3ReturnsToUserMode) {
  set_cs("33 e0 00 00 00 00 00 00");
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.vcpu.mode, GuestMode::user);
  EXPECT_EQ(guest.registers.gs_base, 0x5000U);
  EXPECT_EQ(guest.vcpu.kernel_gs_base, 0x6000U);
  guest.shared.upcall_pending() = 1;
  EXPECT_EQ(guest.give_control(), 1U);  // on the kernel's stack, with the kernel's GS base
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x8fc8U);
  EXPECT_EQ(guest.registers.gs_base, 0x6000U);
  EXPECT_EQ(guest.at(0x8fe0, 8), hex("33 e0 00 00 00 00 00 00"));
}

TEST_F(Iret64, Rpl0To2StayInTheKernel) {
  for (const char* cs : {"30 e0 00 00 00 00 00 00", "31 e0 00 00 00 00 00 00", "32 e0 00 00 00 00 00 00"}) {
    guest.registers[Gpr::rax] = 23;
    guest.registers[Gpr::rsp] = 0x1000;
    set_cs(cs);
    ASSERT_EQ(guest.call(), HypercallEnd::iret);
    EXPECT_EQ(guest.vcpu.mode, GuestMode::kernel);
    EXPECT_EQ(guest.registers[Segment::cs], 0xe033);
    EXPECT_EQ(guest.registers.gs_base, 0x6000U);
  }
}

TEST_F(Iret64, StackSelectorGetsRpl3) {
  guest.put(0x1040, hex("28 e0 00 00 00 00 00 00"));
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers[Segment::ss], 0xe02b);
}

TEST_F(Iret64, UserModeWithoutAPageTableCrashes) {
  set_cs("33 e0 00 00 00 00 00 00");
  guest.vcpu.has_user_page_table = false;
  EXPECT_EQ(guest.call(), HypercallEnd::domain_crash);
}

TEST_F(Iret64, FrameMustBeReadable) {
  for (const std::uint64_t rsp : {0x4000U, 0x1fb9U}) {  // unmapped; one byte reaches beyond
    guest.registers[Gpr::rax] = 23;
    guest.registers[Gpr::rsp] = rsp;
    EXPECT_EQ(guest.call(), HypercallEnd::domain_crash) << rsp;
  }
  guest.registers[Gpr::rax] = 23;
  guest.registers[Gpr::rsp] = 0xffffffffffffffc0;  // wraps
  EXPECT_EQ(guest.call(), HypercallEnd::domain_crash);
  std::uint8_t* read_only = guest.memory.map({0x20000}, 0x1000, Access::read_only);
  std::memcpy(read_only, guest.memory.find({0x1000}, 72), 72);
  guest.registers[Gpr::rax] = 23;
  guest.registers[Gpr::rsp] = 0x20000;
  EXPECT_EQ(guest.call(), HypercallEnd::iret);
}

TEST_F(Iret64, AnyIretUnmasksNmis) {
  guest.vcpu.nmi_pending = true;
  ASSERT_EQ(guest.give_control(), 1U);
  ASSERT_EQ(guest.vcpu.async_exception_mask, 2);
  // An exception inside the NMI handler returns by hypercall: that opens NMIs, although the handler still runs.
  guest.vcpu.nmi_pending = true;
  guest.registers[Gpr::rax] = 23;
  guest.registers[Gpr::rsp] = 0x1000;
  guest.registers.rip = kTrapPlace;
  set_rflags("46 00 00 00 00 00 00 00");
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.vcpu.async_exception_mask, 0);
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.registers.rip, kNmiCallback);
  EXPECT_EQ(guest.at(0x13c8, 8), hex("78 56 34 12 00 00 00 00"));  // before the target's first instruction
}

// ---- iret, 32-bit ----

class Iret32 : public Xen32 {
 protected:
  Iret32() {
    guest.registers.rip = kTrapPlace;
    guest.registers[Gpr::rax] = 23;
    guest.registers[Gpr::rsp] = 0x1000;
    guest.put(0x1000, hex("a1 a2 a3 a4"     // eax
                          "78 56 34 12"     // eip
                          "19 e0 01 00"     // cs, and a mask byte that counts for nothing
                          "46 02 00 00"     // eflags
                          "f0 13 00 00"     // esp
                          "33 e0 00 00"));  // ss
    guest.shared.upcall_mask() = 1;
  }
  void again() {
    guest.registers[Gpr::rax] = 23;
    guest.registers[Gpr::rsp] = 0x1000;
    guest.registers[Segment::cs] = 0xe019;
    guest.registers[Segment::ss] = 0xe021;
  }
  void set_cs(const char* bytes) { guest.put(0x1008, hex(bytes)); }
  void set_eflags(const char* bytes) { guest.put(0x100c, hex(bytes)); }
};

TEST_F(Iret32, ToRing1PopsFourWords) {
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.give_control(), 0U);
  Registers expected = guest.registers;
  expected[Gpr::rax] = 0xa4a3a2a1;
  expected[Gpr::rcx] = 0xc1c2c3c4;
  expected[Gpr::rsp] = 0x1010;
  expected.rip = 0x12345678;
  expected.rflags = 0x246;
  expected[Segment::cs] = 0xe019;
  expected[Segment::ss] = 0xe021;
  EXPECT_EQ(guest.registers, expected);
  EXPECT_EQ(guest.shared.upcall_mask(), 0);
  EXPECT_FALSE(in_user_mode(guest.vcpu, guest.registers, Width::k32));
}

TEST_F(Iret32, ToRing3PopsEspAndSs) {
  set_cs("2b e0 00 00");
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x13f0U);
  EXPECT_EQ(guest.registers[Segment::cs], 0xe02b);
  EXPECT_EQ(guest.registers[Segment::ss], 0xe033);
  EXPECT_TRUE(in_user_mode(guest.vcpu, guest.registers, Width::k32));
  guest.shared.upcall_pending() = 1;
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0x8ff0, 20), hex("78 56 34 12  2b e0 00 00  46 02 00 00  f0 13 00 00  33 e0 00 00"));
}

TEST_F(Iret32, ToRing2PopsEspAndSs) {
  set_cs("2a e0 00 00");
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x13f0U);
}

TEST_F(Iret32, Ring0Crashes) {
  set_cs("18 e0 00 00");
  EXPECT_EQ(guest.call(), HypercallEnd::domain_crash);
}

TEST_F(Iret32, Vm86Crashes) {
  set_eflags("46 02 02 00");
  EXPECT_EQ(guest.call(), HypercallEnd::domain_crash);
}

TEST_F(Iret32, MaskIsTheFramesIfAndNotTheByteInTheCsWord) {
  set_eflags("46 00 00 00");
  set_cs("19 e0 00 00");
  guest.shared.upcall_mask() = 0x80;
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.shared.upcall_mask(), 1);
  EXPECT_EQ(guest.registers.rflags, 0x246U);
  again();
  set_eflags("46 02 00 00");
  set_cs("19 e0 ff ff");
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.shared.upcall_mask(), 0);
  EXPECT_EQ(guest.registers[Segment::cs], 0xe019);
}

TEST_F(Iret32, FlagsAreThoseThatExistWithoutIopl) {
  set_eflags("ff ff fd ff");  // all but VM
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers.rflags, 0x3d4fd7U);
}

TEST_F(Iret32, EventAtTheExitShowsTheTarget) {
  guest.shared.upcall_pending() = 1;
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0x1004, 12), hex("78 56 34 12  19 e0 00 00  46 02 00 00"));
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x1004U);
}

TEST_F(Iret32, FrameMustBeReadable) {
  for (const std::uint64_t esp : {0x4000U, 0x1ff1U, 0xfffffff8U}) {
    again();
    guest.registers[Gpr::rsp] = esp;
    EXPECT_EQ(guest.call(), HypercallEnd::domain_crash) << esp;
  }
  // Only ring 2 and 3 read the last two words.
  guest.put(0x1ff0, hex("a1 a2 a3 a4  78 56 34 12  19 e0 00 00  46 02 00 00"));
  again();
  guest.registers[Gpr::rsp] = 0x1ff0;
  EXPECT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x2000U);
  guest.put(0x1ff8, hex("2b e0 00 00"));
  again();
  guest.registers[Gpr::rsp] = 0x1ff0;
  EXPECT_EQ(guest.call(), HypercallEnd::domain_crash);
}

TEST_F(Iret32, EspIs32BitsWide) {
  again();
  guest.registers[Gpr::rsp] = 0x100001000;
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers[Gpr::rsp], 0x1010U);
  std::uint8_t* top = guest.memory.map({0xfffff000}, 0x1000, Access::read_write);
  std::memcpy(top + 0xff0, guest.memory.find({0x1000}, 16), 16);
  again();
  guest.registers[Gpr::rsp] = 0xfffffff0;
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.registers[Gpr::rsp], 0U);
}

TEST_F(Iret32, UnmasksNmis) {
  guest.vcpu.async_exception_mask = 2;
  guest.vcpu.nmi_old_mask = 0;
  ASSERT_EQ(guest.call(), HypercallEnd::iret);
  EXPECT_EQ(guest.vcpu.async_exception_mask, 0);
}

}  // namespace
}  // namespace framefold
