#include "debug/packet.hpp"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace framefold {

namespace {

constexpr char kEscape = '}';
constexpr char kEscapeBit = 0x20;
constexpr char kInterrupt = 0x03;

std::optional<unsigned> digit(char c) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(&c, &c + 1, value, 16);
  return error == std::errc() && end == &c + 1 ? std::optional(value) : std::nullopt;
}

}  // namespace

void PacketReader::feed(std::string_view bytes) {
  for (const char c : bytes) {
    take(c);
  }
}

std::optional<Received> PacketReader::next() {
  if (received_.empty()) {
    return std::nullopt;
  }
  Received first = std::move(received_.front());
  received_.pop_front();
  return first;
}

void PacketReader::take(char c) {
  if (c == '$' && state_ != State::escaped) {
    state_ = State::data;
    data_.clear();
    checksum_.clear();
    sum_ = 0;
    return;
  }
  switch (state_) {
    case State::outside:
      if (c == '+' || c == '-') {
        received_.push_back({c == '+' ? Received::Kind::acknowledged : Received::Kind::refused, ""});
      } else if (c == kInterrupt) {
        received_.push_back({Received::Kind::interrupt, ""});
      }
      return;
    case State::data:
      if (c == '#') {
        state_ = State::checksum;
        return;
      }
      sum_ = static_cast<std::uint8_t>(sum_ + static_cast<std::uint8_t>(c));
      if (c == kEscape) {
        state_ = State::escaped;
      } else if (data_.size() < kMaxPacket) {
        data_ += c;
      }
      return;
    case State::escaped:
      sum_ = static_cast<std::uint8_t>(sum_ + static_cast<std::uint8_t>(c));
      if (data_.size() < kMaxPacket) {
        data_ += static_cast<char>(c ^ kEscapeBit);
      }
      state_ = State::data;
      return;
    case State::checksum:
      checksum_ += c;
      if (checksum_.size() == 2) {
        finish();
      }
      return;
  }
}

void PacketReader::finish() {
  state_ = State::outside;
  const std::optional<unsigned> high = digit(checksum_[0]);
  const std::optional<unsigned> low = digit(checksum_[1]);
  const bool whole = high && low && *high * 16 + *low == sum_ && data_.size() < kMaxPacket;
  received_.push_back({whole ? Received::Kind::packet : Received::Kind::damaged, whole ? std::move(data_) : ""});
  data_.clear();
}

std::string packet_of(std::string_view data) {
  std::string body;
  for (const char c : data) {
    if (c == '$' || c == '#' || c == kEscape || c == '*') {
      body += kEscape;
      body += static_cast<char>(c ^ kEscapeBit);
    } else {
      body += c;
    }
  }
  std::uint8_t sum = 0;
  for (const char c : body) {
    sum = static_cast<std::uint8_t>(sum + static_cast<std::uint8_t>(c));
  }
  return fmt::format("${}#{:02x}", body, sum);
}

std::string to_hex(std::string_view bytes) {
  std::string digits;
  for (const char c : bytes) {
    digits += fmt::format("{:02x}", static_cast<std::uint8_t>(c));
  }
  return digits;
}

std::optional<std::string> from_hex(std::string_view digits) {
  if (digits.size() % 2 != 0) {
    return std::nullopt;
  }
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    const std::optional<unsigned> high = digit(digits[i]);
    const std::optional<unsigned> low = digit(digits[i + 1]);
    if (!high || !low) {
      return std::nullopt;
    }
    bytes += static_cast<char>(*high * 16 + *low);
  }
  return bytes;
}

std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc()) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

}  // namespace framefold
