// The binary form of a scenario: what a fuzzer mutates and a corpus keeps.
//
// Version 1, little endian: a header, the arrivals, the registers. A byte that an input does not have reads as 0, so
// that short inputs are useful; bytes behind the registers are ignored. Small choices are bytes modulo their number, so
// that most byte changes mean something. Registers are stored XOR register_tag and come last, without those at the end
// that hold their tags. The layout is the tables in codec.cpp; documents and tests read them from here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "scenario/scenario.hpp"

namespace framefold {

inline constexpr std::uint8_t kCodecVersion = 1;
/// Bytes of the fixed part, of each arrival behind it, and of each register behind those.
inline constexpr std::size_t kHeaderSize = 32;
inline constexpr std::size_t kArrivalSize = 8;
inline constexpr std::size_t kRegisterSize = 8;
inline constexpr std::size_t kMaxEncodedSize = 512;

/// Total: every byte string decodes to a canonical scenario. A version that is not known (0, or above kCodecVersion)
/// reads as kCodecVersion; when a version 2 comes, it keeps the layout of version 1. Does not allocate.
Scenario decode(std::span<const std::uint8_t> bytes, const Entry& entry);

/// What an input says of its own format; no byte at all is no less than the current one.
inline std::uint8_t format_version(std::span<const std::uint8_t> bytes) {
  return bytes.empty() ? kCodecVersion : bytes[0];
}

struct Encoded {
  std::array<std::uint8_t, kMaxEncodedSize> bytes{};
  std::size_t size = 0;
  std::span<const std::uint8_t> view() const { return {bytes.data(), size}; }
};
/// decode(encode(s)) == s for every canonical s. Does not allocate.
Encoded encode(const Scenario& scenario, const Entry& entry);

/// A field of the header or of an arrival.
template <typename Part>
struct CodecField {
  std::string_view name;
  std::uint8_t offset;  // bytes from the start of its part
  std::uint8_t size;    // bytes
  std::string_view help;
  std::uint64_t (*get)(const Part& part);
  void (*set)(Part& part, std::uint64_t stored);
};
std::span<const CodecField<Scenario>> codec_header_fields();
std::span<const CodecField<Arrival>> codec_arrival_fields();

}  // namespace framefold
