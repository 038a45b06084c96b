#include "image/value_reads.hpp"

#include <algorithm>
#include <set>

#include "image/decoder.hpp"
#include "image/flag_use.hpp"

namespace framefold {
namespace {

/// What lies `displacement` behind an aligned register.
bool is_aligned(const x86_op_mem& memory, unsigned word) {
  const bool relative = memory.base == X86_REG_INVALID || memory.base == X86_REG_RIP;
  return relative || memory.disp % word == 0;
}

bool is_whole(const cs_x86_op& operand, unsigned word) {
  if (operand.type == X86_OP_MEM) return operand.size == word && is_aligned(operand.mem, word);
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
      return is_whole(operands[0], word);
    case X86_INS_POP:
      return is_whole(operands[0], word) && !is_stack_pointer(operands[0]);
    case X86_INS_PUSHAL:
    case X86_INS_POPAL:
      return true;
    default: {
      constexpr unsigned kMovs = 0xa4;  // and 0xa5
      return is_string(insn) && (x86_of(insn).opcode[0] & ~1U) == kMovs && operands[0].size == word;
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

bool is_conditional_move(const cs_insn& insn) {
  constexpr unsigned kCmovcc = 0x40;  // to 0x4f, behind 0x0f (SDM Vol. 2, table A-3)
  return x86_of(insn).opcode[0] == 0x0f && (x86_of(insn).opcode[1] & 0xf0) == kCmovcc;
}

/// Words at RSP that it takes for more than a copy, if nothing but RSP says where they are.
std::uint8_t popped_by(const cs_insn& insn, unsigned word) {
  switch (insn.id) {
    case X86_INS_RET:
    case X86_INS_POPF:
    case X86_INS_POPFD:
    case X86_INS_POPFQ:
      return 1;
    case X86_INS_RETF:
    case X86_INS_RETFQ:
      return 2;
    case X86_INS_IRET:
    case X86_INS_IRETD:
    case X86_INS_IRETQ:
      return word == 8 ? 5 : 3;
    default:
      return 0;
  }
}

/// To what it rounds down, if to no more than a stack's alignment; 0 otherwise.
std::uint8_t rounds_to(const cs_insn& insn) {
  constexpr std::int64_t kStackAlignment = 16;
  if (insn.id != X86_INS_AND) return 0;
  const cs_x86_op& operand = operands_of(insn)[1];
  const std::int64_t mask = operand.type == X86_OP_IMM ? static_cast<std::int32_t>(operand.imm) : 0;
  const bool rounds = mask < 0 && mask >= -kStackAlignment && (mask & (mask - 1)) == 2 * mask;
  return rounds ? static_cast<std::uint8_t>(-mask) : std::uint8_t{0};
}

/// What comes out of one word: a constant off.
std::optional<std::int64_t> shift_of(const cs_insn& insn) {
  const std::span<const cs_x86_op> operands = operands_of(insn);
  switch (insn.id) {
    case X86_INS_INC:
      return 1;
    case X86_INS_DEC:
      return -1;
    case X86_INS_LEA: {
      const bool plain = operands[1].mem.index == X86_REG_INVALID && operands[1].mem.segment == X86_REG_INVALID;
      return plain ? std::optional(operands[1].mem.disp) : std::nullopt;
    }
    case X86_INS_ADD:
    case X86_INS_SUB:
      if (operands[1].type != X86_OP_IMM) return std::nullopt;
      return insn.id == X86_INS_ADD ? operands[1].imm : -operands[1].imm;
    default:
      return std::nullopt;
  }
}

/// What lea adds to its registers, each of which counts once.
std::optional<std::int64_t> sum_of(const x86_op_mem& memory) {
  const bool multiplies = memory.index != X86_REG_INVALID && (memory.scale != 1 || memory.index == memory.base);
  return multiplies ? std::nullopt : std::optional(memory.disp);
}

void note_shift(const cs_insn& insn, unsigned word, ValueReads& reads) {
  const std::span<const cs_x86_op> operands = operands_of(insn);
  if (operands.empty() || !is_whole(operands[0], word)) return;
  reads.adds = insn.id == X86_INS_LEA ? sum_of(operands[1].mem) : shift_of(insn);
  if (is_conditional_move(insn)) {
    reads.shifts = 2;
  } else if (insn.id == X86_INS_CMP) {
    reads.compares = operands[1].type == X86_OP_IMM || is_whole(operands[1], word);
    if (operands[1].type == X86_OP_IMM) reads.with = operands[1].imm;
  } else if (const std::optional<std::int64_t> by = shift_of(insn)) {
    reads.shifts = 1;
    if (operands[0].type == X86_OP_REG) reads.by = by;
  } else if (reads.adds || insn.id == X86_INS_POP || (insn.id == X86_INS_MOV && is_whole(operands[1], word))) {
    reads.shifts = 1;
  } else if (const std::uint8_t to = rounds_to(insn); to != 0) {
    reads.shifts = 1;
    reads.rounds_to = to;
  }
}

class Collector {
 public:
  void add(unsigned reg, bool address = false) {
    const std::optional<RegisterPart> part = register_part(reg);
    if (!part) return;
    if (part->gpr == Gpr::rsp) {
      reads_.stack_pointer = reads_.stack_pointer || !address;
      return;
    }
    const std::span<const RegisterRead> all = reads_.view();
    const bool again = std::any_of(all.begin(), all.end(), [&](const RegisterRead& r) {
      return r.gpr == part->gpr && r.offset == part->offset && r.size == part->size && r.address == address;
    });
    if (!again && reads_.count < ValueReads::kMost) {
      reads_.registers[reads_.count++] = {part->gpr, part->offset, part->size, address};
    }
  }
  void add_addresses(const cs_insn& insn) {
    for (const cs_x86_op& operand : operands_of(insn)) {
      if (operand.type != X86_OP_MEM) continue;
      add(operand.mem.base, true);
      add(operand.mem.index, true);
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
      std::for_each(read, read + read_count, [&](std::uint16_t reg) {
        if (!is_implied(insn, reg)) add(reg, is_address(insn, reg));
      });
    }
    if (insn.id == X86_INS_CMP || insn.id == X86_INS_TEST) {
      for (const cs_x86_op& operand : operands_of(insn)) {
        if (operand.type == X86_OP_REG) add(operand.reg);
      }
    }
    add_unnamed(insn, word);
    if (insn.id == X86_INS_RET) reads_.stack = true;
    if (insn.id == X86_INS_SYSCALL || insn.id == X86_INS_INT) {  // the hypercall's number
      add(word == 8 ? X86_REG_RAX : X86_REG_EAX);
    }
    reads_.memory = true;
  }
  /// What Capstone does not name.
  void add_unnamed(const cs_insn& insn, unsigned word) {
    if (insn.id == X86_INS_XLATB) {
      add(X86_REG_RBX, true);
      add(X86_REG_AL, true);
    } else if (insn.id == X86_INS_LEAVE || words_of_enter(insn) != 0) {
      add(word == 8 ? X86_REG_RBP : X86_REG_EBP, true);
    } else if (insn.id == X86_INS_ADCX || insn.id == X86_INS_ADOX) {
      for (const cs_x86_op& operand : operands_of(insn)) {
        if (operand.type == X86_OP_REG) add(operand.reg);
      }
    } else if (insn.id == X86_INS_POP) {
      reads_.pops_part = operands_of(insn)[0].size;
    }
  }
  /// How often.
  void add_count(const cs_insn& insn) {
    const std::uint8_t prefix = x86_of(insn).prefix[0];
    if (is_string(insn) && (prefix == X86_PREFIX_REP || prefix == X86_PREFIX_REPNE)) add(X86_REG_RCX);
  }
  void add_flags() { reads_.flags = true; }
  ValueReads& reads() { return reads_; }

 private:
  /// RSP of call, ret and the like, and of any pop.
  static bool is_implied(const cs_insn& insn, unsigned reg) {
    const std::span<const cs_x86_op> operands = operands_of(insn);
    const auto names = [&](const cs_x86_op& o) {
      return o.type == X86_OP_REG ? o.reg == reg : o.type == X86_OP_MEM && (o.mem.base == reg || o.mem.index == reg);
    };
    const std::optional<RegisterPart> part = register_part(reg);
    return part && part->gpr == Gpr::rsp &&
           (insn.id == X86_INS_POP || std::none_of(operands.begin(), operands.end(), names));
  }
  /// Of its operands' registers, one that only says where memory is. What lea makes of it is a value.
  static bool is_address(const cs_insn& insn, unsigned reg) {
    const std::span<const cs_x86_op> operands = operands_of(insn);
    const auto finds = [&](const cs_x86_op& o) {
      return o.type == X86_OP_MEM && (o.mem.base == reg || o.mem.index == reg);
    };
    const auto is = [&](const cs_x86_op& o) { return o.type == X86_OP_REG && o.reg == reg; };
    return insn.id != X86_INS_LEA && std::any_of(operands.begin(), operands.end(), finds) &&
           std::none_of(operands.begin(), operands.end(), is);
  }

  ValueReads reads_;
};

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
  note_shift(insn, word, collector.reads());
  collector.reads().popped = popped_by(insn, word);
  return collector.reads();
}

std::set<GuestAddress> targets_of(std::span<const Instruction> code) {
  std::set<GuestAddress> targets;
  for (const Instruction& instruction : code) {
    if (instruction.target && !has(instruction.flags, InstructionFlag::calls)) targets.insert(*instruction.target);
  }
  return targets;
}

}  // namespace

std::vector<ValueReads> value_reads(Width width, GuestAddress address, std::span<const std::uint8_t> bytes,
                                    std::span<const Instruction> code) {
  Decoder decoder(width, true);
  std::vector<ValueReads> all;
  std::vector<FlagUse> uses;
  all.reserve(code.size());
  uses.reserve(code.size());
  bool carry_is_own = false;  // written since the last call or label
  std::optional<GuestAddress> carry_of;
  const std::set<GuestAddress> targets = targets_of(code);
  for (const Instruction& instruction : code) {
    if (targets.count(instruction.address) != 0) carry_of.reset();
    if (has(instruction.flags, InstructionFlag::block_leader)) carry_is_own = false;
    const cs_insn* const insn = decoder.decode(bytes.subspan(instruction.address - address), instruction.address.value);
    uses.push_back(insn == nullptr ? FlagUse{} : flag_use(*insn));
    const FlagUse& use = uses.back();
    const bool reads_carry = use.copies || (use.reads & FlagUse::cf) != 0;
    const bool reads_flags = use.copies || (use.reads & ~unsigned{FlagUse::cf}) != 0 || (reads_carry && !carry_is_own);
    all.push_back(insn == nullptr ? ValueReads{} : reads_of(*insn, decoder.handle(), word_size(width), reads_flags));
    if (reads_carry) all.back().carry_of = carry_of;
    const bool writes_carry = (use.writes & FlagUse::cf) != 0;
    if (writes_carry) carry_of.reset();
    if (has(instruction.flags, InstructionFlag::calls)) carry_of = instruction.target;
    carry_is_own = (carry_is_own || writes_carry) && !has(instruction.flags, InstructionFlag::calls);
  }
  const FlagReaders readers(code, uses);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].shifts != 0 && !readers.allow(i, false)) all[i].shifts = 0;
    all[i].compares = all[i].compares && readers.allow(i, true);
  }
  return all;
}

}  // namespace framefold
