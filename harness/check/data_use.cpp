#include "check/data_use.hpp"

#include <algorithm>

#include "image/link_objects.hpp"
#include "survey/code_clues.hpp"

namespace framefold {

DataUse::DataUse(const Entry& entry) : entry_(entry) {
  for (const std::string& name : entry.zeroed) {
    if (const std::optional<GuestAddress> at = find_symbol(entry.symbols, name)) {
      zeroed_.push_back({{*at, *at + kUndescribedData}, name});
    }
  }
}

void DataUse::note(const Instruction& instruction, const Registers& registers) {
  pointer_ = pointer_of(instruction, registers);
  std::optional<GuestAddress> from;
  for (const MemoryOperand& operand : instruction.accesses()) {
    const GuestAddress at = effective_address(operand, registers, instruction.next());
    if (operand.read) from = at;
    if (const std::optional<std::string> name = zeroed_at(at)) used_.insert(*name);
  }
  const std::optional<Gpr> loaded = loaded_register(instruction, entry_.width());
  // Of a sum that was loaded piece by piece, the last piece is the pointer: indices are shifted first.
  const std::optional<Gpr> pointed = from ? pointed_by(instruction, entry_.width()) : loaded;
  if (pointed) loaded_from_[static_cast<std::size_t>(*pointed)] = from;
}

std::optional<GuestAddress> DataUse::loaded_from(std::optional<Gpr> gpr) const {
  return gpr ? loaded_from_[static_cast<std::size_t>(*gpr)] : std::nullopt;
}

std::optional<GuestAddress> DataUse::pointer_of(const Instruction& instruction, const Registers& registers) const {
  const std::size_t star = instruction.text.find(" *");
  const bool indirect = star != std::string::npos;
  for (const MemoryOperand& operand : instruction.accesses()) {
    if (indirect) return effective_address(operand, registers, instruction.next());
    const std::optional<GuestAddress> base = loaded_from(operand.base);
    if (const std::optional<GuestAddress> pointer = base ? base : loaded_from(operand.index)) return pointer;
  }
  return indirect ? loaded_from(gpr_from_name(instruction.text.substr(star + 3), entry_.width())) : std::nullopt;
}

std::optional<std::string> DataUse::zeroed_at(GuestAddress address) const {
  const auto at = std::find_if(zeroed_.begin(), zeroed_.end(),
                               [=](const Zeroed& zeroed) { return zeroed.range.contains(address); });
  return at == zeroed_.end() ? std::nullopt : std::optional(at->name);
}

}  // namespace framefold
