#include "image/instruction.hpp"

#include <algorithm>

#include "image/decoder.hpp"

namespace framefold {
namespace {

std::optional<Segment> segment_of(unsigned reg) {
  constexpr std::array<x86_reg, kSegmentCount> kSegments = {X86_REG_ES, X86_REG_CS, X86_REG_SS,
                                                            X86_REG_DS, X86_REG_FS, X86_REG_GS};
  const auto found = std::find(kSegments.begin(), kSegments.end(), static_cast<x86_reg>(reg));
  if (found == kSegments.end()) return std::nullopt;
  return static_cast<Segment>(found - kSegments.begin());
}

/// Of the prefixes, the one that overrides the segment.
std::optional<Segment> override_of(const cs_insn& insn) {
  switch (x86_of(insn).prefix[1]) {
    case X86_PREFIX_ES:
      return Segment::es;
    case X86_PREFIX_CS:
      return Segment::cs;
    case X86_PREFIX_SS:
      return Segment::ss;
    case X86_PREFIX_DS:
      return Segment::ds;
    case X86_PREFIX_FS:
      return Segment::fs;
    case X86_PREFIX_GS:
      return Segment::gs;
    default:
      return std::nullopt;
  }
}

bool in_group(const cs_insn& insn, unsigned group) {
  const std::span<const std::uint8_t> groups(insn.detail->groups, insn.detail->groups_count);
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

bool returns(const cs_insn& insn) {
  return insn.id == X86_INS_IRET || insn.id == X86_INS_IRETD || insn.id == X86_INS_IRETQ;
}

bool traps(const cs_insn& insn) {
  // 0x82 is the hypercall vector of 32-bit guests.
  return insn.id == X86_INS_SYSCALL || (insn.id == X86_INS_INT && operands_of(insn)[0].imm == 0x82);
}

bool branches(const cs_insn& insn) {
  if (insn.id == X86_INS_LOOP || insn.id == X86_INS_LOOPE || insn.id == X86_INS_LOOPNE) return true;
  return in_group(insn, X86_GRP_JUMP) || in_group(insn, X86_GRP_RET) || returns(insn);
}

bool shadows(const cs_insn& insn) {
  if (insn.id != X86_INS_MOV && insn.id != X86_INS_POP) return false;
  const cs_x86_op& destination = operands_of(insn)[0];
  return destination.type == X86_OP_REG && destination.reg == X86_REG_SS;
}

bool loads_segment(const cs_insn& insn) {
  switch (insn.id) {
    case X86_INS_LDS:
    case X86_INS_LES:
    case X86_INS_LFS:
    case X86_INS_LGS:
    case X86_INS_LSS:
      return true;
    case X86_INS_MOV:
    case X86_INS_POP: {
      const cs_x86_op& destination = operands_of(insn)[0];
      return destination.type == X86_OP_REG && segment_of(destination.reg).has_value();
    }
    default:
      return false;
  }
}

bool repeats(const cs_insn& insn) {
  const std::uint8_t prefix = x86_of(insn).prefix[0];
  return is_string(insn) && (prefix == X86_PREFIX_REP || prefix == X86_PREFIX_REPNE);
}

bool moves_stack(const cs_insn& insn, Width width) {
  switch (insn.id) {
    case X86_INS_ENTER:
    case X86_INS_LEAVE:
      return true;
    case X86_INS_POP:
      return is_stack_pointer(operands_of(insn)[0]);
    case X86_INS_PUSH:
    case X86_INS_CALL:
    case X86_INS_LCALL:
    case X86_INS_RET:
    case X86_INS_RETF:
    case X86_INS_RETFQ:
      return false;
    case X86_INS_ADD: {
      const std::span<const cs_x86_op> operands = operands_of(insn);
      const auto whole = width == Width::k64 ? X86_REG_RSP : X86_REG_ESP;
      if (operands[0].type == X86_OP_REG && operands[0].reg == whole && operands[1].type == X86_OP_IMM) {
        return operands[1].imm <= 0;
      }
      break;
    }
    default:
      break;
  }
  const std::span<const cs_x86_op> operands = operands_of(insn);
  return returns(insn) || std::any_of(operands.begin(), operands.end(), [](const cs_x86_op& operand) {
           return is_stack_pointer(operand) && (operand.access & CS_AC_WRITE) != 0;
         });
}

/// `enter $size, $level`: what it pushes and allocates (SDM Vol. 2, ENTER). An operand size of 16 bits pushes less.
std::uint32_t lowered_by_enter(std::span<const cs_x86_op> operands, Width width) {
  const auto level = static_cast<std::uint32_t>(operands[1].imm) % 32;
  return word_size(width) * (level == 0 ? 1 : level + 1) + static_cast<std::uint16_t>(operands[0].imm);
}

/// `sub $n, %rsp`: n, where RSP goes down by it. `pusha`, `enter`: what they push and allocate.
std::uint32_t lowers_stack(const cs_insn& insn, Width width) {
  constexpr std::uint32_t kPushed = 8;  // registers
  const std::span<const cs_x86_op> operands = operands_of(insn);
  if (insn.id == X86_INS_PUSHAL) return kPushed * 4;
  if (insn.id == X86_INS_PUSHAW) return kPushed * 2;
  if (insn.id == X86_INS_ENTER) return lowered_by_enter(operands, width);
  const auto whole = width == Width::k64 ? X86_REG_RSP : X86_REG_ESP;
  const bool by_immediate = insn.id == X86_INS_SUB && operands[0].type == X86_OP_REG && operands[0].reg == whole &&
                            operands[1].type == X86_OP_IMM;
  return by_immediate && operands[1].imm > 0 && operands[1].imm <= INT32_MAX
             ? static_cast<std::uint32_t>(operands[1].imm)
             : 0;
}

// What an instruction does to operand `index`, which is memory. Capstone's own word, but where 4.0.2 is wrong (the
// tests show each): `test $imm` as a write, compare-and-exchange and some plain stores as reads. No access: nothing is
// touched.
unsigned access_of(const cs_insn& insn, std::size_t index) {
  switch (insn.id) {
    case X86_INS_LEA:
    case X86_INS_NOP:
    case X86_INS_PREFETCH:
    case X86_INS_PREFETCHW:
    case X86_INS_PREFETCHNTA:
    case X86_INS_PREFETCHT0:
    case X86_INS_PREFETCHT1:
    case X86_INS_PREFETCHT2:
    case X86_INS_CLFLUSH:
    case X86_INS_CLFLUSHOPT:
      return 0;
    case X86_INS_TEST:
    case X86_INS_CMP:
      return CS_AC_READ;
    case X86_INS_CMPXCHG:
    case X86_INS_CMPXCHG8B:
    case X86_INS_CMPXCHG16B:
      return CS_AC_READ | CS_AC_WRITE;
    case X86_INS_MOVNTI:
    case X86_INS_STMXCSR:
    case X86_INS_FST:
    case X86_INS_FSTP:
    case X86_INS_FIST:
    case X86_INS_FISTP:
    case X86_INS_FISTTP:
    case X86_INS_FNSTCW:
    case X86_INS_FNSTSW:
      return CS_AC_WRITE;
    case X86_INS_MOVBE:
      return index == 0 ? CS_AC_WRITE : CS_AC_READ;
    default:
      break;
  }
  const unsigned access = operands_of(insn)[index].access;
  return access != 0 ? access
                     : static_cast<unsigned>(CS_AC_READ | CS_AC_WRITE);  // unknown: both, so that nothing is missed
}

/// `bt` and its kin with the bit's number in a register: the register.
std::optional<Gpr> bit_offset_of(const cs_insn& insn) {
  const bool tests =
      insn.id == X86_INS_BT || insn.id == X86_INS_BTC || insn.id == X86_INS_BTR || insn.id == X86_INS_BTS;
  return tests && operands_of(insn)[1].type == X86_OP_REG ? gpr_of(operands_of(insn)[1].reg) : std::nullopt;
}

MemoryOperand memory_of(const cs_insn& insn, std::size_t index, Width width) {
  const cs_x86_op& operand = operands_of(insn)[index];
  const unsigned access = access_of(insn, index);
  MemoryOperand memory;
  memory.segment = segment_of(operand.mem.segment);
  // The ES of a string instruction's destination is its default, not an override.
  if (is_string(insn) && memory.segment == Segment::es) memory.segment.reset();
  memory.rip_relative = operand.mem.base == X86_REG_RIP || operand.mem.base == X86_REG_EIP;
  memory.base = gpr_of(operand.mem.base);
  memory.index = gpr_of(operand.mem.index);
  memory.scale = static_cast<std::uint8_t>(operand.mem.scale);
  memory.address_size = x86_of(insn).addr_size;
  memory.displacement = operand.mem.disp;
  memory.size = operand.size;
  memory.read = (access & CS_AC_READ) != 0;
  memory.write = (access & CS_AC_WRITE) != 0;
  // SDM Vol. 2, POP: with RSP as base the address is computed after the increment.
  if (insn.id == X86_INS_POP && memory.base == Gpr::rsp) memory.displacement += operand.size;
  // Capstone gives these the size of a pointer. SDM Vol. 2, FXSAVE: 512 bytes.
  const bool fx = insn.id == X86_INS_FXSAVE || insn.id == X86_INS_FXSAVE64 || insn.id == X86_INS_FXRSTOR ||
                  insn.id == X86_INS_FXRSTOR64;
  if (fx) memory.size = 512;
  if (width == Width::k32 && memory.address_size > 4) memory.address_size = 4;
  memory.bit_offset = bit_offset_of(insn);
  memory.stack_slot = memory.base == Gpr::rsp && !memory.index && !memory.bit_offset &&
                      (!memory.segment || memory.segment == Segment::ss) && memory.address_size == word_size(width);
  return memory;
}

/// What an instruction reads without an operand that says so.
std::optional<MemoryOperand> implicit_read(const cs_insn& insn, Width width) {
  MemoryOperand memory;
  memory.read = true;
  memory.address_size = x86_of(insn).addr_size;
  switch (insn.id) {
    case X86_INS_XLATB:
      memory.base = Gpr::rbx;
      memory.index = Gpr::rax;
      memory.byte_index = true;
      memory.size = 1;
      memory.segment = override_of(insn);
      return memory;
    case X86_INS_LEAVE:
      memory.base = Gpr::rbp;
      memory.address_size = memory.size = static_cast<std::uint8_t>(word_size(width));
      return memory;
    case X86_INS_ENTER: {
      const unsigned words = words_of_enter(insn);
      if (words == 0) return std::nullopt;
      memory.base = Gpr::rbp;
      memory.address_size = static_cast<std::uint8_t>(word_size(width));
      memory.size = static_cast<std::uint16_t>(words * word_size(width));
      memory.displacement = -std::int64_t{memory.size};
      return memory;
    }
    default:
      return std::nullopt;
  }
}

void add_memory(Instruction& instruction, const MemoryOperand& memory) {
  if (instruction.memory_count == instruction.memory.size()) return;
  instruction.memory[instruction.memory_count++] = memory;
  if (memory.write && !memory.stack_slot) instruction.flags = instruction.flags | InstructionFlag::stores;
  const bool live_slot = memory.stack_slot && memory.displacement >= 0;
  if (memory.read && !live_slot) instruction.flags = instruction.flags | InstructionFlag::loads;
}

void add_memory(Instruction& instruction, const cs_insn& insn, Width width) {
  for (std::size_t i = 0; i < operands_of(insn).size(); ++i) {
    if (operands_of(insn)[i].type == X86_OP_MEM && access_of(insn, i) != 0) {
      add_memory(instruction, memory_of(insn, i, width));
    }
  }
  if (const std::optional<MemoryOperand> implicit = implicit_read(insn, width)) add_memory(instruction, *implicit);
}

void add_target(Instruction& instruction, const cs_insn& insn, Width width) {
  const std::span<const cs_x86_op> operands = operands_of(insn);
  const bool direct = operands.size() == 1 && operands[0].type == X86_OP_IMM;
  const bool far_or_return = insn.id == X86_INS_RET || insn.id == X86_INS_RETF || insn.id == X86_INS_RETFQ;
  if (!direct || far_or_return || (!branches(insn) && insn.id != X86_INS_CALL)) return;
  const auto target = static_cast<std::uint64_t>(operands[0].imm);
  instruction.target = GuestAddress{width == Width::k64 ? target : target & 0xffffffff};
}

/// What an instruction does to its first operand, where it changes no other register but RSP and the flags.
struct PlainWrite {
  bool plain = false;
  bool first_operand = false;
  bool flags = false;
  bool stack = false;
};

PlainWrite plain_write(const cs_insn& insn) {
  switch (insn.id) {
    case X86_INS_NOP:
    case X86_INS_JMP:
    case X86_INS_JA:
    case X86_INS_JAE:
    case X86_INS_JB:
    case X86_INS_JBE:
    case X86_INS_JE:
    case X86_INS_JG:
    case X86_INS_JGE:
    case X86_INS_JL:
    case X86_INS_JLE:
    case X86_INS_JNE:
    case X86_INS_JNS:
    case X86_INS_JS:
      return {.plain = true};
    case X86_INS_CMP:
    case X86_INS_TEST:
    case X86_INS_BT:
    case X86_INS_CLD:
      return {.plain = true, .flags = true};
    case X86_INS_PUSH:
    case X86_INS_CALL:
    case X86_INS_RET:
      return {.plain = true, .stack = true};
    case X86_INS_POP:
      return {.plain = true, .first_operand = true, .stack = true};
    case X86_INS_MOV:
    case X86_INS_MOVABS:
    case X86_INS_MOVZX:
    case X86_INS_MOVSX:
    case X86_INS_MOVSXD:
    case X86_INS_LEA:
    case X86_INS_NOT:
      return {.plain = true, .first_operand = true};
    case X86_INS_ADD:
    case X86_INS_SUB:
    case X86_INS_AND:
    case X86_INS_OR:
    case X86_INS_XOR:
    case X86_INS_INC:
    case X86_INS_DEC:
    case X86_INS_NEG:
    case X86_INS_SHL:
    case X86_INS_SHR:
    case X86_INS_SAR:
      return {.plain = true, .first_operand = true, .flags = true};
    default:
      return {};
  }
}

std::optional<RegisterSet> writes(const cs_insn& insn) {
  const PlainWrite write = plain_write(insn);
  if (!write.plain) return std::nullopt;
  RegisterSet registers;
  if (write.first_operand && operands_of(insn)[0].type == X86_OP_REG) {
    const std::optional<RegisterPart> part = register_part(operands_of(insn)[0].reg);
    if (!part) return std::nullopt;  // a segment's, or the system's
    registers.add(part->gpr);
  }
  if (write.flags) registers.add_flags();
  if (write.stack) registers.add(Gpr::rsp);
  return registers;
}

Instruction instruction_of(const cs_insn& insn, Width width) {
  Instruction instruction;
  instruction.address = {insn.address};
  instruction.length = static_cast<std::uint8_t>(insn.size);
  const auto set_if = [&](bool condition, InstructionFlag flag) {
    if (condition) instruction.flags = instruction.flags | flag;
  };
  set_if(returns(insn), InstructionFlag::returns);
  set_if(traps(insn), InstructionFlag::traps);
  set_if(insn.id == X86_INS_CALL || insn.id == X86_INS_LCALL, InstructionFlag::calls);
  set_if(moves_stack(insn, width), InstructionFlag::moves_stack);
  set_if(shadows(insn), InstructionFlag::shadows);
  set_if(loads_segment(insn), InstructionFlag::loads_segment);
  set_if(repeats(insn), InstructionFlag::repeats);
  set_if(insn.id == X86_INS_RDTSC || insn.id == X86_INS_RDTSCP, InstructionFlag::reads_time);
  set_if(insn.id == X86_INS_RDRAND || insn.id == X86_INS_RDSEED, InstructionFlag::reads_random);
  set_if(branches(insn), InstructionFlag::branches);
  instruction.lowers_stack = lowers_stack(insn, width);
  instruction.writes = writes(insn);
  add_memory(instruction, insn, width);
  add_target(instruction, insn, width);
  return instruction;
}

std::string text_of(Decoder& decoder, std::span<const std::uint8_t> bytes, std::uint64_t address) {
  const cs_insn* const insn = decoder.decode(bytes, address);
  if (insn == nullptr) return "(bad)";
  std::string text = insn->mnemonic;
  if (insn->op_str[0] != '\0') text.append(" ").append(insn->op_str);
  return text;
}

void mark_leader(std::vector<Instruction>& instructions, GuestAddress address) {
  const auto found = std::lower_bound(instructions.begin(), instructions.end(), address,
                                      [](const Instruction& i, GuestAddress a) { return i.address < a; });
  if (found != instructions.end() && found->address == address)
    found->flags = found->flags | InstructionFlag::block_leader;
}

/// Adds what direct branches into the middle of an instruction lead to (past a prefix: `jmp 1f+1; 1: lock ...`), up to
/// where that meets what is known.
void add_overlapping(std::vector<Instruction>& instructions, const auto& decode_at) {
  const auto find = [&](GuestAddress address) {
    return std::lower_bound(instructions.begin(), instructions.end(), address,
                            [](const Instruction& i, GuestAddress a) { return i.address < a; });
  };
  const auto is_known = [&](GuestAddress address) {
    const auto found = find(address);
    return found != instructions.end() && found->address == address;
  };
  std::vector<GuestAddress> targets;
  const auto note = [&](const Instruction& instruction) {
    if (instruction.target && !is_known(*instruction.target)) targets.push_back(*instruction.target);
  };
  for (const Instruction& instruction : instructions) note(instruction);
  while (!targets.empty()) {
    GuestAddress address = targets.back();
    targets.pop_back();
    while (!is_known(address)) {
      std::optional<Instruction> instruction = decode_at(address);
      if (!instruction) break;
      note(*instruction);
      const bool goes_on = falls_through(*instruction);
      const GuestAddress next = instruction->next();
      instructions.insert(find(address), *std::move(instruction));
      if (!goes_on) break;
      address = next;
    }
  }
}

void mark_leaders(std::vector<Instruction>& instructions) {
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    const Instruction instruction = instructions[i];
    if (!has(instruction.flags, InstructionFlag::branches | InstructionFlag::calls)) continue;
    mark_leader(instructions, instruction.next());
    if (instruction.target) mark_leader(instructions, *instruction.target);
  }
}

}  // namespace

bool falls_through(const Instruction& instruction) {
  const std::string& text = instruction.text;
  return !has(instruction.flags, InstructionFlag::branches) || (text[0] == 'j' && !text.starts_with("jmp")) ||
         text.starts_with("loop");
}

std::vector<Instruction> decode(Width width, GuestAddress address, std::span<const std::uint8_t> bytes,
                                std::span<const GuestAddress> starts) {
  Decoder details(width, true);
  Decoder texts(width, false);
  const auto decode_one = [&](std::size_t from, std::size_t end) -> std::optional<Instruction> {
    const std::span<const std::uint8_t> rest = bytes.subspan(from, end - from);
    const cs_insn* const insn = details.decode(rest, address.value + from);
    if (insn == nullptr || insn->size == 0) return std::nullopt;
    Instruction instruction = instruction_of(*insn, width);
    instruction.text = text_of(texts, rest, address.value + from);
    return instruction;
  };
  std::vector<Instruction> instructions;
  std::size_t offset = 0;
  auto start = starts.begin();
  while (offset < bytes.size()) {
    // No instruction reaches across the next start.
    while (start != starts.end() && (*start < address || *start - address <= offset)) ++start;
    const std::size_t end =
        start == starts.end() ? bytes.size() : std::min<std::size_t>(*start - address, bytes.size());
    std::optional<Instruction> instruction = decode_one(offset, end);
    if (!instruction) {
      ++offset;
      continue;
    }
    offset += instruction->length;
    instructions.push_back(*std::move(instruction));
  }
  add_overlapping(instructions, [&](GuestAddress at) {
    return at - address < bytes.size() ? decode_one(at - address, bytes.size()) : std::nullopt;
  });
  mark_leaders(instructions);
  return instructions;
}

}  // namespace framefold
