#include "mutant/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "machine/internal_error.hpp"
#include "mutant/code_patches.hpp"

namespace framefold {

namespace {

bool is_handler(const Entry& entry, GuestAddress address) {
  return std::any_of(entry.vectors.begin(), entry.vectors.end(),
                     [=](const Vector& vector) { return vector.handler == address; });
}

std::span<const std::uint8_t> bytes_of(const Entry& entry, const Instruction& instruction) {
  return image_bytes(entry, instruction.address, instruction.length);
}

void plan_table(const Entry& entry, std::vector<Mutant>& mutants) {
  constexpr std::uint8_t kSlip = 8;
  if (!entry.table) {
    return;
  }
  for (const Instruction& instruction : entry.instructions) {
    if (!entry.region.contains(instruction.address)) {
      continue;
    }
    const GuestAddress at = entry.table->begin + (instruction.address - entry.region.begin);
    const std::uint8_t value = image_bytes(entry, at, 1)[0];
    std::set<std::uint8_t> others = {static_cast<std::uint8_t>(value + kSlip), static_cast<std::uint8_t>(value - kSlip),
                                     0, 0xff};
    others.erase(value);
    for (const std::uint8_t other : others) {
      Mutant mutant{
          fmt::format("table {:#04x} -> {:#04x}", value, other), instruction.address, instruction.text, {}, true, {}};
      mutant.patches.push_back({at, {other}});
      mutants.push_back(std::move(mutant));
    }
  }
}

void plan_code(const Entry& entry, std::vector<Mutant>& mutants) {
  for (const Instruction& instruction : entry.instructions) {
    if (is_handler(entry, instruction.address) || instruction.text.starts_with("nop")) {
      continue;
    }
    for (CodePatch& patch : code_patches(instruction, bytes_of(entry, instruction), entry.width())) {
      const std::vector<Instruction> decoded = decode(entry.width(), instruction.address, patch.bytes, {});
      if (decoded.size() != 1 || decoded[0].length != instruction.length || decoded[0].text == instruction.text) {
        continue;  // not one instruction of the same length, or the same one in other bytes
      }
      Mutant mutant{patch.fault, instruction.address, instruction.text, decoded[0].text, false, {}};
      mutant.patches.push_back({instruction.address, std::move(patch.bytes)});
      mutants.push_back(std::move(mutant));
    }
  }
}

/// A value that the code computes from a label, and what it is with the label elsewhere.
struct LabelUse {
  std::uint32_t value = 0;
  std::uint32_t moved = 0;
  bool small = false;  // a comparison may hold it in one byte
};

std::vector<LabelUse> uses_of(const Entry& entry, GuestAddress label, GuestAddress moved) {
  const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  std::vector<LabelUse> uses = {{low(label.value), low(moved.value), false}};
  if (label == entry.region.begin) {
    uses.push_back({low(entry.region.size()), low(entry.region.end - moved), true});
    if (entry.table) {
      uses.push_back({low(entry.table->begin - label), low(entry.table->begin - moved), false});
    }
  } else if (label == entry.region.end) {
    uses.push_back({low(entry.region.size()), low(moved - entry.region.begin), true});
  }
  return uses;
}

/// The instruction's bytes with the label moved; nothing where it does not use it.
std::optional<BytePatch> move_label(const Entry& entry, const Instruction& instruction,
                                    const std::vector<LabelUse>& uses) {
  const bool relative = std::any_of(instruction.accesses().begin(), instruction.accesses().end(),
                                    [](const MemoryOperand& operand) { return operand.rip_relative; });
  if (instruction.target || relative) {
    return std::nullopt;
  }
  const std::span<const std::uint8_t> bytes = bytes_of(entry, instruction);
  const EncodedFields fields = fields_of(entry.width(), instruction.address, bytes);
  for (const EncodedField& field : {fields.immediate, fields.displacement}) {
    for (const LabelUse& use : uses) {
      const bool fits = field.size == 4 || (field.size == 1 && use.small && instruction.text.starts_with("cmp"));
      if (fits && field.value(bytes) == use.value) {
        BytePatch patch{instruction.address, {bytes.begin(), bytes.end()}};
        field.set(patch.bytes, use.moved);
        return patch;
      }
    }
  }
  return std::nullopt;
}

void plan_label(const Entry& entry, GuestAddress label, std::vector<Mutant>& mutants) {
  const auto begin = entry.instructions.begin();
  const auto at = std::lower_bound(begin, entry.instructions.end(), label,
                                   [](const Instruction& i, GuestAddress a) { return i.address < a; });
  for (const bool later : {false, true}) {
    if (at == entry.instructions.end() || (!later && at == begin)) {
      continue;
    }
    const GuestAddress moved = later ? at->next() : std::prev(at)->address;
    const std::vector<LabelUse> uses = uses_of(entry, label, moved);
    Mutant mutant{fmt::format("{} one instruction {}", format_location(entry, label), later ? "later" : "earlier"),
                  label,
                  at->text,
                  {},
                  false,
                  {}};
    for (const Instruction& instruction : entry.instructions) {
      if (std::optional<BytePatch> patch = move_label(entry, instruction, uses)) {
        mutant.patches.push_back(std::move(*patch));
      }
    }
    if (!mutant.patches.empty()) {
      mutants.push_back(std::move(mutant));
    }
  }
}

}  // namespace

std::span<const std::uint8_t> image_bytes(const Entry& entry, GuestAddress address, std::size_t size) {
  for (const LoadSegment& segment : entry.segments) {
    const std::uint64_t offset = address - segment.address;
    if (offset < segment.bytes.size() && size <= segment.bytes.size() - offset) {
      return std::span(segment.bytes).subspan(offset, size);
    }
  }
  throw InternalError("bytes that no segment holds");
}

std::vector<Mutant> plan_mutants(const Entry& entry) {
  std::vector<Mutant> mutants;
  plan_table(entry, mutants);
  plan_code(entry, mutants);
  if (entry.region.size() != 0) {
    plan_label(entry, entry.region.begin, mutants);
    if (entry.restore_end) {
      plan_label(entry, *entry.restore_end, mutants);
    }
    plan_label(entry, entry.region.end, mutants);
  }
  return mutants;
}

}  // namespace framefold
