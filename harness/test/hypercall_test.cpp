// The hypercall page and the hypercalls but for iret against bytes written down by hand from Xen's rules.
#include "machine/xen_public.hpp"
#include "xen_fixture.hpp"

namespace framefold {
namespace {

using namespace test;

constexpr std::uint64_t kTrap = 0x2009;  // where the trap instruction of a test lies

// ---- The page ----

Bytes entry_of_page(Width width, std::ptrdiff_t number) {
  std::array<std::uint8_t, 4096> page{};
  fill_hypercall_page(page.data(), width);
  return {page.begin() + number * 32, page.begin() + (number + 1) * 32};
}

TEST(HypercallPage, Of64Bit) {
  EXPECT_EQ(entry_of_page(Width::k64, 0), hex("51 41 53 b8 00 00 00 00 0f 05 41 5b 59 c3 cc cc"
                                              "cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc"));
  EXPECT_EQ(entry_of_page(Width::k64, 23), hex("51 41 53 50 b8 17 00 00 00 0f 05 cc cc cc cc cc"
                                               "cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc"));
  EXPECT_EQ(entry_of_page(Width::k64, 32), hex("51 41 53 b8 20 00 00 00 0f 05 41 5b 59 c3 cc cc"
                                               "cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc"));
  EXPECT_EQ(entry_of_page(Width::k64, 127), hex("51 41 53 b8 7f 00 00 00 0f 05 41 5b 59 c3 cc cc"
                                                "cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc"));
}

TEST(HypercallPage, Of32Bit) {
  EXPECT_EQ(entry_of_page(Width::k32, 0), hex("b8 00 00 00 00 cd 82 c3 cc cc cc cc cc cc cc cc"
                                              "cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc"));
  EXPECT_EQ(entry_of_page(Width::k32, 23), hex("50 b8 17 00 00 00 cd 82 cc cc cc cc cc cc cc cc"
                                               "cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc"));
  EXPECT_EQ(entry_of_page(Width::k32, 32), hex("b8 20 00 00 00 cd 82 c3 cc cc cc cc cc cc cc cc"
                                               "cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc"));
  EXPECT_EQ(entry_of_page(Width::k32, 127), hex("b8 7f 00 00 00 cd 82 c3 cc cc cc cc cc cc cc cc"
                                                "cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc"));
}

TEST(HypercallPage, IretStubIsEntry23) {
  const IretStub wide = iret_stub(Width::k64);
  EXPECT_EQ(wide.offset, 0x2e0U);
  EXPECT_EQ(wide.length, 11U);
  EXPECT_EQ(wide.trap, 0x2e9U);
  const IretStub narrow = iret_stub(Width::k32);
  EXPECT_EQ(narrow.offset, 0x2e0U);
  EXPECT_EQ(narrow.length, 8U);
  EXPECT_EQ(narrow.trap, 0x2e6U);
}

// ---- event_channel_op, and all others ----

constexpr std::uint64_t kEnosys64 = 0xffffffffffffffda;  // -38

class Call64 : public Xen64 {
 protected:
  Call64() {
    guest.registers.rip = kTrap;
    guest.registers[Gpr::rax] = 32;
    guest.registers[Gpr::rdi] = 9;  // EVTCHNOP_unmask
    guest.registers[Gpr::rsi] = 0x1100;
    guest.put(0x1100, hex("46 00 00 00"));  // port 70
    guest.shared.upcall_mask() = 1;
  }
};

TEST_F(Call64, UnmaskByHypercall) {
  guest.shared.set_port_masked({70}, true);
  guest.shared.set_port_pending({70}, true);
  const Registers before = guest.registers;
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.raised, Raise::kicked);
  EXPECT_EQ(guest.page[2560 + 8], 0);
  EXPECT_EQ(guest.shared.pending_sel(), 2U);
  EXPECT_EQ(guest.shared.upcall_pending(), 1);
  Registers expected = before;
  expected[Gpr::rax] = 0;
  expected[Gpr::rcx] = kTrap + 2;
  expected[Gpr::r11] = 0x246;
  expected.rip = kTrap + 2;
  EXPECT_EQ(guest.registers, expected);
  EXPECT_EQ(guest.give_control(), 0U);  // upcalls are masked
}

TEST_F(Call64, EventAtTheExitOfAnUnmask) {
  guest.shared.upcall_mask() = 0;
  guest.shared.set_port_masked({70}, true);
  guest.shared.set_port_pending({70}, true);
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.give_control(), 1U);
  EXPECT_EQ(guest.at(0xfc8, 24), hex("0b 20 00 00 00 00 00 00"     // rcx
                                     "46 02 00 00 00 00 00 00"     // r11
                                     "0b 20 00 00 00 00 00 00"));  // rip: behind the syscall
  EXPECT_EQ(guest.registers[Gpr::rax], 0U);                        // the call's result
}

