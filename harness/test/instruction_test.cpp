// Decoding, on bytes written down by hand.
#include "image/instruction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

namespace framefold {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr GuestAddress kAddress{0x1000};
constexpr auto kAll = static_cast<InstructionFlag>(0xffff & ~static_cast<unsigned>(InstructionFlag::block_leader));

Instruction decode_one(Width width, const Bytes& bytes) {
  std::vector<Instruction> instructions = decode(width, kAddress, bytes, {});
  EXPECT_EQ(instructions.size(), 1U);
  return instructions.empty() ? Instruction{} : instructions.front();
}

InstructionFlag flags_of(const Instruction& instruction) {
  return static_cast<InstructionFlag>(static_cast<unsigned>(instruction.flags) & static_cast<unsigned>(kAll));
}

using enum InstructionFlag;
constexpr Width k64 = Width::k64;
constexpr Width k32 = Width::k32;

struct FlagCase {
  const char* text;  // as Capstone prints it
  Bytes bytes;
  Width width;
  InstructionFlag flags;
  unsigned memory;  // operands
};

std::ostream& operator<<(std::ostream& out, const FlagCase& c) { return out << c.text; }

class Flags : public ::testing::TestWithParam<FlagCase> {};

const FlagCase kFlagCases[] = {
    // Returns, traps, calls, branches.
    {"iretq", {0x48, 0xcf}, k64, returns | branches | moves_stack, 0},
    {"iretl", {0xcf}, k32, returns | branches | moves_stack, 0},
    {"syscall", {0x0f, 0x05}, k64, traps, 0},
    {"int $0x82", {0xcd, 0x82}, k32, traps, 0},
    {"int $0x80", {0xcd, 0x80}, k32, none, 0},
    {"callq 0x1005", {0xe8, 0, 0, 0, 0}, k64, calls, 0},
    {"callq *8(%rax)", {0xff, 0x50, 0x08}, k64, calls | loads, 1},
    {"callq *%rax", {0xff, 0xd0}, k64, calls, 0},
    {"callq *8(%rsp)", {0xff, 0x54, 0x24, 0x08}, k64, calls, 1},
    {"jmpq *8(%rax)", {0xff, 0x60, 0x08}, k64, branches | loads, 1},
    {"jne 0x1000", {0x75, 0xfe}, k64, branches, 0},
    {"retq", {0xc3}, k64, branches, 0},
    {"retl $8", {0xc2, 0x08, 0x00}, k32, branches, 0},
    {"loop 0x1000", {0xe2, 0xfe}, k64, branches, 0},
    {"jecxz 0x1000", {0xe3, 0xfe}, k32, branches, 0},
    // Stores and loads.
    {"movb $0, 1(%rsi)", {0xc6, 0x46, 0x01, 0x00}, k64, stores, 1},
    {"movq 8(%rsi), %rax", {0x48, 0x8b, 0x46, 0x08}, k64, loads, 1},
    {"testb $1, (%rsi)", {0xf6, 0x06, 0x01}, k64, loads, 1},
    {"cmpb $0, 1(%rsi)", {0x80, 0x7e, 0x01, 0x00}, k64, loads, 1},
    {"cmpw $1, (%eax)", {0x66, 0x83, 0x38, 0x01}, k32, loads, 1},
    {"incl %gs:0", {0x65, 0xff, 0x04, 0x25, 0, 0, 0, 0}, k64, stores | loads, 1},
    {"xchgq %rax, (%rbx)", {0x48, 0x87, 0x03}, k64, stores | loads, 1},
    {"lock xaddl %eax, (%rbx)", {0xf0, 0x0f, 0xc1, 0x03}, k64, stores | loads, 1},
    {"lock cmpxchgl %ecx, (%rbx)", {0xf0, 0x0f, 0xb1, 0x0b}, k64, stores | loads, 1},
    {"cmpxchg8b (%rbx)", {0x0f, 0xc7, 0x0b}, k64, stores | loads, 1},
    {"sete (%rbx)", {0x0f, 0x94, 0x03}, k64, stores, 1},
    {"sete %al", {0x0f, 0x94, 0xc0}, k64, none, 0},
    {"btsl %eax, (%rbx)", {0x0f, 0xab, 0x03}, k64, stores | loads, 1},
    {"movl %eax, 0xf4030201", {0xa3, 0x01, 0x02, 0x03, 0xf4}, k32, stores, 1},
    {"movabsb 0x807060504030201, %al", {0xa0, 1, 2, 3, 4, 5, 6, 7, 8}, k64, loads, 1},
    {"movw %ds, (%rax)", {0x8c, 0x18}, k64, stores, 1},
    {"fstpl (%rbx)", {0xdd, 0x1b}, k64, stores, 1},
    {"fxrstor (%rbx)", {0x0f, 0xae, 0x0b}, k64, loads, 1},
    {"leaq 8(%rsi), %rdi", {0x48, 0x8d, 0x7e, 0x08}, k64, none, 0},
    {"nopl (%rax)", {0x0f, 0x1f, 0x00}, k64, none, 0},
    {"prefetcht0 (%rbx)", {0x0f, 0x18, 0x0b}, k64, none, 0},
    {"endbr64", {0xf3, 0x0f, 0x1e, 0xfa}, k64, none, 0},
    {"movsd %xmm0, (%rbx)", {0xf2, 0x0f, 0x11, 0x03}, k64, stores, 1},
    // Relative to the stack pointer: live slots are neither, reads below it are loads.
    {"movq %rax, 8(%rsp)", {0x48, 0x89, 0x44, 0x24, 0x08}, k64, none, 1},
    {"movq %rax, -8(%rsp)", {0x48, 0x89, 0x44, 0x24, 0xf8}, k64, none, 1},
    {"movq 8(%rsp), %rax", {0x48, 0x8b, 0x44, 0x24, 0x08}, k64, none, 1},
    {"movq (%rsp), %rax", {0x48, 0x8b, 0x04, 0x24}, k64, none, 1},
    {"movq -8(%rsp), %rax", {0x48, 0x8b, 0x44, 0x24, 0xf8}, k64, loads, 1},
    {"movl 4(%esp), %eax", {0x8b, 0x44, 0x24, 0x04}, k32, none, 1},
    {"movq (%rsp, %rcx, 8), %rax", {0x48, 0x8b, 0x04, 0xcc}, k64, loads, 1},
    {"movq %rax, (%rsp, %rcx, 8)", {0x48, 0x89, 0x04, 0xcc}, k64, stores, 1},
    {"movb %al, 1(%rsp, %rax)", {0x88, 0x44, 0x04, 0x01}, k64, stores, 1},
    {"movl 4(%esp), %eax", {0x67, 0x8b, 0x44, 0x24, 0x04}, k64, loads, 1},  // cuts RSP to 32 bits
    {"movl %gs:4(%esp), %eax", {0x65, 0x8b, 0x44, 0x24, 0x04}, k32, loads, 1},
    {"btsl %eax, 4(%rsp)", {0x0f, 0xab, 0x44, 0x24, 0x04}, k64, stores | loads, 1},
    {"xlatb", {0xd7}, k64, loads, 1},
    {"orb $3, 8(%rsp)", {0x80, 0x4c, 0x24, 0x08, 0x03}, k64, none, 1},
    {"movl %ss:(%eax), %ecx", {0x36, 0x8b, 0x08}, k32, loads, 1},
    // The stack.
    {"pushq %rax", {0x50}, k64, none, 0},
    {"pushq 8(%rax)", {0xff, 0x70, 0x08}, k64, loads, 1},
    {"pushq 8(%rsp)", {0xff, 0x74, 0x24, 0x08}, k64, none, 1},
    {"popq %rax", {0x58}, k64, none, 0},
    {"popq 8(%rax)", {0x8f, 0x40, 0x08}, k64, stores, 1},
    {"popq %rsp", {0x5c}, k64, moves_stack, 0},
    {"popl %esp", {0x5c}, k32, moves_stack, 0},
    {"pushal", {0x60}, k32, none, 0},
    {"popal", {0x61}, k32, none, 0},
    {"popfq", {0x9d}, k64, none, 0},
    {"addq $0x30, %rsp", {0x48, 0x83, 0xc4, 0x30}, k64, none, 0},
    {"addl $4, %esp", {0x83, 0xc4, 0x04}, k32, none, 0},
    {"addl $4, %esp", {0x83, 0xc4, 0x04}, k64, moves_stack, 0},  // cuts RSP to 32 bits
    {"addq $-8, %rsp", {0x48, 0x83, 0xc4, 0xf8}, k64, moves_stack, 0},
    {"addq %rax, %rsp", {0x48, 0x01, 0xc4}, k64, moves_stack, 0},
    {"subq $0x10, %rsp", {0x48, 0x83, 0xec, 0x10}, k64, moves_stack, 0},
    {"andl $0xfffffff0, %esp", {0x83, 0xe4, 0xf0}, k32, moves_stack, 0},
    {"movq %rax, %rsp", {0x48, 0x89, 0xc4}, k64, moves_stack, 0},
    {"movq %rsp, %rdi", {0x48, 0x89, 0xe7}, k64, none, 0},
    {"cmpq %rax, %rsp", {0x48, 0x39, 0xc4}, k64, none, 0},
    {"cmoveq %gs:8, %rsp", {0x65, 0x48, 0x0f, 0x44, 0x24, 0x25, 8, 0, 0, 0}, k64, moves_stack | loads, 1},
    {"leaq 8(%rsp), %rsp", {0x48, 0x8d, 0x64, 0x24, 0x08}, k64, moves_stack, 0},
    {"xchgq %rax, %rsp", {0x48, 0x94}, k64, moves_stack, 0},
    {"leave", {0xc9}, k64, moves_stack | loads, 1},
    {"enter $16, $1", {0xc8, 0x10, 0x00, 0x01}, k64, moves_stack, 0},
    {"enter $16, $2", {0xc8, 0x10, 0x00, 0x02}, k64, moves_stack | loads, 1},
    {"enter $16, $32", {0xc8, 0x10, 0x00, 0x20}, k64, moves_stack, 0},  // the level is taken modulo 32
    // Shadows.
    {"movl %eax, %ss", {0x8e, 0xd0}, k64, shadows | loads_segment, 0},
    {"popl %ss", {0x17}, k32, shadows | loads_segment, 0},
    {"movl %eax, %ds", {0x8e, 0xd8}, k64, loads_segment, 0},
    {"popl %ds", {0x1f}, k32, loads_segment, 0},
    // Strings.
    {"rep movsq (%rsi), (%rdi)", {0xf3, 0x48, 0xa5}, k64, repeats | stores | loads, 2},
    {"movsb (%rsi), (%rdi)", {0xa4}, k64, stores | loads, 2},
    {"rep stosl %eax, %es:(%edi)", {0xf3, 0xab}, k32, repeats | stores, 1},
    {"lodsl (%rsi), %eax", {0xad}, k64, loads, 1},
    {"repne scasb (%rdi), %al", {0xf2, 0xae}, k64, repeats | loads, 1},
    {"repe cmpsb (%rdi), (%rsi)", {0xf3, 0xa6}, k64, repeats | loads, 2},
    {"retq", {0xf3, 0xc3}, k64, branches, 0},  // rep ret does not repeat
};
INSTANTIATE_TEST_SUITE_P(Instruction, Flags, ::testing::ValuesIn(kFlagCases));

TEST_P(Flags, AreThoseOfTheManual) {
  const FlagCase& c = GetParam();
  const Instruction instruction = decode_one(c.width, c.bytes);
  EXPECT_EQ(instruction.length, c.bytes.size());
  EXPECT_EQ(instruction.next(), kAddress + c.bytes.size());
  EXPECT_EQ(static_cast<unsigned>(flags_of(instruction)), static_cast<unsigned>(c.flags)) << instruction.text;
  EXPECT_EQ(instruction.memory_count, c.memory) << instruction.text;
}

Registers registers() {
  Registers r;
  for (std::size_t i = 0; i < kGprCount; ++i) r.gpr[i] = 0x10000 * (i + 1);
  r[Gpr::rax] |= 0x78;  // AL is an index, R8 and R9 are numbers of bits
  r[Gpr::r8] = 0x8f;
  r[Gpr::r9] = ~std::uint64_t{0};
  r.gs_base = 0x5000000;
  return r;
}

struct AddressCase {
  const char* text;
  Bytes bytes;
  std::uint64_t address;  // with registers()
  unsigned size;
  Width width;
  bool read, write;
};

std::ostream& operator<<(std::ostream& out, const AddressCase& c) { return out << c.text; }

class Addresses : public ::testing::TestWithParam<AddressCase> {};

// Gpr n holds 0x10000 * (n + 1): rax 0x10078, rcx 0x20000, rdx 0x30000, rbx 0x40000, rsp 0x50000, rsi 0x70000, rdi
// 0x80000.
const AddressCase kAddressCases[] = {
    {"movb $0, 1(%rsi)", {0xc6, 0x46, 0x01, 0x00}, 0x70001, 1, k64, false, true},
    {"movq -16(%rbx,%rcx,8), %rax", {0x48, 0x8b, 0x44, 0xcb, 0xf0}, 0x13fff0, 8, k64, true, false},
    {"movq 8(%rip), %rax", {0x48, 0x8b, 0x05, 8, 0, 0, 0}, 0x100f, 8, k64, true, false},
    {"incl %gs:16", {0x65, 0xff, 0x04, 0x25, 0x10, 0, 0, 0}, 0x5000010, 4, k64, true, true},
    {"movl (%esp), %eax", {0x67, 0x8b, 0x04, 0x24}, 0x50000, 4, k64, true, false},
    {"movzbl 0xf4030201(%eax), %ecx", {0x0f, 0xb6, 0x88, 0x01, 0x02, 0x03, 0xf4}, 0xf4040279, 1, k32, true, false},
    {"movb $0, -1(%esi,%esi,8)", {0xc6, 0x44, 0xf6, 0xff, 0x00}, 0x3effff, 1, k32, false, true},
    {"movl %eax, 0xf4030201", {0xa3, 0x01, 0x02, 0x03, 0xf4}, 0xf4030201, 4, k32, false, true},
    {"pushq 8(%rsp)", {0xff, 0x74, 0x24, 0x08}, 0x50008, 8, k64, true, false},
    {"popq 8(%rsp)", {0x8f, 0x44, 0x24, 0x08}, 0x50010, 8, k64, false, true},  // after the increment
    {"popl 8(%esp)", {0x8f, 0x44, 0x24, 0x08}, 0x5000c, 4, k32, false, true},
    {"movabsb 0x807060504030201, %al", {0xa0, 1, 2, 3, 4, 5, 6, 7, 8}, 0x0807060504030201, 1, k64, true, false},
    {"rep stosq", {0xf3, 0x48, 0xab}, 0x80000, 8, k64, false, true},
    {"lodsw %gs:(%rsi)", {0x65, 0x66, 0xad}, 0x5070000, 2, k64, true, false},
    {"scasl %es:(%edi)", {0xaf}, 0x80000, 4, k32, true, false},
    {"xlatb", {0xd7}, 0x40078, 1, k64, true, false},
    {"xlatb %gs:(%rbx)", {0x65, 0xd7}, 0x5040078, 1, k64, true, false},
    {"leave", {0xc9}, 0x60000, 8, k64, true, false},
    {"leave", {0xc9}, 0x60000, 4, k32, true, false},
    {"enter $16, $2", {0xc8, 0x10, 0x00, 0x02}, 0x5fff8, 8, k64, true, false},
    {"enter $0, $31", {0xc8, 0x00, 0x00, 0x1f}, 0x60000 - 30 * 4, 30 * 4, k32, true, false},
    {"btsl %r8d, (%rbx)", {0x44, 0x0f, 0xab, 0x03}, 0x40000 + 0x80 / 8, 4, k64, true, true},
    {"btsl %r9d, (%rbx)", {0x44, 0x0f, 0xab, 0x0b}, 0x40000 - 4, 4, k64, true, true},
    {"btq %r9, (%rbx)", {0x4c, 0x0f, 0xa3, 0x0b}, 0x40000 - 8, 8, k64, true, false},
    {"btl $5, (%rbx)", {0x0f, 0xba, 0x23, 0x05}, 0x40000, 4, k64, true, false},
    {"fxsave (%rbx)", {0x0f, 0xae, 0x03}, 0x40000, 512, k64, false, true},
};
INSTANTIATE_TEST_SUITE_P(Instruction, Addresses, ::testing::ValuesIn(kAddressCases));

TEST_P(Addresses, AreExact) {
  const AddressCase& c = GetParam();
  const Instruction instruction = decode_one(c.width, c.bytes);
  ASSERT_EQ(instruction.memory_count, 1U);
  const MemoryOperand& memory = instruction.accesses()[0];
  EXPECT_EQ(effective_address(memory, registers(), instruction.next()).value, c.address);
  EXPECT_EQ(memory.size, c.size);
  EXPECT_EQ(memory.read, c.read);
  EXPECT_EQ(memory.write, c.write);
}

TEST(Instruction, MovsHasTwoOperands) {
  const Instruction movs = decode_one(k64, {0x48, 0xa5});
  ASSERT_EQ(movs.memory_count, 2U);
  EXPECT_TRUE(movs.memory[0].write && !movs.memory[0].read);
  EXPECT_EQ(effective_address(movs.memory[0], registers(), movs.next()).value, 0x80000U);
  EXPECT_TRUE(movs.memory[1].read && !movs.memory[1].write);
  EXPECT_EQ(effective_address(movs.memory[1], registers(), movs.next()).value, 0x70000U);
  EXPECT_EQ(movs.memory[1].size, 8);
  // An override moves the source only, and the default ES of the destination is none.
  const Instruction overridden = decode_one(k32, {0x65, 0xa4});
  ASSERT_EQ(overridden.memory_count, 2U);
  EXPECT_EQ(overridden.memory[0].segment, std::nullopt);
  EXPECT_EQ(overridden.memory[1].segment, Segment::gs);
}

TEST(Instruction, AddressesOf32BitGuestsWrap) {
  const Instruction store = decode_one(k32, {0xc6, 0x40, 0xff, 0x00});  // movb $0,-1(%eax)
  Registers r;
  EXPECT_EQ(effective_address(store.memory[0], r, store.next()).value, 0xffffffffU);
}

TEST(Instruction, TargetsAreThoseOfDirectBranchesAndCalls) {
  EXPECT_EQ(decode_one(k64, {0xe8, 0x10, 0, 0, 0}).target, GuestAddress{0x1015});
  EXPECT_EQ(decode_one(k64, {0x74, 0xfe}).target, GuestAddress{0x1000});
  EXPECT_EQ(decode_one(k64, {0xe2, 0x10}).target, GuestAddress{0x1012});
  EXPECT_EQ(decode_one(k32, {0xe9, 0xfb, 0xdf, 0xff, 0xff}).target, GuestAddress{0xfffff000});
  EXPECT_EQ(decode_one(k64, {0xff, 0xd0}).target, std::nullopt);
  EXPECT_EQ(decode_one(k64, {0xc2, 0x08, 0x00}).target, std::nullopt);
  EXPECT_EQ(decode_one(k32, {0xcd, 0x82}).target, std::nullopt);
}

TEST(Instruction, LowersTheStackByAnImmediateAlone) {
  EXPECT_EQ(decode_one(k64, {0x48, 0x83, 0xec, 0x10}).lowers_stack, 0x10U);  // subq $0x10,%rsp
  EXPECT_EQ(decode_one(k32, {0x81, 0xec, 0x00, 0x01, 0x00, 0x00}).lowers_stack, 0x100U);
  EXPECT_EQ(decode_one(k64, {0x48, 0x83, 0xec, 0xf0}).lowers_stack, 0U);       // subq $-0x10,%rsp
  EXPECT_EQ(decode_one(k64, {0x83, 0xec, 0x10}).lowers_stack, 0U);             // subl $0x10,%esp: cuts RSP
  EXPECT_EQ(decode_one(k64, {0x48, 0x29, 0xc4}).lowers_stack, 0U);             // subq %rax,%rsp
  EXPECT_EQ(decode_one(k64, {0x48, 0x83, 0xe8, 0x10}).lowers_stack, 0U);       // subq $0x10,%rax
  EXPECT_EQ(decode_one(k64, {0x48, 0x83, 0xc4, 0x10}).lowers_stack, 0U);       // addq $0x10,%rsp
  EXPECT_EQ(decode_one(k32, {0x60}).lowers_stack, 32U);                        // pushal
  EXPECT_EQ(decode_one(k32, {0x66, 0x60}).lowers_stack, 16U);                  // pushaw
  EXPECT_EQ(decode_one(k64, {0xc8, 0x10, 0x00, 0x00}).lowers_stack, 24U);      // enter $16, $0: RBP, and 16 bytes
  EXPECT_EQ(decode_one(k64, {0xc8, 0x10, 0x00, 0x02}).lowers_stack, 40U);      // enter $16, $2: and two frame pointers
  EXPECT_EQ(decode_one(k32, {0xc8, 0x00, 0xff, 0x20}).lowers_stack, 0xff04U);  // enter $0xff00, $32: no level
}

TEST(Instruction, TextIsInAttSyntax) {
  EXPECT_EQ(decode_one(k64, {0xc6, 0x46, 0x01, 0x00}).text, "movb $0, 1(%rsi)");
  EXPECT_EQ(decode_one(k64, {0x48, 0xcf}).text, "iretq");
}

TEST(Instruction, LeadersAreTargetsAndWhatFollowsABranch) {
  const Bytes bytes = {
      0x90,                 // 1000 nop
      0x75, 0x01,           // 1001 jne 1004
      0x90,                 // 1003 nop: behind a branch
      0x90,                 // 1004 nop: a target
      0x90,                 // 1005 nop
      0xe8, 0,    0, 0, 0,  // 1006 call 100b
      0x90,                 // 100b nop: target and behind
      0xff, 0xd0,           // 100c call *%rax
      0xc3,                 // 100e ret: behind a call
      0x90,                 // 100f nop: behind a return
  };
  std::vector<std::uint64_t> leaders;
  for (const Instruction& instruction : decode(k64, kAddress, bytes, {})) {
    if (has(instruction.flags, block_leader)) leaders.push_back(instruction.address.value);
  }
  EXPECT_THAT(leaders, ::testing::ElementsAre(0x1003, 0x1004, 0x100b, 0x100e, 0x100f));
}

TEST(Instruction, DecodingStartsAfreshAtEachStart) {
  // Three bytes of data that would swallow the nops as an immediate.
  const Bytes bytes = {0xc3, 0x00, 0x48, 0xb8, 0x90, 0x90, 0xc3};
  const std::vector<GuestAddress> starts = {kAddress - 8, kAddress, kAddress + 4, kAddress + 4, kAddress + 100};
  std::vector<std::string> texts;
  for (const Instruction& instruction : decode(k64, kAddress, bytes, starts)) texts.push_back(instruction.text);
  ASSERT_GE(texts.size(), 4U);
  EXPECT_EQ(texts.front(), "retq");
  EXPECT_THAT(std::vector<std::string>(texts.end() - 3, texts.end()), ::testing::ElementsAre("nop", "nop", "retq"));
}

TEST(Instruction, BytesThatDoNotDecodeAreSkippedOneByOne) {
  const std::vector<Instruction> instructions =
      decode(k64, kAddress, Bytes{0x06, 0x0e, 0x90}, {});  // push %es, %cs: not 64-bit
  ASSERT_EQ(instructions.size(), 1U);
  EXPECT_EQ(instructions[0].address, kAddress + 2);
  EXPECT_TRUE(decode(k64, kAddress, Bytes{}, {}).empty());
  EXPECT_TRUE(decode(k64, kAddress, Bytes{0x48}, {}).empty());
}

/// Past a prefix, as kernels jump past `lock`.
TEST(Decode, WhatABranchIntoAnInstructionLeadsTo) {
  const Bytes code = {0xeb, 0x01, 0x48, 0xff, 0xc0, 0x90};  // jmp .+3; inc %rax, and past its REX prefix inc %eax; nop
  std::vector<std::pair<std::uint64_t, std::string>> found;
  for (const Instruction& i : decode(Width::k64, {0x1000}, code, {})) found.emplace_back(i.address.value, i.text);
  EXPECT_THAT(found, testing::ElementsAre(testing::Pair(0x1000, "jmp 0x1003"), testing::Pair(0x1002, "incq %rax"),
                                          testing::Pair(0x1003, "incl %eax"), testing::Pair(0x1005, "nop")));
  const Bytes beyond = {0xeb, 0x02, 0x48, 0xff, 0xc0, 0x90};  // to 0xc0 0x90, which lacks a byte
  EXPECT_EQ(decode(Width::k64, {0x1000}, beyond, {}).size(), 3U);
}

}  // namespace
}  // namespace framefold
