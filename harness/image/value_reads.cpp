#include "image/value_reads.hpp"

#include <algorithm>

#include "image/decoder.hpp"

namespace framefold {
namespace {

bool is_whole(const cs_x86_op& operand, unsigned word) {
  if (operand.type == X86_OP_MEM) return operand.size == word;
  const std::optional<RegisterPart> part = operand.type == X86_OP_REG ? register_part(operand.reg) : std::nullopt;
  return part && part->size == word;
}

/// To load the stack pointer is to use what is loaded.
bool copies(const cs_insn& insn, unsigned word) {
  const std::span<const cs_x86_op> operands = operands_of(insn);
  switch (insn.id) {
    case X86_INS_MOV:
    case X86_INS_MOVABS:
    case X86_INS_XCHG:
      return is_whole(operands[0], word) && is_whole(operands[1], word) &&
             std::none_of(operands.begin(), operands.end(), is_stack_pointer);
    case X86_INS_PUSH:
    case X86_INS_POP:
      return is_whole(operands[0], word) && !is_stack_pointer(operands[0]);
    case X86_INS_PUSHAL:
    case X86_INS_POPAL:
      return true;
    default: {
      constexpr unsigned kMovs = 0xa4;  // and 0xa5
      return is_string(insn) && (x86_of(insn).opcode[0] & ~1U) == kMovs;
    }
  }
}

/// What comes out does not depend on what goes in.
bool forgets(const cs_insn& insn) {
  const std::span<const cs_x86_op> operands = operands_of(insn);
  switch (insn.id) {
    case X86_INS_NOP:
    case X86_INS_ENDBR32:
    case X86_INS_ENDBR64:
      return true;
    case X86_INS_XOR:
    case X86_INS_SUB:
    case X86_INS_SBB:
      return operands[0].type == X86_OP_REG && operands[1].type == X86_OP_REG && operands[0].reg == operands[1].reg;
    default:
      return false;
  }
}

class Collector {
 public:
  void add(unsigned reg) {
    const std::optional<RegisterPart> part = register_part(reg);
    if (!part || part->gpr == Gpr::rsp || reads_.count == ValueReads::kMost) return;
    reads_.registers[reads_.count++] = {part->gpr, part->offset, part->size};
  }
  void add_addresses(const cs_insn& insn) {
    for (const cs_x86_op& operand : operands_of(insn)) {
      if (operand.type != X86_OP_MEM) continue;
      add(operand.mem.base);
      add(operand.mem.index);
    }
  }
  /// Capstone 4.0.2 gives the operands of some instructions no access, or that of a write alone: compared ones are
  /// read.
  void add_read(const cs_insn& insn, csh handle, unsigned word) {
    cs_regs read{};
    cs_regs written{};
    std::uint8_t read_count = 0;
    std::uint8_t written_count = 0;
    if (cs_regs_access(handle, &insn, read, &read_count, written, &written_count) == CS_ERR_OK) {
      std::for_each(read, read + read_count, [this](std::uint16_t reg) { add(reg); });
    }
    if (insn.id == X86_INS_CMP || insn.id == X86_INS_TEST) {
      for (const cs_x86_op& operand : operands_of(insn)) {
        if (operand.type == X86_OP_REG) add(operand.reg);
      }
    }
    if (insn.id == X86_INS_RET) reads_.stack = true;
    if (insn.id == X86_INS_SYSCALL || insn.id == X86_INS_INT) {  // the hypercall's number
      add(word == 8 ? X86_REG_RAX : X86_REG_EAX);
    }
    reads_.memory = true;
  }
  /// How often.
  void add_count(const cs_insn& insn) {
    const std::uint8_t prefix = x86_of(insn).prefix[0];
    if (is_string(insn) && (prefix == X86_PREFIX_REP || prefix == X86_PREFIX_REPNE)) add(X86_REG_RCX);
  }
  void add_flags() { reads_.flags = true; }
  const ValueReads& reads() const { return reads_; }

 private:
  ValueReads reads_;
};

/// Which status flags an instruction decides by or computes with, and what it does to CF. By Capstone, which knows of
/// no reader that is not a jump, a set, a move or a loop.
struct FlagUse {
  bool reads_carry = false;
  bool reads_others = false;
  bool writes_carry = false;
};

FlagUse flag_use(const cs_insn& insn) {
  const std::uint64_t flags = x86_of(insn).eflags;
  constexpr std::uint64_t kOthers = X86_EFLAGS_TEST_OF | X86_EFLAGS_TEST_SF | X86_EFLAGS_TEST_ZF | X86_EFLAGS_TEST_PF;
  FlagUse use;
  use.reads_carry = (flags & X86_EFLAGS_TEST_CF) != 0;
  use.reads_others = (flags & kOthers) != 0;
  use.writes_carry = (flags & (X86_EFLAGS_MODIFY_CF | X86_EFLAGS_RESET_CF | X86_EFLAGS_SET_CF)) != 0;
  switch (insn.id) {
    case X86_INS_ADC:
    case X86_INS_ADCX:
    case X86_INS_SBB:
    case X86_INS_RCL:
    case X86_INS_RCR:
    case X86_INS_CMC:
      use.reads_carry = true;
      break;
    case X86_INS_LAHF:
      use.reads_others = true;
      break;
    default:
      break;
  }
  return use;
}

ValueReads reads_of(const cs_insn& insn, csh handle, unsigned word, bool reads_flags) {
  Collector collector;
  if (reads_flags) collector.add_flags();
  if (forgets(insn)) return collector.reads();
  collector.add_count(insn);
  if (copies(insn, word)) {
    collector.add_addresses(insn);
  } else {
    collector.add_read(insn, handle, word);
  }
  return collector.reads();
}

}  // namespace

std::vector<ValueReads> value_reads(Width width, GuestAddress address, std::span<const std::uint8_t> bytes,
                                    std::span<const Instruction> code) {
  Decoder decoder(width, true);
  std::vector<ValueReads> all;
  all.reserve(code.size());
  bool carry_is_own = false;  // written since the last call or label
  for (const Instruction& instruction : code) {
    if (has(instruction.flags, InstructionFlag::block_leader)) carry_is_own = false;
    const cs_insn* const insn = decoder.decode(bytes.subspan(instruction.address - address), instruction.address.value);
    if (insn == nullptr) {
      all.emplace_back();
      continue;
    }
    const FlagUse use = flag_use(*insn);
    const bool reads_flags = use.reads_others || (use.reads_carry && !carry_is_own);
    all.push_back(reads_of(*insn, decoder.handle(), word_size(width), reads_flags));
    carry_is_own = (carry_is_own || use.writes_carry) && !has(instruction.flags, InstructionFlag::calls);
  }
  return all;
}

}  // namespace framefold
