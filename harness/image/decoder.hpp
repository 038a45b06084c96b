// Capstone as the rest of this folder uses it: one instruction at a time, and its names of registers.
#pragma once

#include <capstone/capstone.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>

#include "image/registers.hpp"

namespace framefold {

/// A Capstone handle and the one instruction that it decodes into.
class Decoder {
 public:
  Decoder(Width width, bool detail) {
    if (cs_open(CS_ARCH_X86, width == Width::k64 ? CS_MODE_64 : CS_MODE_32, &handle_) != CS_ERR_OK) {
      throw std::runtime_error("Capstone does not open for x86");
    }
    // Details come in Intel's order of operands: under AT&T syntax Capstone 4 turns operands round, but not all of
    // their access flags. So one handle decodes for the program and another for people.
    cs_option(handle_, CS_OPT_DETAIL, detail ? CS_OPT_ON : CS_OPT_OFF);
    cs_option(handle_, CS_OPT_SYNTAX, detail ? CS_OPT_SYNTAX_INTEL : CS_OPT_SYNTAX_ATT);
    instruction_ = cs_malloc(handle_);
  }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() {
    cs_free(instruction_, 1);
    cs_close(&handle_);
  }

  csh handle() const { return handle_; }
  /// The instruction at the start of `bytes`; nullptr where none decodes. Valid until the next call.
  const cs_insn* decode(std::span<const std::uint8_t> bytes, std::uint64_t address) {
    const std::uint8_t* code = bytes.data();
    std::size_t size = bytes.size();
    return cs_disasm_iter(handle_, &code, &size, &address, instruction_) ? instruction_ : nullptr;
  }

 private:
  csh handle_ = 0;
  cs_insn* instruction_ = nullptr;
};

/// A general-purpose register, or the bytes of one that have a name of their own.
struct RegisterPart {
  Gpr gpr = Gpr::rax;
  std::uint8_t offset = 0;
  std::uint8_t size = 0;
};
std::optional<RegisterPart> register_part(unsigned reg);

/// Of names of 64, 32 and 16 bits.
std::optional<Gpr> gpr_of(unsigned reg);

inline const cs_x86& x86_of(const cs_insn& insn) { return insn.detail->x86; }
inline std::span<const cs_x86_op> operands_of(const cs_insn& insn) {
  return {x86_of(insn).operands, x86_of(insn).op_count};
}

/// RSP, or a part of it that has a name.
inline bool is_stack_pointer(const cs_x86_op& operand) {
  const std::optional<RegisterPart> part = operand.type == X86_OP_REG ? register_part(operand.reg) : std::nullopt;
  return part && part->gpr == Gpr::rsp;
}

/// Words below RBP that `enter` pushes anew: one less than its nesting level, which is taken modulo 32 (SDM Vol. 2,
/// ENTER).
inline unsigned words_of_enter(const cs_insn& insn) {
  if (insn.id != X86_INS_ENTER) return 0;
  const auto level = static_cast<unsigned>(operands_of(insn)[1].imm) % 32;
  return level == 0 ? 0 : level - 1;
}

/// ins, outs, movs, cmps, stos, lods, scas. By opcode (SDM Vol. 2, table A-2): Capstone gives movsd the string and
/// movsd the SSE move one id.
inline bool is_string(const cs_insn& insn) {
  const std::uint8_t opcode = x86_of(insn).opcode[0];
  return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xaa && opcode <= 0xaf);
}

}  // namespace framefold
