#include "cli/sha1.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

namespace framefold {

namespace {

constexpr std::size_t kBlock = 64;  // bytes
constexpr std::size_t kLength = 8;  // bytes of the message's length, in bits, at the end of the last block
constexpr std::size_t kRounds = 80;
constexpr std::size_t kStep = 20;  // rounds that share function and constant

using Digest = std::array<std::uint32_t, 5>;

std::vector<std::uint8_t> padded(std::span<const std::uint8_t> bytes) {
  std::vector<std::uint8_t> message(bytes.begin(), bytes.end());
  message.push_back(0x80);
  message.resize((message.size() + kLength + kBlock - 1) / kBlock * kBlock);
  const std::uint64_t bits = std::uint64_t{8} * bytes.size();
  for (std::size_t i = 0; i < kLength; ++i) {
    message[message.size() - 1 - i] = static_cast<std::uint8_t>(bits >> (8 * i));
  }
  return message;
}

/// FIPS 180-4, 4.1.1: function and constant of a round.
std::uint32_t mix(std::size_t round, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  switch (round / kStep) {
    case 0:
      return ((b & c) | (~b & d)) + 0x5a827999;
    case 1:
      return (b ^ c ^ d) + 0x6ed9eba1;
    case 2:
      return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    default:
      return (b ^ c ^ d) + 0xca62c1d6;
  }
}

void add_block(Digest& digest, std::span<const std::uint8_t> block) {
  std::array<std::uint32_t, kRounds> words{};
  for (std::size_t i = 0; i < kBlock; ++i) {
    words[i / 4] = words[i / 4] << 8 | block[i];
  }
  for (std::size_t i = kBlock / 4; i < kRounds; ++i) {
    words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  }
  auto [a, b, c, d, e] = digest;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const std::uint32_t next = std::rotl(a, 5) + mix(i, b, c, d) + e + words[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  const Digest added = {a, b, c, d, e};
  std::transform(digest.begin(), digest.end(), added.begin(), digest.begin(), std::plus<>());
}

}  // namespace

std::string sha1_name(std::span<const std::uint8_t> bytes) {
  Digest digest = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  const std::vector<std::uint8_t> message = padded(bytes);
  for (std::size_t at = 0; at < message.size(); at += kBlock) {
    add_block(digest, std::span(message).subspan(at, kBlock));
  }
  return fmt::format("{:08x}", fmt::join(digest, ""));
}

}  // namespace framefold
