// Addresses as people read and write them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "image/description.hpp"
#include "image/image.hpp"

namespace framefold {
namespace {

const LoadSegment* segment_of(const Entry& entry, GuestAddress address) {
  for (const LoadSegment& segment : entry.segments) {
    if (address - segment.address < segment.bytes.size()) return &segment;
  }
  return nullptr;
}

}  // namespace

std::optional<LocationText> split_location(std::string_view text) {
  const std::size_t plus = text.find('+');
  LocationText location{text.substr(0, plus), 0};
  const auto is_symbol_character = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '$';
  };
  if (location.symbol.empty() || (location.symbol[0] >= '0' && location.symbol[0] <= '9') ||
      !std::all_of(location.symbol.begin(), location.symbol.end(), is_symbol_character)) {
    return std::nullopt;
  }
  if (plus == std::string_view::npos) return location;
  std::string_view digits = text.substr(plus + 1);
  int base = 10;
  if (digits.substr(0, 2) == "0x") {
    base = 16;
    digits.remove_prefix(2);
  }
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, location.offset, base);
  // No image is as large: a greater offset could only wrap round.
  constexpr std::uint64_t kMaxOffset = 0xffffffff;
  if (digits.empty() || error != std::errc{} || stop != end || location.offset > kMaxOffset) return std::nullopt;
  return location;
}

bool is_symbol_name(std::string_view text) {
  const std::optional<LocationText> location = split_location(text);
  return location && location->symbol == text;
}

std::optional<Location> locate(const Entry& entry, GuestAddress address) {
  const auto behind = std::upper_bound(entry.named.begin(), entry.named.end(), address,
                                       [](GuestAddress a, const Symbol& symbol) { return a < symbol.address; });
  if (behind == entry.named.begin()) return std::nullopt;
  const Symbol& symbol = *std::prev(behind);
  // A symbol says nothing about another segment, nor about memory that is not the image's.
  if (segment_of(entry, address) == nullptr || segment_of(entry, address) != segment_of(entry, symbol.address)) {
    return std::nullopt;
  }
  return Location{symbol.name, address - symbol.address};
}

std::string format_location(const Entry& entry, GuestAddress address) {
  const std::optional<Location> location = locate(entry, address);
  if (!location) return fmt::format("{:#x}", address.value);
  if (location->offset == 0) return std::string(location->symbol);
  return fmt::format("{}+{:#x}", location->symbol, location->offset);
}

std::optional<GuestAddress> parse_location(const Entry& entry, std::string_view text) {
  const std::optional<LocationText> parts = split_location(text);
  if (!parts) return std::nullopt;
  const std::optional<GuestAddress> base = find_symbol(entry.symbols, parts->symbol);
  if (!base) return std::nullopt;
  return *base + parts->offset;
}

std::optional<GuestAddress> find_symbol(std::span<const Symbol> symbols, std::string_view name) {
  const Symbol* found = nullptr;
  bool ambiguous = false;
  for (const Symbol& symbol : symbols) {
    if (symbol.name != name) continue;
    if (symbol.global) return symbol.address;
    ambiguous = found != nullptr;
    found = &symbol;
  }
  if (found == nullptr || ambiguous) return std::nullopt;
  return found->address;
}

}  // namespace framefold
