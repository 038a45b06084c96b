// The register names of both widths: one list that the description, the scenario and the machine share.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "image/width.hpp"

namespace framefold {

/// General-purpose registers in the order of the instruction encoding (SDM Vol. 2, table 2-2).
enum class Gpr : std::uint8_t { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 };
inline constexpr std::size_t kGprCount = 16;

/// Segment registers in the order of the instruction encoding.
enum class Segment : std::uint8_t { es, cs, ss, ds, fs, gs };
inline constexpr std::size_t kSegmentCount = 6;

/// How many of the general-purpose registers a guest of this width has.
constexpr std::size_t gpr_count(Width width) { return width == Width::k64 ? 16 : 8; }

/// "rax" (64-bit) or "eax" (32-bit).
std::string_view name_of(Gpr gpr, Width width);
std::string_view name_of(Segment segment);
/// Accepts only names of the given width; nothing on any other text.
std::optional<Gpr> gpr_from_name(std::string_view name, Width width);

/// General-purpose registers, and RFLAGS.
class RegisterSet {
 public:
  constexpr RegisterSet& add(Gpr gpr) {
    bits_ |= 1U << static_cast<unsigned>(gpr);
    return *this;
  }
  constexpr RegisterSet& add_flags() {
    bits_ |= kFlags;
    return *this;
  }
  constexpr RegisterSet& add(RegisterSet other) {
    bits_ |= other.bits_;
    return *this;
  }
  constexpr void remove(Gpr gpr) { bits_ &= ~(1U << static_cast<unsigned>(gpr)); }
  constexpr bool has(Gpr gpr) const { return (bits_ >> static_cast<unsigned>(gpr) & 1U) != 0; }
  constexpr bool has_flags() const { return (bits_ & kFlags) != 0; }
  constexpr bool none() const { return bits_ == 0; }
  constexpr unsigned general() const { return bits_ & (kFlags - 1); }
  friend bool operator==(const RegisterSet&, const RegisterSet&) = default;

 private:
  static constexpr std::uint32_t kFlags = 1U << kGprCount;
  std::uint32_t bits_ = 0;
};

/// The machine state that a context consists of. Plain data; 32-bit guests use the low halves.
struct Registers {
  std::array<std::uint64_t, kGprCount> gpr{};
  std::uint64_t rip = 0;
  std::uint64_t rflags = 0;
  std::array<std::uint16_t, kSegmentCount> segment{};
  std::uint64_t gs_base = 0;
  std::uint64_t fs_base = 0;

  std::uint64_t& operator[](Gpr r) { return gpr[static_cast<std::size_t>(r)]; }
  std::uint64_t operator[](Gpr r) const { return gpr[static_cast<std::size_t>(r)]; }
  std::uint16_t& operator[](Segment s) { return segment[static_cast<std::size_t>(s)]; }
  std::uint16_t operator[](Segment s) const { return segment[static_cast<std::size_t>(s)]; }

  /// Without a call: a run compares them several times, and those that a run compares are mostly equal.
  friend bool operator==(const Registers& a, const Registers& b) {
    std::uint64_t differing =
        (a.rip ^ b.rip) | (a.rflags ^ b.rflags) | (a.gs_base ^ b.gs_base) | (a.fs_base ^ b.fs_base);
    for (std::size_t i = 0; i < kGprCount; ++i) {
      differing |= a.gpr[i] ^ b.gpr[i];
    }
    for (std::size_t i = 0; i < kSegmentCount; ++i) {
      differing |= a.segment[i] ^ b.segment[i];
    }
    return differing == 0;
  }
};

}  // namespace framefold
