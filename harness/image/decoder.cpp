#include "image/decoder.hpp"

#include <algorithm>

namespace framefold {
namespace {

// The names of each register, in the order of Gpr.
struct GprNames {
  x86_reg r64, r32, r16, r8;
};
constexpr std::array<GprNames, kGprCount> kGprs = {{
    {X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL},
    {X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL},
    {X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL},
    {X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL},
    {X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL},
    {X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL},
    {X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL},
    {X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL},
    {X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B},
    {X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B},
    {X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B},
    {X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B},
    {X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B},
    {X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B},
    {X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B},
    {X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B},
}};
// The second bytes that have a name: those of the first four.
constexpr std::array<x86_reg, 4> kHighBytes = {X86_REG_AH, X86_REG_CH, X86_REG_DH, X86_REG_BH};

}  // namespace

std::optional<RegisterPart> register_part(unsigned reg) {
  for (std::size_t i = 0; i < kGprs.size(); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    if (reg == kGprs[i].r64) return RegisterPart{gpr, 0, 8};
    if (reg == kGprs[i].r32) return RegisterPart{gpr, 0, 4};
    if (reg == kGprs[i].r16) return RegisterPart{gpr, 0, 2};
    if (reg == kGprs[i].r8) return RegisterPart{gpr, 0, 1};
    if (i < kHighBytes.size() && reg == kHighBytes[i]) return RegisterPart{gpr, 1, 1};
  }
  return std::nullopt;
}

std::optional<Gpr> gpr_of(unsigned reg) {
  const std::optional<RegisterPart> part = register_part(reg);
  return part && part->size > 1 ? std::optional(part->gpr) : std::nullopt;
}

}  // namespace framefold
