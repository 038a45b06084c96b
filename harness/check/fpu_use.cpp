#include "check/fpu_use.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace framefold {

/// By its text: mnemonics in f are x87's (SDM Vol. 1, chapter 8), and fxsave and its kin.
bool uses_fpu(const Entry& entry, GuestAddress address) {
  constexpr std::array<std::string_view, 9> kParts = {"%xmm",  "%ymm", "%zmm",  "%mm",   "%st",
                                                      "mxcsr", "emms", "xsave", "xrstor"};
  const Instruction* const instruction = find_instruction(entry, address);
  if (instruction == nullptr) return false;
  const std::string_view text = instruction->text;
  return text.starts_with('f') || std::any_of(kParts.begin(), kParts.end(), [=](std::string_view part) {
           return text.find(part) != std::string_view::npos;
         });
}

std::string fpu_text(const Entry& entry, const std::set<GuestAddress>& places) {
  if (places.empty()) return "";
  const GuestAddress first = *places.begin();
  const std::string more = places.size() == 1 ? "" : fmt::format(", and at {} more", places.size() - 1);
  return fmt::format("SSE and x87 registers are not followed, nor compared: used at {} ({}){}",
                     format_location(entry, first), find_instruction(entry, first)->text, more);
}

}  // namespace framefold
