#include "image/flag_use.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace framefold {

namespace {

/// Of the condition of a jump, a conditional move or setcc (SDM Vol. 1, appendix B).
std::optional<std::uint8_t> flags_of_condition(const cs_insn& insn) {
  constexpr std::array<std::uint8_t, 8> kFlags = {FlagUse::of,
                                                  FlagUse::cf,
                                                  FlagUse::zf,
                                                  FlagUse::cf | FlagUse::zf,
                                                  FlagUse::sf,
                                                  FlagUse::pf,
                                                  FlagUse::sf | FlagUse::of,
                                                  FlagUse::zf | FlagUse::sf | FlagUse::of};
  const std::uint8_t* const opcode = x86_of(insn).opcode;
  const unsigned row = opcode[1] & 0xf0U;
  if ((opcode[0] & 0xf0) == 0x70) return kFlags[opcode[0] >> 1 & 7U];
  if (opcode[0] == 0x0f && (row == 0x40 || row == 0x80 || row == 0x90)) return kFlags[opcode[1] >> 1 & 7U];
  return std::nullopt;
}

}  // namespace

FlagUse flag_use(const cs_insn& insn) {
  struct Flag {
    std::uint8_t bit;
    std::uint64_t reads;
    std::uint64_t writes;
  };
  constexpr std::array<Flag, 6> kFlags = {{
      {FlagUse::cf, X86_EFLAGS_TEST_CF,
       X86_EFLAGS_MODIFY_CF | X86_EFLAGS_SET_CF | X86_EFLAGS_RESET_CF | X86_EFLAGS_UNDEFINED_CF},
      {FlagUse::pf, X86_EFLAGS_TEST_PF,
       X86_EFLAGS_MODIFY_PF | X86_EFLAGS_SET_PF | X86_EFLAGS_RESET_PF | X86_EFLAGS_UNDEFINED_PF},
      {FlagUse::af, X86_EFLAGS_TEST_AF,
       X86_EFLAGS_MODIFY_AF | X86_EFLAGS_SET_AF | X86_EFLAGS_RESET_AF | X86_EFLAGS_UNDEFINED_AF},
      {FlagUse::zf, X86_EFLAGS_TEST_ZF,
       X86_EFLAGS_MODIFY_ZF | X86_EFLAGS_SET_ZF | X86_EFLAGS_RESET_ZF | X86_EFLAGS_UNDEFINED_ZF},
      {FlagUse::sf, X86_EFLAGS_TEST_SF,
       X86_EFLAGS_MODIFY_SF | X86_EFLAGS_SET_SF | X86_EFLAGS_RESET_SF | X86_EFLAGS_UNDEFINED_SF},
      {FlagUse::of, X86_EFLAGS_TEST_OF,
       X86_EFLAGS_MODIFY_OF | X86_EFLAGS_SET_OF | X86_EFLAGS_RESET_OF | X86_EFLAGS_UNDEFINED_OF},
  }};
  FlagUse use;
  for (const Flag& flag : kFlags) {
    if ((x86_of(insn).eflags & flag.reads) != 0) use.reads |= flag.bit;
    if ((x86_of(insn).eflags & flag.writes) != 0) use.writes |= flag.bit;
  }
  switch (insn.id) {  // Capstone 4 knows of no reader that is not a jump, a set, a move or a loop
    case X86_INS_ADC:
    case X86_INS_ADCX:
    case X86_INS_SBB:
    case X86_INS_RCL:
    case X86_INS_RCR:
    case X86_INS_CMC:
      use.reads |= FlagUse::cf;
      break;
    case X86_INS_LAHF:
      use.reads = FlagUse::sf | FlagUse::zf | FlagUse::af | FlagUse::pf | FlagUse::cf;
      break;
    case X86_INS_PUSHF:
    case X86_INS_PUSHFD:
    case X86_INS_PUSHFQ:
      use.copies = true;
      break;
    default:
      break;
  }
  if (const std::optional<std::uint8_t> condition = flags_of_condition(insn)) {
    use.reads = *condition;
    use.writes = 0;
    use.orders = (*condition & ~(FlagUse::cf | FlagUse::zf)) == 0;
  }
  return use;
}

/// A function that is called by an address in a register, or returned to, gets nothing in flags (System V ABI).
bool FlagReaders::behind(std::size_t index, unsigned live, bool orders, unsigned passed) const {
  constexpr unsigned kFar = 24;  // further than this, take it that something does
  const Instruction& last = code_[index];
  if (live == 0 || has(last.flags, InstructionFlag::traps | InstructionFlag::returns)) return true;
  if (passed > kFar) return false;
  const bool goes_on = falls_through(last) && !has(last.flags, InstructionFlag::calls);
  return (!goes_on || at(last.next(), live, orders, passed)) &&
         (!last.target || at(*last.target, live, orders, passed));
}

bool FlagReaders::at(GuestAddress address, unsigned live, bool orders, unsigned passed) const {
  const auto next = std::lower_bound(code_.begin(), code_.end(), address,
                                     [](const Instruction& i, GuestAddress a) { return i.address < a; });
  if (next == code_.end() || next->address != address) return true;
  const auto index = static_cast<std::size_t>(next - code_.begin());
  const FlagUse& use = uses_[index];
  if (use.copies || ((use.reads & live) != 0 && !(orders && use.orders))) return false;
  return behind(index, live & ~unsigned{use.writes}, orders, passed + 1);
}

}  // namespace framefold
