// The self-test's table. Expected values are what the SDM says of the instruction (Vol. 2, "IRET", "POPF", "CMOVcc")
// or, for hooks, what the runs are built on; not what Unicorn was seen to do, but where a comment says so.
#include "machine/self_test_checks.hpp"

#include "machine/selectors.hpp"

namespace framefold {

namespace {

using Kind = GuestFault::Kind;
using Checks = std::vector<SelfTestCheck>;

constexpr std::uint8_t kDeviceNotAvailable = 7;
constexpr std::uint8_t kGeneralProtection = 13;
constexpr std::uint64_t kAllStatus = 0xcd5;  // CF PF AF ZF SF DF OF

void append(Checks& checks, Checks more) {
  for (SelfTestCheck& check : more) {
    checks.push_back(std::move(check));
  }
}

// clang-format off
const std::vector<std::uint8_t> kAdds{0x83, 0xc0, 0x01,   // 0: add $1,%eax
                                      0x83, 0xc0, 0x01,   // 3: add $1,%eax
                                      0x83, 0xc0, 0x01,   // 6: add $1,%eax
                                      0x90};              // 9: nop
const std::vector<std::uint8_t> kBranch{0x83, 0xf8, 0x05,   // 0: cmp $5,%eax
                                        0x74, 0x03,         // 3: je 8
                                        0x83, 0xc0, 0x01,   // 5: add $1,%eax
                                        0x90};              // 8: nop
// clang-format on

Checks hook_redirect_checks() {
  return {
      {.name = "one hook call an instruction",
       .code = kAdds,
       .start = {.gprs = {{Gpr::rax, 5}}},
       .boundaries = {0, 3, 6, 9},
       .end = {.gprs = {{Gpr::rax, 8}}}},
      {.name = "redirecting RIP in mid block",
       .code = kAdds,
       .start = {.gprs = {{Gpr::rax, 5}}},
       .hooks = {{.at = 3, .redirect = 6}},
       .boundaries = {0, 3, 6, 9},
       .end = {.gprs = {{Gpr::rax, 7}}}},
      {.name = "redirecting RIP at the start of a run",
       .code = kAdds,
       .start = {.gprs = {{Gpr::rax, 5}}},
       .hooks = {{.at = 0, .redirect = 6}},
       .boundaries = {0, 6, 9},
       .end = {.gprs = {{Gpr::rax, 6}}, .rflags = 0x206}},
  };
}

Checks hook_read_checks() {
  return {
      {.name = "registers and flags read in mid block",
       .code = kBranch,
       .start = {.gprs = {{Gpr::rax, 5}}},
       .hooks = {{.at = 3, .seen = SelfTestState{.rflags = 0x246}}},
       .boundaries = {0, 3, 8},
       .end = {.rflags = 0x246}},
      {.name = "a register read in mid block",
       .code = kAdds,
       .start = {.gprs = {{Gpr::rax, 5}}},
       .hooks = {{.at = 6, .seen = SelfTestState{.gprs = {{Gpr::rax, 7}}}}},
       .boundaries = {0, 3, 6, 9},
       .end = {.gprs = {{Gpr::rax, 8}}}},
  };
}

Checks hook_write_checks() {
  return {
      // Within a block Unicorn has decided at translation where a jump finds its flags: only a redirection makes
      // written ones count, which the hook then sees as a second call.
      {.name = "flags written before a jump that they prevent",
       .code = kBranch,
       .start = {.gprs = {{Gpr::rax, 5}}},
       .hooks = {{.at = 3, .redirect = std::uint8_t{3}, .write_rflags = 0x202}},
       .boundaries = {0, 3, 3, 5, 8},
       .end = {.gprs = {{Gpr::rax, 6}}, .rflags = 0x206}},
      {.name = "flags written before a jump that they cause",
       .code = kBranch,
       .start = {.gprs = {{Gpr::rax, 4}}},
       .hooks = {{.at = 3, .redirect = std::uint8_t{3}, .write_rflags = 0x242}},
       .boundaries = {0, 3, 3, 8},
       .end = {.rflags = 0x242}},
      {.name = "a register written in mid block",
       .code = kAdds,
       .start = {.gprs = {{Gpr::rax, 5}}},
       .hooks = {{.at = 3, .write = {{Gpr::rax, 0x10}, {Gpr::rcx, 0x20}}}},
       .boundaries = {0, 3, 6, 9},
       .end = {.gprs = {{Gpr::rax, 0x12}, {Gpr::rcx, 0x20}}, .rflags = 0x206}},
      {.name = "the stack pointer written before a push",
       .code = {0x90,   // 0: nop
                0x50,   // 1: push %rax
                0x59,   // 2: pop %rcx
                0x90},  // 3: nop
       .start = {.gprs = {{Gpr::rax, 5}, {Gpr::rsp, kSelfTestUnmapped.value}}},
       .hooks = {{.at = 1, .write = {{Gpr::rsp, kSelfTestStack.value}}}},
       .boundaries = {0, 1, 2, 3},
       .end = {.gprs = {{Gpr::rcx, 5}, {Gpr::rsp, kSelfTestStack.value}}}},
  };
}

/// After each fault the instruction before it shows in full, the faulting one not at all.
Checks fault_checks(unsigned word) {
  const auto access = [](std::string_view name, std::uint8_t opcode, Kind kind, GuestAddress address) {
    return SelfTestCheck{.name = name,
                         .code = {0x83, 0xc0, 0x01,  // 0: add $1,%eax
                                  opcode, 0x07,      // 3: mov %eax,(%rdi) or mov (%rdi),%eax
                                  0x90},             // 5: nop
                         .start = {.gprs = {{Gpr::rax, 5}, {Gpr::rdi, address.value}}},
                         .boundaries = {0, 3},
                         .fault = SelfTestFault{.kind = kind, .rip = std::uint8_t{3}, .address = address},
                         .end = {.gprs = {{Gpr::rax, 6}}, .rflags = 0x206}};
  };
  const auto fetch = [](std::string_view name, GuestAddress address) {
    return SelfTestCheck{.name = name,
                         .code = {0x83, 0xc0, 0x01,  // 0: add $1,%eax
                                  0xff, 0xe7,        // 3: jmp *%rdi
                                  0x90},             // 5: nop
                         .start = {.gprs = {{Gpr::rax, 5}, {Gpr::rdi, address.value}}},
                         .boundaries = {0, 3},
                         .fault = SelfTestFault{.kind = Kind::fetch, .rip = address, .address = address},
                         .end = {.gprs = {{Gpr::rax, 6}}, .rflags = 0x206}};
  };
  constexpr std::uint8_t kStore = 0x89;
  constexpr std::uint8_t kLoad = 0x8b;
  return {
      access("a write where nothing is mapped", kStore, Kind::write, kSelfTestUnmapped),
      access("a write to read-only memory", kStore, Kind::write, kSelfTestReadOnly),
      access("a read where nothing is mapped", kLoad, Kind::read, kSelfTestUnmapped),
      fetch("a fetch from memory that is not executable", kSelfTestData),
      fetch("a fetch where nothing is mapped", kSelfTestUnmapped),
      {.name = "a push where nothing is mapped",
       .code = {0x83, 0xc0, 0x01,  // 0: add $1,%eax
                0x50,              // 3: push %rax
                0x90},             // 4: nop
       .start = {.gprs = {{Gpr::rax, 5}, {Gpr::rsp, kSelfTestUnmapped.value + 8}}},
       .boundaries = {0, 3},
       .fault = SelfTestFault{.kind = Kind::write, .rip = std::uint8_t{3}, .address = kSelfTestUnmapped + (8 - word)},
       .end = {.gprs = {{Gpr::rax, 6}}, .rflags = 0x206}},
      {.name = "an undefined instruction",
       .code = {0x83, 0xc0, 0x01,  // 0: add $1,%eax
                0x0f, 0x0b,        // 3: ud2
                0x90},             // 5: nop
       .start = {.gprs = {{Gpr::rax, 5}}},
       .boundaries = {0, 3},
       .fault = SelfTestFault{.vector = 6, .rip = std::uint8_t{3}},
       .end = {.gprs = {{Gpr::rax, 6}}, .rflags = 0x206}},
      {.name = "an SSE register with CR0.TS set",
       .code = {0x83, 0xc0, 0x01,        // 0: add $1,%eax
                0x66, 0x0f, 0x7e, 0xc1,  // 3: movd %xmm0,%ecx
                0x90},                   // 7: nop
       .start = {.gprs = {{Gpr::rax, 5}}},
       .boundaries = {0, 3},
       .fault = SelfTestFault{.vector = kDeviceNotAvailable, .rip = std::uint8_t{3}},
       .end = {.gprs = {{Gpr::rax, 6}}, .rflags = 0x206},
       .since_2_1 = true},
      {.name = "hlt outside ring 0",
       .code = {0x83, 0xc0, 0x01,  // 0: add $1,%eax
                0xf4,              // 3: hlt
                0x90},             // 4: nop
       .start = {.gprs = {{Gpr::rax, 5}}},
       .boundaries = {0, 3},
       .fault = SelfTestFault{.vector = kGeneralProtection, .rip = std::uint8_t{3}},
       .end = {.gprs = {{Gpr::rax, 6}}, .rflags = 0x206}},
      {.name = "cli with IOPL 0",
       .code = {0xfa,   // 0: cli
                0x90},  // 1: nop
       .boundaries = {0},
       .fault = SelfTestFault{.vector = kGeneralProtection, .rip = std::uint8_t{0}}},
  };
}

Checks flag_checks() {
  return {
      {.name = "popf loads all but IF and IOPL",
       .code = {0x68, 0xd5, 0x7c, 0x24, 0x00,  // 0: push $(ID | AC | NT | IOPL | kAllStatus)
                0x9d,                          // 5: popf
                0x90},                         // 6: nop
       .boundaries = {0, 5, 6},
       .end = {.rflags = 0x244202 | kAllStatus}},
      {.name = "popf clears what it may",
       .code = {0x6a, 0x00,  // 0: push $0
                0x9d,        // 2: popf
                0x90},       // 3: nop
       .start = {.rflags = 0x244202 | kAllStatus},
       .boundaries = {0, 2, 3},
       .end = {.rflags = 0x202}},
      {.name = "pushf shows IF=1 and IOPL=0",
       .code = {0x9c,   // 0: pushf
                0x58,   // 1: pop %rax
                0x90},  // 2: nop
       .start = {.rflags = 0x246},
       .boundaries = {0, 1, 2},
       .end = {.gprs = {{Gpr::rax, 0x246}}}},
  };
}

Checks string_checks() {
  // clang-format off
  const std::vector<std::uint8_t> code{0xfd,         // 0: std
                                       0xf3, 0xa4,   // 1: rep movsb
                                       0xfc,         // 3: cld
                                       0x90};        // 4: nop
  // clang-format on
  return {
      // Measured, and what boundaries rest on: the hook comes before each iteration, and once more when the count is 0.
      {.name = "std, rep movs, cld",
       .code = code,
       .start = {.gprs = {{Gpr::rcx, 3}, {Gpr::rsi, kSelfTestData.value + 2}, {Gpr::rdi, kSelfTestData.value + 10}}},
       .hooks = {{.at = 3,
                  .seen = SelfTestState{.gprs = {{Gpr::rcx, 0},
                                                 {Gpr::rsi, kSelfTestData.value - 1},
                                                 {Gpr::rdi, kSelfTestData.value + 7}},
                                        .rflags = 0x602}}},
       .boundaries = {0, 1, 1, 1, 1, 3, 4},
       .end = {.gprs = {{Gpr::rcx, 0}, {Gpr::rsi, kSelfTestData.value - 1}, {Gpr::rdi, kSelfTestData.value + 7}}},
       .data_before = {1, 2, 3},
       .data_after = {1, 2, 3, 0, 0, 0, 0, 0, 1, 2, 3}},
      {.name = "redirecting RIP between two iterations",
       .code = code,
       .start = {.gprs = {{Gpr::rcx, 3}, {Gpr::rsi, kSelfTestData.value + 2}, {Gpr::rdi, kSelfTestData.value + 10}}},
       .hooks = {{.at = 1,
                  .call = 2,
                  .redirect = 3,
                  .seen = SelfTestState{.gprs = {{Gpr::rcx, 2},
                                                 {Gpr::rsi, kSelfTestData.value + 1},
                                                 {Gpr::rdi, kSelfTestData.value + 9}},
                                        .rflags = 0x602}}},
       .boundaries = {0, 1, 1, 3, 4},
       .end = {.gprs = {{Gpr::rcx, 2}, {Gpr::rsi, kSelfTestData.value + 1}, {Gpr::rdi, kSelfTestData.value + 9}}},
       .data_before = {1, 2, 3},
       .data_after = {1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 3}},
      {.name = "rep movs with count 0",
       .code = code,
       .start = {.gprs = {{Gpr::rcx, 0}, {Gpr::rsi, kSelfTestData.value}, {Gpr::rdi, kSelfTestData.value + 8}}},
       .boundaries = {0, 1, 3, 4},
       .data_before = {1, 2, 3},
       .data_after = {1, 2, 3}},
  };
}

Checks cmov_checks(Width width) {
  const Registers start = self_test_start(width);
  const std::uint64_t rcx = start[Gpr::rcx];
  const std::uint64_t rdx = start[Gpr::rdx];
  // clang-format off
  const std::vector<std::uint8_t> narrow{0x83, 0xf8, 0x05,   // 0: cmp $5,%eax
                                         0x0f, 0x44, 0xca,   // 3: cmove %edx,%ecx
                                         0x90};              // 6: nop
  const std::vector<std::uint8_t> wide{0x83, 0xf8, 0x05,         // 0: cmp $5,%eax
                                       0x48, 0x0f, 0x44, 0xca,   // 3: cmove %rdx,%rcx
                                       0x90};                    // 7: nop
  // clang-format on
  Checks checks{
      {.name = "cmov, 32-bit, taken",
       .code = narrow,
       .start = {.gprs = {{Gpr::rax, 5}}},
       .boundaries = {0, 3, 6},
       .end = {.gprs = {{Gpr::rcx, rdx & 0xffffffff}}, .rflags = 0x246}},
      {.name = "cmov, 32-bit, not taken: the upper half is cleared all the same",
       .code = narrow,
       .start = {.gprs = {{Gpr::rax, 6}}},
       .boundaries = {0, 3, 6},
       .end = {.gprs = {{Gpr::rcx, rcx & 0xffffffff}}}},
  };
  if (width == Width::k64) {
    checks.push_back({.name = "cmov, 64-bit, taken",
                      .code = wide,
                      .start = {.gprs = {{Gpr::rax, 5}}},
                      .boundaries = {0, 3, 7},
                      .end = {.gprs = {{Gpr::rcx, rdx}}, .rflags = 0x246}});
    checks.push_back(
        {.name = "cmov, 64-bit, not taken", .code = wide, .start = {.gprs = {{Gpr::rax, 6}}}, .boundaries = {0, 3, 7}});
  }
  return checks;
}

SelfTestCheck iret_check(Width width, std::string_view name, SelfTestReturnFrame frame) {
  SelfTestCheck check{.name = name};
  if (width == Width::k64) {
    check.code = {0x48, 0xcf,  // 0: iretq
                  0x90};       // 2: nop
    frame.target = 2;
  } else {
    check.code = {0xcf,   // 0: iret
                  0x90};  // 1: nop
    frame.target = 1;
  }
  frame.rsp = kSelfTestOtherStack.value;
  check.frame = frame;
  check.boundaries = {0};
  return check;
}

SelfTestCheck iret_faults(Width width, std::string_view name, SelfTestReturnFrame frame, SelfTestState start = {}) {
  SelfTestCheck check = iret_check(width, name, frame);
  check.start = std::move(start);
  check.fault = SelfTestFault{.vector = kGeneralProtection, .rip = std::uint8_t{0}};
  return check;
}

SelfTestCheck iret_loads(Width width, std::string_view name, SelfTestReturnFrame frame, SelfTestState end) {
  SelfTestCheck check = iret_check(width, name, frame);
  check.boundaries.push_back(check.frame->target);
  check.end = std::move(end);
  return check;
}

Checks iretq_checks() {
  const Selectors& selectors = selectors_of(Width::k64);
  const std::uint64_t cs = selectors.kernel_code;
  const std::uint64_t ss = selectors.kernel_stack;
  const auto faults = [](std::string_view name, SelfTestReturnFrame frame, SelfTestState start = {}) {
    return iret_faults(Width::k64, name, frame, std::move(start));
  };
  const auto loads = [](std::string_view name, SelfTestReturnFrame frame, std::uint64_t rflags) {
    return iret_loads(Width::k64, name, frame,
                      {.gprs = {{Gpr::rsp, kSelfTestOtherStack.value}}, .segments = {}, .rflags = rflags});
  };
  Checks checks{
      faults("iretq with CS.RPL 0", {.cs = cs & ~3U, .rflags = 0x202, .ss = ss}),
      faults("iretq with CS.RPL 1", {.cs = (cs & ~3U) | 1, .rflags = 0x202, .ss = ss}),
      faults("iretq with SS null", {.cs = cs, .rflags = 0x202, .ss = 0}),
      faults("iretq with SS null, RPL 3", {.cs = cs, .rflags = 0x202, .ss = 3}),
      faults("iretq with SS.RPL 0", {.cs = cs, .rflags = 0x202, .ss = ss & ~3U}),
      faults("iretq with CS null", {.cs = 0, .rflags = 0x202, .ss = ss}),
      faults("iretq with NT set", {.cs = cs, .rflags = 0x202, .ss = ss}, {.rflags = 0x4202}),
      loads("iretq pops RSP and SS", {.cs = cs, .rflags = 0x246, .ss = ss}, 0x246),
      loads("iretq ignores the CS slot above bit 15", {.cs = cs | 0x00ffff8100000000, .rflags = 0x202, .ss = ss},
            0x202),
      loads("iretq ignores the SS slot above bit 15", {.cs = cs, .rflags = 0x202, .ss = ss | 0xffff0000}, 0x202),
      loads("iretq with IF clear loads the other flags", {.cs = cs, .rflags = 0x244002 | kAllStatus, .ss = ss},
            0x244202 | kAllStatus),
      loads("iretq ignores IOPL, VM, VIF and VIP", {.cs = cs, .rflags = 0x1a3202, .ss = ss}, 0x202),
      loads("iretq ignores bit 31", {.cs = cs, .rflags = 0x80000246, .ss = ss}, 0x246),
      loads("iretq loads TF, which a hook at the target shows", {.cs = cs, .rflags = 0x302, .ss = ss}, 0x302),
  };
  SelfTestCheck unmapped = iret_check(Width::k64, "iretq on a stack that is not mapped", {});
  unmapped.start = {.gprs = {{Gpr::rsp, kSelfTestUnmapped.value}}};
  unmapped.fault = SelfTestFault{.kind = Kind::read, .rip = std::uint8_t{0}, .address = kSelfTestUnmapped};
  checks.push_back(std::move(unmapped));
  return checks;
}

Checks iret32_checks() {
  const Selectors& selectors = selectors_of(Width::k32);
  const std::uint64_t kernel_cs = selectors.kernel_code;
  const std::uint64_t user_cs = selectors.user_code;
  const std::uint64_t user_ss = selectors.user_stack;
  const auto within = [](std::string_view name, std::uint64_t cs, std::uint64_t eflags, std::uint64_t loaded) {
    return iret_loads(Width::k32, name, {.cs = cs, .rflags = eflags},
                      {.gprs = {{Gpr::rsp, kSelfTestStack.value + 12}}, .segments = {}, .rflags = loaded});
  };
  Checks checks{
      within("iret from ring 1 to ring 1 pops three words", kernel_cs, 0x246, 0x246),
      within("iret ignores the CS word above bit 15", kernel_cs | 0xff810000, 0x202, 0x202),
      within("iret with IF clear loads the other flags", kernel_cs, 0x240002 | kAllStatus, 0x240202 | kAllStatus),
      within("iret ignores IOPL, VIF and VIP", kernel_cs, 0x183202, 0x202),
      within("iret ignores bit 31", kernel_cs, 0x80000246, 0x246),
      within("iret loads TF, which a hook at the target shows", kernel_cs, 0x302, 0x302),
      iret_faults(Width::k32, "iret with CS.RPL 0", {.cs = kernel_cs & ~3U, .rflags = 0x202}),
      iret_faults(Width::k32, "iret to ring 3 with SS.RPL 1", {.cs = user_cs, .rflags = 0x202, .ss = user_ss - 2}),
      iret_faults(Width::k32, "iret to ring 3 with SS null", {.cs = user_cs, .rflags = 0x202, .ss = 0}),
      iret_loads(Width::k32, "iret from ring 1 to ring 3 pops five words and clears DS and ES of ring 1",
                 {.cs = user_cs, .rflags = 0x246, .ss = user_ss},
                 {.gprs = {{Gpr::rsp, kSelfTestOtherStack.value}},
                  .segments = {{Segment::cs, selectors.user_code},
                               {Segment::ss, selectors.user_stack},
                               {Segment::ds, std::uint16_t{0}},
                               {Segment::es, std::uint16_t{0}}},
                  .rflags = 0x246}),
  };
  SelfTestCheck keeps =
      iret_loads(Width::k32, "iret from ring 1 to ring 3 keeps DS and ES of ring 3",
                 {.cs = user_cs, .rflags = 0x202, .ss = user_ss},
                 {.gprs = {{Gpr::rsp, kSelfTestOtherStack.value}},
                  .segments = {{Segment::cs, selectors.user_code}, {Segment::ss, selectors.user_stack}},
                  .rflags = 0x202});
  keeps.start.segments = {{Segment::ds, selectors.user_data}, {Segment::es, selectors.user_data}};
  checks.push_back(std::move(keeps));
  return checks;
}

Checks segment_checks32() {
  const Selectors& selectors = selectors_of(Width::k32);
  return {
      {.name = "pop of a null selector into DS",
       .code = {0x6a, 0x00,  // 0: push $0
                0x1f,        // 2: pop %ds
                0x90},       // 3: nop
       .boundaries = {0, 2, 3},
       .end = {.segments = {{Segment::ds, std::uint16_t{0}}}}},
      {.name = "pop of a flat selector into a null ES",
       .code = {0x16,   // 0: push %ss
                0x07,   // 1: pop %es
                0x90},  // 2: nop
       .start = {.segments = {{Segment::es, std::uint16_t{0}}}},
       .boundaries = {0, 1, 2},
       .end = {.segments = {{Segment::es, selectors.kernel_stack}}}},
      {.name = "an SS override with a null DS",
       .code = {0x36, 0x8b, 0x07,  // 0: mov %ss:(%edi),%eax
                0x90},             // 3: nop
       .start = {.gprs = {{Gpr::rdi, kSelfTestData.value}}, .segments = {{Segment::ds, std::uint16_t{0}}}},
       .boundaries = {0, 3},
       .end = {.gprs = {{Gpr::rax, 0x04030201}}},
       .data_before = {1, 2, 3, 4},
       .data_after = {1, 2, 3, 4}},
  };
}

}  // namespace

std::vector<SelfTestCheck> self_test_checks(Width width) {
  Checks checks = hook_redirect_checks();
  append(checks, hook_read_checks());
  append(checks, hook_write_checks());
  append(checks, fault_checks(word_size(width)));
  append(checks, flag_checks());
  append(checks, string_checks());
  append(checks, cmov_checks(width));
  if (width == Width::k64) {
    append(checks, iretq_checks());
  } else {
    append(checks, iret32_checks());
    append(checks, segment_checks32());
  }
  return checks;
}

}  // namespace framefold
