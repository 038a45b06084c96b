#include "survey/code_clues.hpp"

#include <algorithm>
#include <cstdlib>

namespace framefold {

namespace {

/// How far behind a load its use may lie.
constexpr std::size_t kReach = 32;

/// The address of an operand that no register is part of, a segment's base left out.
std::optional<GuestAddress> fixed_address(const MemoryOperand& operand, const Instruction& instruction) {
  if (operand.base || operand.index) {
    return std::nullopt;
  }
  return GuestAddress{static_cast<std::uint64_t>(operand.displacement) +
                      (operand.rip_relative ? instruction.next().value : 0)};
}

/// The constant that an instruction in AT&T syntax starts with: "cmpl $0x100039, %eax".
std::optional<std::uint64_t> immediate_of(const std::string& text) {
  const std::size_t dollar = text.find(" $");
  if (dollar == std::string::npos) {
    return std::nullopt;
  }
  const bool negative = text.compare(dollar + 2, 1, "-") == 0;
  const std::uint64_t value = std::strtoull(text.c_str() + dollar + 2 + (negative ? 1 : 0), nullptr, 0);
  return negative ? std::uint64_t{0} - value : value;
}

/// The address that `lea 0x12(%rip), %rdx` makes.
std::optional<std::uint64_t> rip_relative_address(const Instruction& instruction) {
  const std::string& text = instruction.text;
  const std::size_t space = text.find(' ');
  if (!text.starts_with("lea") || text.find("(%rip)") == std::string::npos || space == std::string::npos) {
    return std::nullopt;
  }
  const bool negative = text.compare(space + 1, 1, "-") == 0;
  const std::uint64_t value = std::strtoull(text.c_str() + space + 1 + (negative ? 1 : 0), nullptr, 0);
  return instruction.next().value + (negative ? std::uint64_t{0} - value : value);
}

std::uint64_t mask_of(Width width) { return width == Width::k64 ? ~std::uint64_t{0} : 0xffffffff; }

/// How often the code behind a load reaches an event byte through the register, until it is loaded anew.
unsigned uses_of(std::span<const Instruction> behind, Gpr gpr, Width width) {
  unsigned uses = 0;
  for (const Instruction& instruction : behind.first(std::min(behind.size(), kReach))) {
    for (const MemoryOperand& operand : instruction.accesses()) {
      const bool byte = operand.size <= 2 && (operand.displacement == 0 || operand.displacement == 1);
      if (operand.base == gpr && !operand.index && byte) {
        uses += operand.write && operand.displacement == 1 ? 3 : 1;
      }
    }
    if (loaded_register(instruction, width) == gpr) {
      break;
    }
  }
  return uses;
}

}  // namespace

/// In AT&T syntax the last operand.
std::optional<Gpr> loaded_register(const Instruction& instruction, Width width) {
  const std::size_t percent = instruction.text.rfind(", %");
  if (percent == std::string::npos || !instruction.text.starts_with("mov")) {
    return std::nullopt;
  }
  return gpr_from_name(instruction.text.substr(percent + 3), width);
}

std::optional<Gpr> pointed_by(const Instruction& instruction, Width width) {
  const std::size_t percent = instruction.text.rfind(", %");
  if (instruction.text.starts_with("add") && percent != std::string::npos) {
    return gpr_from_name(instruction.text.substr(percent + 3), width);
  }
  return loaded_register(instruction, width);
}

std::vector<VcpuInfoClue> vcpu_info_clues(std::span<const Instruction> code, Width width,
                                          std::span<const GuestRange> data) {
  std::vector<VcpuInfoClue> clues;
  const auto note = [&](GuestAddress address, bool pointer, unsigned uses, GuestAddress at) {
    const bool inside =
        std::any_of(data.begin(), data.end(), [&](const GuestRange& range) { return range.contains(address); });
    if (!inside || uses == 0) {
      return;
    }
    const auto known = std::find_if(clues.begin(), clues.end(), [&](const VcpuInfoClue& clue) {
      return clue.address == address && clue.pointer == pointer;
    });
    if (known != clues.end()) {
      known->uses += uses;
    } else {
      clues.push_back({address, pointer, uses, at});
    }
  };
  for (std::size_t i = 0; i < code.size(); ++i) {
    const Instruction& instruction = code[i];
    for (const MemoryOperand& operand : instruction.accesses()) {
      const std::optional<GuestAddress> address = fixed_address(operand, instruction);
      if (!address) {
        continue;
      }
      const std::optional<Gpr> loaded = pointed_by(instruction, width);
      if (operand.read && operand.size == word_size(width) && loaded) {
        note(*address, true, uses_of(code.subspan(i + 1), *loaded, width), instruction.address);
      } else if (operand.write && operand.size == 1) {
        note(*address - 1, false, 3, instruction.address);
      }
    }
  }
  std::stable_sort(clues.begin(), clues.end(),
                   [](const VcpuInfoClue& a, const VcpuInfoClue& b) { return a.uses > b.uses; });
  return clues;
}

bool uses_segment(std::span<const Instruction> code, Segment segment) {
  return std::any_of(code.begin(), code.end(), [segment](const Instruction& instruction) {
    const auto accesses = instruction.accesses();
    return std::any_of(accesses.begin(), accesses.end(),
                       [segment](const MemoryOperand& operand) { return operand.segment == segment; });
  });
}

std::optional<GuestAddress> reader_of(std::span<const Instruction> code, GuestAddress address) {
  for (const Instruction& instruction : code) {
    for (const MemoryOperand& operand : instruction.accesses()) {
      if (operand.read && !operand.segment && fixed_address(operand, instruction) == address) {
        return instruction.address;
      }
    }
  }
  return std::nullopt;
}

std::vector<Comparison> comparisons(std::span<const Instruction> code, Width width) {
  constexpr std::size_t kNear = 4;  // instructions from a `lea` to its `cmp`
  std::vector<Comparison> found;
  for (std::size_t i = 0; i < code.size(); ++i) {
    const std::string& text = code[i].text;
    if (const std::optional<std::uint64_t> immediate = immediate_of(text)) {
      if (text.starts_with("cmp") || text.starts_with("sub")) {
        found.push_back({code[i].address, *immediate & mask_of(width)});
      }
      continue;
    }
    const std::optional<std::uint64_t> loaded = rip_relative_address(code[i]);
    const std::size_t gpr = text.rfind(", %");
    if (!loaded || gpr == std::string::npos) {
      continue;
    }
    const std::string name = text.substr(gpr + 2);
    for (std::size_t next = i + 1; next < code.size() && next <= i + kNear; ++next) {
      if (code[next].text.starts_with("cmp") && code[next].text.find(name) != std::string::npos) {
        found.push_back({code[next].address, *loaded});
        break;
      }
    }
  }
  return found;
}

bool mentions(std::span<const Instruction> code, Width width, std::uint64_t number) {
  const std::uint64_t mask = mask_of(width);
  const auto is_it = [&](std::uint64_t value) { return (value & mask) == (number & mask); };
  return std::any_of(code.begin(), code.end(), [&](const Instruction& instruction) {
    const std::optional<std::uint64_t> immediate = immediate_of(instruction.text);
    const std::optional<std::uint64_t> made = rip_relative_address(instruction);
    const auto accesses = instruction.accesses();
    const bool displaced = std::any_of(accesses.begin(), accesses.end(), [&](const MemoryOperand& operand) {
      return is_it(static_cast<std::uint64_t>(operand.displacement) +
                   (operand.rip_relative ? instruction.next().value : 0));
    });
    return displaced || (immediate && is_it(*immediate)) || (made && is_it(*made));
  });
}

}  // namespace framefold