TEST_F(Call64, SendByHypercall) {
  guest.registers[Gpr::rdi] = 4;  // EVTCHNOP_send
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.registers[Gpr::rax], 0U);
  EXPECT_EQ(guest.raised, Raise::kicked);
  EXPECT_TRUE(guest.shared.port_pending({70}));
  EXPECT_EQ(guest.shared.upcall_pending(), 1);
}

TEST_F(Call64, CommandIsAnInt) {
  guest.registers[Gpr::rdi] = 0xdead000000000004;
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.registers[Gpr::rax], 0U);
  EXPECT_TRUE(guest.shared.port_pending({70}));
}

TEST_F(Call64, BadArgumentsAreErrors) {
  guest.registers[Gpr::rsi] = 0x4000;
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.registers[Gpr::rax], 0xfffffffffffffff2U);  // -EFAULT
  guest.registers[Gpr::rax] = 32;
  guest.registers[Gpr::rsi] = 0x1100;
  guest.put(0x1100, hex("00 10 00 00"));  // port 4096
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.registers[Gpr::rax], 0xffffffffffffffeaU);  // -EINVAL
  EXPECT_EQ(guest.raised, Raise::nothing);
  EXPECT_EQ(guest.shared.upcall_pending(), 0);
}

TEST_F(Call64, OtherCommandsAreNotImplemented) {
  guest.registers[Gpr::rdi] = 5;  // EVTCHNOP_status
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.registers[Gpr::rax], kEnosys64);
}

TEST_F(Call64, OtherHypercallsAreNotImplementedAndDestroyRcxAndR11) {
  for (const std::uint64_t number : {0U, 29U, 55U, 127U, 0xffffffffU}) {
    guest.registers.rip = kTrap;
    guest.registers[Gpr::rax] = number;
    guest.registers[Gpr::rcx] = 1;
    guest.registers[Gpr::r11] = 2;
    guest.registers[Segment::ss] = 0x002f;
    ASSERT_EQ(guest.call(), HypercallEnd::returned);
    EXPECT_EQ(guest.registers[Gpr::rax], kEnosys64);
    EXPECT_EQ(guest.registers[Gpr::rcx], kTrap + 2);
    EXPECT_EQ(guest.registers[Gpr::r11], 0x246U);
    EXPECT_EQ(guest.registers.rip, kTrap + 2);
    EXPECT_EQ(guest.registers[Segment::ss], 0xe02b);  // whatever the kernel had loaded
    EXPECT_EQ(guest.shared.upcall_mask(), 1);
  }
}

class Call32 : public Xen32 {
 protected:
  Call32() {
    guest.registers.rip = kTrap;
    guest.registers[Gpr::rax] = 32;
    guest.registers[Gpr::rbx] = 9;  // EVTCHNOP_unmask
    guest.registers[Gpr::rcx] = 0x1100;
    guest.put(0x1100, hex("46 00 00 00"));  // port 70
    guest.shared.upcall_mask() = 1;
  }
};

TEST_F(Call32, UnmaskByHypercall) {
  guest.shared.set_port_masked({70}, true);
  guest.shared.set_port_pending({70}, true);
  const Registers before = guest.registers;
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.raised, Raise::kicked);
  EXPECT_EQ(guest.page[2176 + 8], 0);
  EXPECT_EQ(guest.shared.pending_sel(), 4U);
  Registers expected = before;  // all other registers survive
  expected[Gpr::rax] = 0;
  expected.rip = kTrap + 2;
  EXPECT_EQ(guest.registers, expected);
}

TEST_F(Call32, SendByHypercall) {
  guest.registers[Gpr::rbx] = 4;
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_TRUE(guest.shared.port_pending({70}));
  EXPECT_EQ(guest.raised, Raise::kicked);
}

TEST_F(Call32, ErrorsAre32BitsWide) {
  guest.registers[Gpr::rbx] = 5;
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.registers[Gpr::rax], 0xffffffdaU);
  guest.registers[Gpr::rax] = 29;
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.registers[Gpr::rax], 0xffffffdaU);
  EXPECT_EQ(guest.registers[Gpr::rcx], 0x1100U);
  guest.registers[Gpr::rax] = 32;
  guest.registers[Gpr::rbx] = 9;
  guest.put(0x1100, hex("00 04 00 00"));  // port 1024: 32-bit guests have 1024
  ASSERT_EQ(guest.call(), HypercallEnd::returned);
  EXPECT_EQ(guest.registers[Gpr::rax], 0xffffffeaU);
}

}  // namespace
}  // namespace framefold
