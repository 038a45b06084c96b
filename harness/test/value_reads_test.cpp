// Which instructions do more with a value than copy it, on bytes written down by hand.
#include "image/value_reads.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <ostream>
#include <string>

namespace framefold {
namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr Width kWide = Width::k64;
constexpr Width kNarrow = Width::k32;

struct ReadCase {
  const char* text;
  Bytes bytes;
  Width width;
  std::vector<const char*> registers;  // "rax", or "rax 1+1": offset and size of less than a whole one
  bool memory = false;
  bool flags = false;
  bool stack = false;
};
std::ostream& operator<<(std::ostream& out, const ReadCase& c) { return out << c.text; }

std::vector<std::string> registers_of(const ReadCase& c, const ValueReads& reads) {
  std::vector<std::string> names;
  for (const RegisterRead& read : reads.view()) {
    std::string name(name_of(read.gpr, c.width));
    if (read.size != word_size(c.width)) name += " " + std::to_string(read.offset) + "+" + std::to_string(read.size);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

const ReadCase kCases[] = {
    // Copies.
    {"movq %rax, %rbx", {0x48, 0x89, 0xc3}, kWide, {}},
    {"movl %eax, %ebx", {0x89, 0xc3}, kNarrow, {}},
    {"movq %rax, 8(%rsp)", {0x48, 0x89, 0x44, 0x24, 0x08}, kWide, {}},
    {"movq 8(%rsp), %rax", {0x48, 0x8b, 0x44, 0x24, 0x08}, kWide, {}},
    {"movq (%rsi), %rdx", {0x48, 0x8b, 0x16}, kWide, {"rsi"}},
    {"pushq %rax", {0x50}, kWide, {}},
    {"pushl %eax", {0x50}, kNarrow, {}},
    {"popq %rbx", {0x5b}, kWide, {}},
    {"pushal", {0x60}, kNarrow, {}},
    {"xchgq %rax, (%rsp)", {0x48, 0x87, 0x04, 0x24}, kWide, {}},
    {"rep movsq", {0xf3, 0x48, 0xa5}, kWide, {"rcx", "rdi", "rsi"}},
    {"movsq", {0x48, 0xa5}, kWide, {"rdi", "rsi"}},
    // What comes out does not depend on what goes in.
    {"xorl %eax, %eax", {0x31, 0xc0}, kWide, {}},
    {"subq %rax, %rax", {0x48, 0x29, 0xc0}, kWide, {}},
    {"nopl (%rax, %rbx)", {0x0f, 0x1f, 0x04, 0x18}, kWide, {}},
    {"movl $1, %eax", {0xb8, 1, 0, 0, 0}, kWide, {}, true},
    {"sete %al", {0x0f, 0x94, 0xc0}, kWide, {}, true, true},
    // Looks.
    {"movl %eax, %ebx", {0x89, 0xc3}, kWide, {"rax 0+4"}, true},
    {"testl %eax, %eax", {0x85, 0xc0}, kNarrow, {"eax"}, true},
    {"testb %al, %al", {0x84, 0xc0}, kWide, {"rax 0+1"}, true},
    {"testb $1, %ah", {0xf6, 0xc4, 0x01}, kWide, {"rax 1+1"}, true},
    {"cmpq $5, %rax", {0x48, 0x83, 0xf8, 0x05}, kWide, {"rax"}, true},
    {"cmpq %rbx, %rax", {0x48, 0x39, 0xd8}, kWide, {"rax", "rbx"}, true},
    {"cmpl $0, 8(%rsp)", {0x83, 0x7c, 0x24, 0x08, 0x00}, kWide, {}, true},
    {"movq 3(%rsp), %rdx", {0x48, 0x8b, 0x54, 0x24, 0x03}, kWide, {}, true},
    {"addq %rax, %rcx", {0x48, 0x01, 0xc1}, kWide, {"rax", "rcx"}, true},
    {"leaq 8(%rax), %rcx", {0x48, 0x8d, 0x48, 0x08}, kWide, {"rax"}, true},
    {"cltq", {0x48, 0x98}, kWide, {"rax 0+4"}, true},
    {"movzbl %al, %ecx", {0x0f, 0xb6, 0xc8}, kWide, {"rax 0+1"}, true},
    {"incl %eax", {0xff, 0xc0}, kWide, {"rax 0+4"}, true},
    {"callq *%rax", {0xff, 0xd0}, kWide, {"rax"}, true},
    {"jmpq *%rax", {0xff, 0xe0}, kWide, {"rax"}, true},
    {"movq %rax, %rsp", {0x48, 0x89, 0xc4}, kWide, {"rax"}, true},
    {"xorl %eax, %ecx", {0x31, 0xc1}, kNarrow, {"eax", "ecx"}, true},
    {"syscall", {0x0f, 0x05}, kWide, {"rax"}, true},
    {"int $0x82", {0xcd, 0x82}, kNarrow, {"eax"}, true},
    {"ret", {0xc3}, kWide, {}, true, false, true},
    {"leave", {0xc9}, kWide, {"rbp"}, true},
    {"enter $16, $1", {0xc8, 0x10, 0x00, 0x01}, kWide, {}, true},
    {"enter $16, $2", {0xc8, 0x10, 0x00, 0x02}, kWide, {"rbp"}, true},
    {"enter $0, $31", {0xc8, 0x00, 0x00, 0x1f}, kNarrow, {"ebp"}, true},
    // Of flags.
    {"je", {0x74, 0x00}, kWide, {}, true, true},
    {"jb", {0x72, 0x00}, kWide, {}, true, true},
    {"ja", {0x77, 0x00}, kNarrow, {}, true, true},
    {"adcl %ecx, %eax", {0x11, 0xc8}, kNarrow, {"eax", "ecx"}, true, true},
    {"sbbl %eax, %eax", {0x19, 0xc0}, kNarrow, {}, false, true},
    {"rcll %eax", {0xd1, 0xd0}, kNarrow, {"eax"}, true, true},
    {"cmovel %ecx, %eax", {0x0f, 0x44, 0xc1}, kNarrow, {"eax", "ecx"}, true, true},
    {"lahf", {0x9f}, kWide, {}, true, true},
    {"pushfq", {0x9c}, kWide, {}, true, true},
};

class Reads : public testing::TestWithParam<ReadCase> {};

TEST_P(Reads, AreWhatTheInstructionDecidesBy) {
  const ReadCase& c = GetParam();
  constexpr GuestAddress kAddress{0x1000};
  const std::vector<Instruction> code = decode(c.width, kAddress, c.bytes, {});
  ASSERT_EQ(code.size(), 1U);
  const ValueReads reads = value_reads(c.width, kAddress, c.bytes, code).front();
  const std::vector<std::string> expected(c.registers.begin(), c.registers.end());
  EXPECT_THAT(registers_of(c, reads), testing::UnorderedElementsAreArray(expected));
  EXPECT_EQ(reads.memory, c.memory);
  EXPECT_EQ(reads.flags, c.flags);
  EXPECT_EQ(reads.stack, c.stack);
}

/// call, inc, jb: nothing between has written CF. With an add, or a label, it is not the function's, or may not be.
TEST(Reads, OfCarryBehindACallAreOfWhatTheFunctionLeft) {
  constexpr GuestAddress kAddress{0x1000};
  const auto carry_of = [&](const Bytes& code) {
    return value_reads(kWide, kAddress, code, decode(kWide, kAddress, code, {})).back().carry_of;
  };
  EXPECT_EQ(carry_of({0xe8, 0x20, 0, 0, 0, 0xff, 0xc2, 0x72, 0x00}), (GuestAddress{0x1025}));
  EXPECT_EQ(carry_of({0xe8, 0x20, 0, 0, 0, 0x83, 0xc2, 0x01, 0x72, 0x00}), std::nullopt);
  EXPECT_EQ(carry_of({0xe8, 0x20, 0, 0, 0, 0xff, 0xc2, 0x72, 0xfc}), std::nullopt);  // to the inc
  EXPECT_EQ(carry_of({0xff, 0xc2, 0x72, 0x00}), std::nullopt);
}

/// bt, or with a label or a call behind it; then jb.
TEST(Reads, OfCarryAreOfWhatTheCodeHasWrittenThere) {
  const auto reads_of = [](const Bytes& code, std::vector<GuestAddress> starts) {
    constexpr GuestAddress kAddress{0x1000};
    const std::vector<Instruction> instructions = decode(kWide, kAddress, code, starts);
    return value_reads(kWide, kAddress, code, instructions).back().flags;
  };
  const Bytes bt = {0x48, 0x0f, 0xba, 0xe0, 0x03};
  const auto with = [&](const Bytes& more) {
    Bytes all = bt;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  EXPECT_FALSE(reads_of(with({0x72, 0x00}), {}));
  EXPECT_TRUE(reads_of(with({0x74, 0x00}), {}));                    // je: ZF
  EXPECT_TRUE(reads_of(with({0xe8, 0, 0, 0, 0, 0x72, 0x00}), {}));  // call
  EXPECT_TRUE(reads_of(with({0x72, 0xfe}), {}));                    // jb to itself: a label there
}

INSTANTIATE_TEST_SUITE_P(Instruction, Reads, testing::ValuesIn(kCases));

// --- What becomes of a word that is more than copied

struct UseCase {
  const char* text;
  Bytes bytes;
  Width width;
  unsigned shifts = 0;
  std::optional<std::int64_t> by{};
  bool compares = false;
  std::optional<std::int64_t> with{};
  unsigned popped = 0;
  unsigned rounds_to = 0;
};
std::ostream& operator<<(std::ostream& out, const UseCase& c) { return out << c.text; }

constexpr std::optional<std::int64_t> kNone;

const UseCase kUses[] = {
    {"addq $8, %rsp; ret", {0x48, 0x83, 0xc4, 0x08, 0xc3}, kWide, 1, 8},
    {"addq $8, %rsp; jz", {0x48, 0x83, 0xc4, 0x08, 0x74, 0x00}, kWide},
    {"addq $8, %rsp; incl %eax; jz", {0x48, 0x83, 0xc4, 0x08, 0xff, 0xc0, 0x74, 0x00}, kWide, 1, 8},
    {"addq $8, %rsp; incl %eax; jb", {0x48, 0x83, 0xc4, 0x08, 0xff, 0xc0, 0x72, 0x00}, kWide},
    {"addq $8, %rsp; pushf", {0x48, 0x83, 0xc4, 0x08, 0x9c}, kWide},
    {"subl $16, %eax; ret", {0x83, 0xe8, 0x10, 0xc3}, kNarrow, 1, -16},
    {"leaq 8(%rsp), %rdi", {0x48, 0x8d, 0x7c, 0x24, 0x08}, kWide, 1, 8},
    {"leaq 8(%rsp, %rcx), %rdi", {0x48, 0x8d, 0x7c, 0x0c, 0x08}, kWide, 1},
    {"leaq (,%rax,2), %rdi", {0x48, 0x8d, 0x3c, 0x45, 0, 0, 0, 0}, kWide},
    {"leaq (%rax, %rax), %rdi", {0x48, 0x8d, 0x3c, 0x00}, kWide},
    {"andq $-16, %rsp; ret", {0x48, 0x83, 0xe4, 0xf0, 0xc3}, kWide, 1, kNone, false, kNone, 0, 16},
    {"andl $-8, %esp; ret", {0x83, 0xe4, 0xf8, 0xc3}, kNarrow, 1, kNone, false, kNone, 0, 8},
    {"andq $-4096, %rsp; ret", {0x48, 0x81, 0xe4, 0x00, 0xf0, 0xff, 0xff, 0xc3}, kWide},
    {"andl $-24, %esp; ret", {0x83, 0xe4, 0xe8, 0xc3}, kNarrow},
    {"cmovz %rax, %rsp", {0x48, 0x0f, 0x44, 0xe0}, kWide, 2},
    {"cmpq $5, %rax; jb", {0x48, 0x83, 0xf8, 0x05, 0x72, 0x00}, kWide, 0, kNone, true, 5},
    {"cmpq $5, %rax; js", {0x48, 0x83, 0xf8, 0x05, 0x78, 0x00}, kWide, 0, kNone, false, 5},
    {"cmpq $5, %rax; jb; jl", {0x48, 0x83, 0xf8, 0x05, 0x72, 0x00, 0x7c, 0x00}, kWide, 0, kNone, false, 5},
    {"cmpl $5, %eax; jb", {0x83, 0xf8, 0x05, 0x72, 0x00}, kWide},
    {"cmpq %rbx, %rax; ja", {0x48, 0x39, 0xd8, 0x77, 0x00}, kWide, 0, kNone, true},
    {"ret", {0xc3}, kWide, 0, kNone, false, kNone, 1},
    {"iretq", {0x48, 0xcf}, kWide, 0, kNone, false, kNone, 5},
    {"iret", {0xcf}, kNarrow, 0, kNone, false, kNone, 3},
};

class Uses : public testing::TestWithParam<UseCase> {};

TEST_P(Uses, AreWhatTheInstructionMakesOfAWord) {
  const UseCase& c = GetParam();
  constexpr GuestAddress kAddress{0x1000};
  const ValueReads reads = value_reads(c.width, kAddress, c.bytes, decode(c.width, kAddress, c.bytes, {})).front();
  EXPECT_EQ(reads.shifts, c.shifts);
  EXPECT_EQ(reads.shifts != 0 ? reads.by : std::nullopt, c.by);
  EXPECT_EQ(reads.compares, c.compares);
  EXPECT_EQ(reads.with, c.with);
  EXPECT_EQ(reads.popped, c.popped);
  EXPECT_EQ(reads.rounds_to, c.rounds_to);
}

INSTANTIATE_TEST_SUITE_P(Instruction, Uses, testing::ValuesIn(kUses));

struct StackPointerCase {
  const char* text;
  Bytes bytes;
  bool reads;
};
std::ostream& operator<<(std::ostream& out, const StackPointerCase& c) { return out << c.text; }

class StackPointer : public testing::TestWithParam<StackPointerCase> {};

TEST_P(StackPointer, IsReadOtherThanToFindAWord) {
  constexpr GuestAddress kAddress{0x1000};
  const Bytes& bytes = GetParam().bytes;
  EXPECT_EQ(value_reads(kWide, kAddress, bytes, decode(kWide, kAddress, bytes, {})).front().stack_pointer,
            GetParam().reads);
}

const StackPointerCase kStackPointers[] = {
    {"popq %rsp", {0x5c}, false},
    {"popq (%rsp)", {0x8f, 0x04, 0x24}, false},
    {"movq 8(%rsp), %rax", {0x48, 0x8b, 0x44, 0x24, 0x08}, false},
    {"movq %rsp, %rdi", {0x48, 0x89, 0xe7}, true},
    {"addq $8, %rsp", {0x48, 0x83, 0xc4, 0x08}, true},
    {"cmpq %rsp, %rax", {0x48, 0x39, 0xe0}, true},
};
INSTANTIATE_TEST_SUITE_P(Instruction, StackPointer, testing::ValuesIn(kStackPointers));

TEST(Words, TellAddressesFromValues) {
  const Bytes add = {0x48, 0x03, 0x18};  // addq (%rax), %rbx
  const ValueReads reads = value_reads(kWide, {0x1000}, add, decode(kWide, {0x1000}, add, {})).front();
  for (const RegisterRead& read : reads.view()) {
    EXPECT_EQ(read.address, read.gpr == Gpr::rax);
  }
  EXPECT_EQ(reads.count, 2U);
}

}  // namespace
}  // namespace framefold
