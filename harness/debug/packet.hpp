// The packets of GDB's remote serial protocol ("Debugging with GDB", appendix "Remote Protocol"): $<data>#<checksum>,
// with
// '}' before a byte that is escaped.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace framefold {

/// Longest packet that is kept. What is longer is no packet of a debugger.
inline constexpr std::size_t kMaxPacket = 0x4000;

struct Received {
  enum class Kind : std::uint8_t { packet, acknowledged, refused, interrupt, damaged };
  Kind kind = Kind::packet;
  std::string data;  // of a packet, without escapes
};

/// Takes bytes as they come, in whatever pieces, and makes packets of them. Bytes between packets that mean nothing are
/// dropped; a packet that starts anew in the middle of another wins.
class PacketReader {
 public:
  void feed(std::string_view bytes);
  std::optional<Received> next();

 private:
  void take(char c);
  void finish();

  enum class State : std::uint8_t { outside, data, escaped, checksum };
  State state_ = State::outside;
  std::string data_;
  std::string checksum_;
  std::uint8_t sum_ = 0;
  std::deque<Received> received_;
};

/// A packet with these contents.
std::string packet_of(std::string_view data);

/// "0a1b" from bytes, and back; nothing where it is not hexadecimal, two digits a byte.
std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view digits);
/// A number in hexadecimal at the start of `text`, which it is taken off; nothing where there is none.
std::optional<std::uint64_t> take_number(std::string_view& text);

}  // namespace framefold
