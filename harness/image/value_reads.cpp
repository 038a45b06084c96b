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

bool is_stack_pointer(const cs_x86_op& operand) {
  const std::optional<RegisterPart> part = operand.type == X86_OP_REG ? register_part(operand.reg) : std::nullopt;
  return part && part->gpr == Gpr::rsp;
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
    if (insn.id == X86_INS_SYSCALL || insn.id == X86_INS_INT) {  // the hypercall's number
      add(word == 8 ? X86_REG_RAX : X86_REG_EAX);
    }
    reads_.memory = true;
  }
  const ValueReads& reads() const { return reads_; }

 private:
  ValueReads reads_;
};

ValueReads reads_of(const cs_insn& insn, csh handle, unsigned word) {
  Collector collector;
  if (forgets(insn)) return {};
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
  for (const Instruction& instruction : code) {
    const cs_insn* const insn = decoder.decode(bytes.subspan(instruction.address - address), instruction.address.value);
    all.push_back(insn == nullptr ? ValueReads{} : reads_of(*insn, decoder.handle(), word_size(width)));
  }
  return all;
}

}  // namespace framefold
