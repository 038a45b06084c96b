#include "mutant/code_patches.hpp"

#include <capstone/capstone.h>

#include <algorithm>
#include <array>

#include "machine/internal_error.hpp"

namespace framefold {

namespace {

using Bytes = std::vector<std::uint8_t>;

/// Where the opcode is, behind prefixes.
struct Opcode {
  std::size_t at = 0;
  std::optional<std::size_t> rex;
  bool two_bytes = false;
  std::uint8_t value = 0;
};

Opcode opcode_of(std::span<const std::uint8_t> bytes, Width width) {
  constexpr std::array<std::uint8_t, 11> kPrefixes = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
  constexpr std::uint8_t kRex = 0x40;
  Opcode opcode;
  while (opcode.at + 1 < bytes.size() &&
         std::find(kPrefixes.begin(), kPrefixes.end(), bytes[opcode.at]) != kPrefixes.end()) {
    ++opcode.at;
  }
  if (width == Width::k64 && (bytes[opcode.at] & 0xf0) == kRex && opcode.at + 1 < bytes.size()) {
    opcode.rex = opcode.at++;
  }
  opcode.two_bytes = bytes[opcode.at] == 0x0f && opcode.at + 1 < bytes.size();
  opcode.at += opcode.two_bytes ? 1 : 0;
  opcode.value = bytes[opcode.at];
  return opcode;
}

/// One instruction of the same length, so that there are as many boundaries (SDM Vol. 2, NOP, table 4-12).
Bytes nop(std::size_t length) {
  static const std::array<Bytes, 9> kNops = {{{0x90},
                                              {0x66, 0x90},
                                              {0x0f, 0x1f, 0x00},
                                              {0x0f, 0x1f, 0x40, 0x00},
                                              {0x0f, 0x1f, 0x44, 0x00, 0x00},
                                              {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
                                              {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
                                              {0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
                                              {0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00}}};
  const std::size_t known = std::min(length, kNops.size());
  Bytes bytes(length - known, 0x66);  // operand-size prefixes may be repeated
  bytes.insert(bytes.end(), kNops[known - 1].begin(), kNops[known - 1].end());
  return bytes;
}

bool in(std::uint8_t value, int first, int last) { return first <= value && value <= last; }

/// jcc, setcc and cmovcc differ from their opposites in the lowest bit (SDM Vol. 2, B.1.4.7).
bool has_condition(const Opcode& opcode) {
  return opcode.two_bytes ? in(opcode.value, 0x40, 0x4f) || in(opcode.value, 0x80, 0x9f) : in(opcode.value, 0x70, 0x7f);
}

/// Whether ModRM.reg is a general register, and whether ModRM.rm may be one while reg belongs to the opcode.
bool names_register(const Opcode& opcode) {
  const std::uint8_t value = opcode.value;
  if (opcode.two_bytes) {
    return in(value, 0x40, 0x4f) || in(value, 0xb6, 0xb7) || in(value, 0xbe, 0xbf);
  }
  return (value < 0x40 && (value & 7) < 4) || value == 0x63 || value == 0x69 || value == 0x6b ||
         in(value, 0x84, 0x8b) || value == 0x8d;
}
bool is_group(const Opcode& opcode) {
  const std::uint8_t value = opcode.value;
  return opcode.two_bytes
             ? in(value, 0x90, 0x9f)
             : in(value, 0x80, 0x83) || value == 0x8f || value == 0x8c || value == 0x8e || in(value, 0xc0, 0xc1) ||
                   in(value, 0xc6, 0xc7) || in(value, 0xd0, 0xd3) || in(value, 0xf6, 0xf7) || in(value, 0xfe, 0xff);
}

/// The register beside it in the encoding's order: rax and rcx, rdx and rbx...
std::optional<Bytes> other_register(Bytes bytes, const Opcode& opcode) {
  const bool in_opcode = !opcode.two_bytes && (in(opcode.value, 0x50, 0x5f) || in(opcode.value, 0xb0, 0xbf));
  if (in_opcode) {
    bytes[opcode.at] ^= 1;
    return bytes;
  }
  if (opcode.at + 1 >= bytes.size()) {
    return std::nullopt;
  }
  std::uint8_t& modrm = bytes[opcode.at + 1];
  if (names_register(opcode)) {
    modrm ^= 1 << 3;
    return bytes;
  }
  if (is_group(opcode) && modrm >> 6 == 3) {
    modrm ^= 1;
    return bytes;
  }
  return std::nullopt;
}

/// 64 and 32 bits by REX.W, else 32 and 8 by a move's lowest bit.
std::optional<Bytes> other_width(Bytes bytes, const Opcode& opcode) {
  constexpr std::uint8_t kRexW = 8;
  if (opcode.rex && (bytes[*opcode.rex] & kRexW) != 0) {
    bytes[*opcode.rex] ^= kRexW;
    return bytes;
  }
  if (!opcode.two_bytes && in(opcode.value, 0x88, 0x8b)) {
    bytes[opcode.at] ^= 1;
    return bytes;
  }
  return std::nullopt;
}

void add_offsets(std::vector<CodePatch>& patches, std::span<const std::uint8_t> bytes, const EncodedField& field,
                 const std::string& name) {
  constexpr std::uint64_t kSlip = 8;
  if (field.size == 0) {
    return;
  }
  for (const bool up : {true, false}) {
    Bytes changed(bytes.begin(), bytes.end());
    field.set(changed, up ? field.value(bytes) + kSlip : field.value(bytes) - kSlip);
    patches.push_back({name + (up ? " +8" : " -8"), std::move(changed)});
  }
}

}  // namespace

std::uint64_t EncodedField::value(std::span<const std::uint8_t> bytes) const {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value |= std::uint64_t{bytes[offset + i]} << (8 * i);
  }
  return value;
}

void EncodedField::set(std::vector<std::uint8_t>& bytes, std::uint64_t value) const {
  for (std::size_t i = 0; i < size; ++i) {
    bytes[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
}

EncodedFields fields_of(Width width, GuestAddress address, std::span<const std::uint8_t> bytes) {
  csh handle = 0;
  if (cs_open(CS_ARCH_X86, width == Width::k64 ? CS_MODE_64 : CS_MODE_32, &handle) != CS_ERR_OK) {
    throw InternalError("Capstone does not open for x86");
  }
  cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
  cs_insn* instruction = nullptr;
  EncodedFields fields;
  const std::size_t count = cs_disasm(handle, bytes.data(), bytes.size(), address.value, 1, &instruction);
  if (count == 1) {
    const cs_x86_encoding& encoding = instruction->detail->x86.encoding;
    fields.displacement = {encoding.disp_offset, encoding.disp_offset == 0 ? std::size_t{0} : encoding.disp_size};
    fields.immediate = {encoding.imm_offset, encoding.imm_offset == 0 ? std::size_t{0} : encoding.imm_size};
    cs_free(instruction, count);
  }
  cs_close(&handle);
  const auto inside = [&](const EncodedField& field) { return field.offset + field.size <= bytes.size(); };
  fields.displacement = inside(fields.displacement) ? fields.displacement : EncodedField{};
  fields.immediate = inside(fields.immediate) ? fields.immediate : EncodedField{};
  return fields;
}

std::vector<CodePatch> code_patches(const Instruction& instruction, std::span<const std::uint8_t> bytes, Width width) {
  const Opcode opcode = opcode_of(bytes, width);
  const Bytes original(bytes.begin(), bytes.end());
  std::vector<CodePatch> patches;
  patches.push_back({"removed", nop(bytes.size())});
  if (has_condition(opcode)) {
    Bytes inverted = original;
    inverted[opcode.at] ^= 1;
    patches.push_back({"condition inverted", std::move(inverted)});
  }
  if (!instruction.target) {
    const EncodedFields fields = fields_of(width, instruction.address, bytes);
    add_offsets(patches, bytes, fields.displacement, "displacement");
    add_offsets(patches, bytes, fields.immediate, "immediate");
  }
  if (std::optional<Bytes> swapped = other_register(original, opcode)) {
    patches.push_back({"other register", std::move(*swapped)});
  }
  if (std::optional<Bytes> resized = other_width(original, opcode)) {
    patches.push_back({"other width", std::move(*resized)});
  }
  return patches;
}

}  // namespace framefold
