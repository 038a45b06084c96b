// The faults of one instruction.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace framefold {

/// An immediate or a displacement in an instruction's bytes, as Capstone says.
struct EncodedField {
  std::size_t offset = 0;
  std::size_t size = 0;  // 0: none
  std::uint64_t value(std::span<const std::uint8_t> bytes) const;
  void set(std::vector<std::uint8_t>& bytes, std::uint64_t value) const;
};
struct EncodedFields {
  EncodedField displacement;
  EncodedField immediate;
};
EncodedFields fields_of(Width width, GuestAddress address, std::span<const std::uint8_t> bytes);

struct CodePatch {
  std::string fault;
  std::vector<std::uint8_t> bytes;
};
std::vector<CodePatch> code_patches(const Instruction& instruction, std::span<const std::uint8_t> bytes, Width width);

}  // namespace framefold
