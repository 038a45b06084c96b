// The CPU. What single instructions do is the self-test's business.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "machine/cpu.hpp"
#include "machine/selectors.hpp"
#include "machine/self_test.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FRAMEFOLD_TEST_LEAKS
#include <sanitizer/lsan_interface.h>
#endif
#endif

namespace framefold {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr GuestAddress kCode{0x10000};
constexpr GuestAddress kUnhooked{0x18000};
constexpr GuestAddress kData{0x20000};
constexpr GuestAddress kStack{0x30800};
constexpr GuestAddress kGdt{0x100000};

/// Memory with a page of code, one that is not hooked, one of data and one for a stack.
struct Guest {
  Guest() {
    memory.map(kCode, 0x1000, Access::read_execute);
    memory.map(kUnhooked, 0x1000, Access::read_execute);
    memory.map(kData, 0x1000, Access::read_write);
    memory.map(kStack, 8, Access::read_write);
  }
  void put(GuestAddress address, const std::vector<std::uint8_t>& bytes) {
    std::copy(bytes.begin(), bytes.end(), memory.find(address, bytes.size()));
  }
  GuestMemory memory;
  GuestRange hooked{kCode, kCode + 0x1000};
};

/// Runs from kCode until `stop`; the boundaries on the way.
struct Trace {
  Trace(Cpu& guest_cpu, GuestAddress stop_at) : cpu(guest_cpu), stop(stop_at) {}
  std::vector<std::uint64_t> run(GuestAddress start = kCode) {
    offsets.clear();
    const auto callback = [](void* self, GuestAddress address) { static_cast<Trace*>(self)->boundary(address); };
    fault = cpu.run(start, callback, this);
    return offsets;
  }
  void boundary(GuestAddress address) {
    offsets.push_back(address - kCode);
    if (at_boundary) {
      at_boundary(address);
    }
    if (address == stop || offsets.size() > 100) {
      cpu.stop();
    }
  }
  Cpu& cpu;
  GuestAddress stop;
  std::function<void(GuestAddress)> at_boundary;
  std::vector<std::uint64_t> offsets;
  std::optional<GuestFault> fault;
};

Registers read_all(const Cpu& cpu) {
  Registers registers;
  cpu.read_general(registers);
  cpu.read_segments(registers);
  registers.gs_base = cpu.segment_base(Segment::gs);
  return registers;
}

class CpuTest : public ::testing::TestWithParam<Width> {
 protected:
  Width width() const { return GetParam(); }
  bool wide() const { return width() == Width::k64; }
  Registers start() const {
    Registers registers;
    for (std::size_t i = 0; i < gpr_count(width()); ++i) {
      registers.gpr[i] = (0x1111111111111111 * (i + 1)) & (wide() ? ~std::uint64_t{0} : 0xffffffff);
    }
    registers[Gpr::rsp] = kStack.value;
    registers.rflags = 0x202;
    return registers;
  }
};

INSTANTIATE_TEST_SUITE_P(Widths, CpuTest, ::testing::Values(Width::k64, Width::k32),
                         [](const auto& info) { return info.param == Width::k64 ? "k64" : "k32"; });

TEST_P(CpuTest, SelfTestPasses) { EXPECT_NO_THROW(run_self_test(width())); }

TEST_P(CpuTest, StartsInTheKernelsRing) {
  Guest guest;
  const Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  const Registers registers = read_all(cpu);
  EXPECT_EQ(registers[Segment::cs], wide() ? 0xe033 : 0xe019);
  EXPECT_EQ(registers[Segment::ss], wide() ? 0xe02b : 0xe021);
  EXPECT_EQ(registers.rflags, 0x202U);
  EXPECT_EQ(cpu.width(), width());
}

TEST_P(CpuTest, CallsTheHookOncePerInstruction) {
  Guest guest;
  guest.put(kCode, {0x90,                    // 0: nop
                    0x50,                    // 1: push %rax
                    0x83, 0xc0, 0x01,        // 2: add $1,%eax
                    0x75, 0x01,              // 5: jne 8
                    0x90,                    // 7: nop
                    0x58,                    // 8: pop %rax
                    0xf0, 0xff, 0x07,        // 9: lock incl (%rdi)
                    0xe8, 0x01, 0,    0, 0,  // 12: call 18
                    0x90,                    // 17: nop
                    0x59,                    // 18: pop %rcx
                    0x90});                  // 19: nop
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  Registers registers = start();
  registers[Gpr::rdi] = kData.value;
  cpu.write_general(registers);
  Trace trace(cpu, kCode + 19);
  const auto expected = ElementsAre(0, 1, 2, 5, 8, 9, 12, 18, 19);
  EXPECT_THAT(trace.run(), expected);
  EXPECT_THAT(trace.run(), expected);  // translated already
  EXPECT_EQ(trace.fault, std::nullopt);
  EXPECT_EQ(cpu.read(Gpr::rcx), (kCode + 17).value);
  EXPECT_EQ(load_word(guest.memory.find(kData, 4), 4), 2U);
}

TEST_P(CpuTest, DoesNotCallTheHookOutsideItsRanges) {
  Guest guest;
  guest.put(kCode, {0xff, 0xe6});                        // 0: jmp *%rsi
  guest.put(kUnhooked, {0x83, 0xc0, 0x01, 0xff, 0xe7});  // add $1,%eax; jmp *%rdi
  guest.put(kCode + 0x10, {0x90});                       // nop
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  Registers registers = start();
  registers[Gpr::rax] = 1;
  registers[Gpr::rsi] = kUnhooked.value;
  registers[Gpr::rdi] = (kCode + 0x10).value;
  cpu.write_general(registers);
  Trace trace(cpu, kCode + 0x10);
  EXPECT_THAT(trace.run(), ElementsAre(0, 0x10));
  EXPECT_EQ(cpu.read(Gpr::rax), 2U);
}

TEST_P(CpuTest, HooksOfSeveralRangesCallOnceEach) {
  Guest guest;
  guest.put(kCode, {0xff, 0xe6});      // jmp *%rsi
  guest.put(kUnhooked, {0x90, 0x90});  // nop; nop
  const GuestRange ranges[] = {guest.hooked, {kUnhooked, kUnhooked + 0x1000}};
  Cpu cpu(width(), guest.memory, kGdt, ranges);
  Registers registers = start();
  registers[Gpr::rsi] = kUnhooked.value;
  cpu.write_general(registers);
  Trace trace(cpu, kUnhooked + 1);
  EXPECT_THAT(trace.run(), ElementsAre(0, 0x8000, 0x8001));
}

TEST_P(CpuTest, StopsBeforeTheInstructionWithRegistersAsTheyWere) {
  Guest guest;
  guest.put(kCode, {0x83, 0xc0, 0x01, 0x83, 0xc0, 0x01});  // add $1,%eax, twice
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  Registers registers = start();
  registers[Gpr::rax] = 5;
  cpu.write_general(registers);
  Trace trace(cpu, kCode + 3);
  trace.run();
  registers[Gpr::rax] = 6;
  registers.rip = (kCode + 3).value;
  registers.rflags = 0x206;
  Registers actual;
  cpu.read_general(actual);
  EXPECT_EQ(actual, registers);
}

TEST_P(CpuTest, WritesAndReadsEveryRegister) {
  Guest guest;
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  Registers registers = start();
  registers.rflags = 0x244ed7;  // ID AC NT, all status flags, DF, IF
  cpu.write_general(registers);
  Registers actual = read_all(cpu);
  EXPECT_EQ(actual.gpr, registers.gpr);
  EXPECT_EQ(actual.rflags, registers.rflags);
  EXPECT_EQ(cpu.read_rflags(), registers.rflags);
  cpu.write_rflags(0x202);
  EXPECT_EQ(cpu.read_rflags(), 0x202U);
  for (std::size_t i = 0; i < gpr_count(width()); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    cpu.write(gpr, 0x1000 + i);
    EXPECT_EQ(cpu.read(gpr), 0x1000 + i);
  }
  const Selectors& selectors = selectors_of(width());
  for (const Segment segment : {Segment::ds, Segment::es, Segment::fs, Segment::gs}) {
    Registers with = registers;
    with[segment] = selectors.kernel_stack;
    cpu.write_data_segments(with);
    actual = read_all(cpu);
    for (const Segment other : {Segment::ds, Segment::es, Segment::fs, Segment::gs}) {
      EXPECT_EQ(actual[other], other == segment ? selectors.kernel_stack : 0);
    }
  }
}

TEST(Cpu64, GsBaseIsWhatGsAddresses) {
  Guest guest;
  guest.put(kCode, {0x65, 0x48, 0x8b, 0x04, 0x25, 0x08, 0, 0, 0,  // 0: mov %gs:8,%rax
                    0x90});                                       // 9: nop
  store_word(guest.memory.find(kData + 8, 8), 0x1234567890, 8);
  Cpu cpu(Width::k64, guest.memory, kGdt, {&guest.hooked, 1});
  Registers registers;
  registers.gs_base = kData.value;
  cpu.write_data_segments(registers);
  EXPECT_EQ(cpu.segment_base(Segment::gs), kData.value);
  EXPECT_EQ(cpu.segment_base(Segment::fs), 0U);
  EXPECT_EQ(cpu.segment_base(Segment::ds), 0U);
  Trace(cpu, kCode + 9).run();
  EXPECT_EQ(cpu.read(Gpr::rax), 0x1234567890U);
}

TEST_P(CpuTest, ResetRestoresEverything) {
  Guest guest;
  guest.put(kCode, {0xfd,    // 0: std
                    0x90});  // 1: nop
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  const Registers before = read_all(cpu);
  Registers changed = start();
  changed.rflags = 0x244fd7;  // TF, too
  for (const Segment segment : {Segment::ds, Segment::es, Segment::fs, Segment::gs}) {
    changed[segment] = selectors_of(width()).kernel_stack;
  }
  changed.gs_base = wide() ? 0x12340000 : 0;
  cpu.write_data_segments(changed);
  cpu.write_general(changed);
  cpu.redirect({0x4000});
  ASSERT_NE(read_all(cpu), before);
  cpu.reset();
  EXPECT_EQ(read_all(cpu), before);
  Trace(cpu, kCode + 1).run();  // DF set by the guest itself
  ASSERT_EQ(cpu.read_rflags(), 0x602U);
  cpu.reset();
  EXPECT_EQ(read_all(cpu), before);
}

TEST(Cpu32, ResetReturnsToRing1) {
  Guest guest;
  guest.put(kCode, {0xcf,    // 0: iret
                    0x90,    // 1: nop
                    0xfa});  // 2: cli
  const std::uint32_t frame[] = {0x10001, 0xe02b, 0x246, 0x30c00, 0xe033};
  std::memcpy(guest.memory.find(kStack, sizeof frame), frame, sizeof frame);
  Cpu cpu(Width::k32, guest.memory, kGdt, {&guest.hooked, 1});
  const Registers before = read_all(cpu);
  cpu.write(Gpr::rsp, kStack.value);
  Trace(cpu, kCode + 1).run();
  EXPECT_EQ(read_all(cpu)[Segment::cs], 0xe02b);
  cpu.reset();
  EXPECT_EQ(read_all(cpu), before);
  // Only ring 1 may return to ring 1.
  const std::uint32_t inner[] = {0x10001, 0xe019, 0x246};
  std::memcpy(guest.memory.find(kStack, sizeof inner), inner, sizeof inner);
  cpu.write(Gpr::rsp, kStack.value);
  Trace again(cpu, kCode + 1);
  again.run();
  EXPECT_EQ(again.fault, std::nullopt);
  EXPECT_EQ(cpu.read(Gpr::rsp), kStack.value + 12);
}

TEST_P(CpuTest, RunsOnAfterAFault) {
  Guest guest;
  guest.put(kCode, {0x0f, 0x0b,        // 0: ud2
                    0x83, 0xc0, 0x01,  // 2: add $1,%eax
                    0x90});            // 5: nop
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  for (int i = 0; i < 3; ++i) {
    cpu.reset();
    cpu.write(Gpr::rax, 1);
    Trace trace(cpu, kCode + 5);
    trace.run();
    EXPECT_EQ(trace.fault, (GuestFault{GuestFault::Kind::exception, 6, kCode, {}}));
    trace.run(kCode + 2);
    EXPECT_EQ(trace.fault, std::nullopt);
    EXPECT_EQ(cpu.read(Gpr::rax), 2U);
  }
}

TEST_P(CpuTest, SoftwareInterruptIsAFaultWithItsNumber) {
  Guest guest;
  guest.put(kCode, {0xcd, 0x82});  // int $0x82
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  Trace trace(cpu, kCode + 2);
  trace.run();
  ASSERT_TRUE(trace.fault.has_value());
  EXPECT_EQ(trace.fault->kind, GuestFault::Kind::exception);
  EXPECT_EQ(trace.fault->vector, 0x82);
}

TEST_P(CpuTest, GuardsAroundRegionsAreUnmapped) {
  Guest guest;
  guest.put(kCode, {0x89, 0x07,  // 0: mov %eax,(%rdi)
                    0x90});      // 2: nop
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  const auto store_to = [&](std::uint64_t address) {
    cpu.reset();
    cpu.write(Gpr::rdi, address);
    Trace trace(cpu, kCode + 2);
    trace.run();
    return trace.fault;
  };
  const auto fault_at = [](std::uint64_t address) { return GuestFault{GuestFault::Kind::write, 0, kCode, {address}}; };
  EXPECT_EQ(store_to(kData.value), std::nullopt);
  EXPECT_EQ(store_to(kData.value + 0xffc), std::nullopt);
  EXPECT_EQ(store_to(kData.value - 4), fault_at(kData.value - 4));
  EXPECT_EQ(store_to(kData.value + 0x1000), fault_at(kData.value + 0x1000));
  EXPECT_EQ(store_to(kCode.value), fault_at(kCode.value));  // text is not writable
  EXPECT_EQ(guest.memory.find(kCode, 1)[0], 0x89);
  EXPECT_EQ(store_to(kGdt.value), fault_at(kGdt.value));  // neither is the GDT
}

TEST_P(CpuTest, HostAndGuestSeeTheSameMemory) {
  Guest guest;
  guest.put(kCode, {0x8b, 0x07,        // 0: mov (%rdi),%eax
                    0x89, 0x47, 0x04,  // 2: mov %eax,4(%rdi)
                    0x90});            // 5: nop
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  for (const std::uint32_t value : {0x11223344U, 0x55667788U}) {
    store_word(guest.memory.find(kData, 4), value, 4);
    cpu.reset();
    cpu.write(Gpr::rdi, kData.value);
    Trace(cpu, kCode + 5).run();
    EXPECT_EQ(load_word(guest.memory.find(kData + 4, 4), 4), value);
  }
}

TEST_P(CpuTest, HostWritesFromACallbackAreSeen) {
  Guest guest;
  guest.put(kCode, {0x90,        // 0: nop
                    0x8b, 0x07,  // 1: mov (%rdi),%eax
                    0x90});      // 3: nop
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  cpu.write(Gpr::rdi, kData.value);
  Trace trace(cpu, kCode + 3);
  trace.at_boundary = [&](GuestAddress address) {
    if (address == kCode + 1) {
      store_word(guest.memory.find(kData, 4), 0x77, 4);
    }
  };
  trace.run();
  EXPECT_EQ(cpu.read(Gpr::rax), 0x77U);
}

TEST_P(CpuTest, TwoCpusShareOneMemoryAndNothingElse) {
  Guest guest;
  guest.put(kCode, {0xff, 0x07,        // 0: incl (%rdi)
                    0x83, 0xc0, 0x01,  // 2: add $1,%eax
                    0x90});            // 5: nop
  Cpu first(width(), guest.memory, kGdt, {&guest.hooked, 1});
  const std::size_t regions = guest.memory.regions().size();
  Cpu second(width(), guest.memory, kGdt, {&guest.hooked, 1});
  EXPECT_EQ(guest.memory.regions().size(), regions);  // the GDT is there already
  first.write(Gpr::rdi, kData.value);
  second.write(Gpr::rdi, kData.value);
  first.write(Gpr::rax, 10);
  second.write(Gpr::rax, 20);
  for (int i = 0; i < 2; ++i) {
    Trace(first, kCode + 5).run();
    Trace(second, kCode + 5).run();
  }
  EXPECT_EQ(first.read(Gpr::rax), 12U);
  EXPECT_EQ(second.read(Gpr::rax), 22U);
  EXPECT_EQ(load_word(guest.memory.find(kData, 4), 4), 4U);
  second.reset();
  EXPECT_EQ(first.read(Gpr::rax), 12U);
}

TEST_P(CpuTest, ManyRunsEndTheSameWay) {
  Guest guest;
  guest.put(kCode, {0x83, 0xc0, 0x01,  // 0: add $1,%eax
                    0x39, 0xc8,        // 3: cmp %ecx,%eax
                    0x75, 0xf9,        // 5: jne 0
                    0x90});            // 7: nop
  Cpu cpu(width(), guest.memory, kGdt, {&guest.hooked, 1});
  for (int i = 0; i < 2000; ++i) {
    cpu.reset();
    cpu.write(Gpr::rax, 0);
    cpu.write(Gpr::rcx, 5);
    Trace trace(cpu, kCode + 7);
    ASSERT_EQ(trace.run().size(), 16U);
    ASSERT_EQ(cpu.read_rflags(), 0x246U);
  }
}

// ---- Leaks: what is not told of an engine hides none of ours ----

#ifdef FRAMEFOLD_TEST_LEAKS
constexpr std::size_t kLeaked = 32;  // an old copy of one's address may lie on the stack, not of all

/// Whether LeakSanitizer, which prints them, finds leaks while nothing has the address of what `make` makes.
template <typename Make>
bool are_found_lost(const Make& make) {
  std::array<std::uintptr_t, kLeaked> hidden{};
  for (std::uintptr_t& one : hidden) {
    one = ~reinterpret_cast<std::uintptr_t>(make());
  }
  const bool found = __lsan_do_recoverable_leak_check() != 0;
  for (const std::uintptr_t one : hidden) {
    delete reinterpret_cast<decltype(make())>(~one);
  }
  return found;
}

TEST(Leaks, OfWhatIsNotLostAreNone) {
  Guest guest;
  for (std::size_t i = 0; i < kLeaked; ++i) {
    const Cpu cpu(Width::k64, guest.memory, kGdt, {&guest.hooked, 1});
  }
  EXPECT_EQ(__lsan_do_recoverable_leak_check(), 0);
}

TEST(Leaks, AreFoundBesideAnEngine) {
  Guest guest;
  const Cpu cpu(Width::k64, guest.memory, kGdt, {&guest.hooked, 1});
  EXPECT_TRUE(are_found_lost([] { return new std::uint64_t(); }));
}

TEST(Leaks, OfEnginesAreFound) {
  Guest guest;
  EXPECT_TRUE(are_found_lost([&] { return new Cpu(Width::k64, guest.memory, kGdt, {&guest.hooked, 1}); }));
}
#endif

// ---- Selectors ----

TEST(SelectorTable, IsThatOfThePage) {
  const Selectors& wide = selectors_of(Width::k64);
  EXPECT_EQ(wide.kernel_code, 0xe033);
  EXPECT_EQ(wide.kernel_stack, 0xe02b);
  EXPECT_EQ(wide.kernel_data, 0);
  EXPECT_EQ(wide.user_code, 0xe033);
  EXPECT_EQ(wide.user_stack, 0xe02b);
  EXPECT_EQ(wide.user_data, 0);
  EXPECT_EQ(wide.kernel_ring, 3U);
  const Selectors& narrow = selectors_of(Width::k32);
  EXPECT_EQ(narrow.kernel_code, 0xe019);
  EXPECT_EQ(narrow.kernel_stack, 0xe021);
  EXPECT_EQ(narrow.kernel_data, 0xe021);
  EXPECT_EQ(narrow.user_code, 0xe02b);
  EXPECT_EQ(narrow.user_stack, 0xe033);
  EXPECT_EQ(narrow.user_data, 0xe033);
  EXPECT_EQ(narrow.kernel_ring, 1U);
}

TEST(UnicornVersion, IsOneThatWeKnow) {
  EXPECT_THAT(unicorn_version(), ::testing::MatchesRegex("2\\.[0-9]+\\.[0-9]+"));
}

}  // namespace
}  // namespace framefold
