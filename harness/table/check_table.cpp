#include "table/check_table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace framefold {

namespace {

const TableBoundary& boundary_of(const FixupTable& table, GuestAddress address) {
  const auto behind =
      std::upper_bound(table.boundaries.begin(), table.boundaries.end(), address,
                       [](GuestAddress a, const TableBoundary& b) { return a < b.instruction->address; });
  return *std::prev(behind);
}

std::string text_of(const TableBoundary& boundary) {
  std::string text;
  for (const std::int64_t value : boundary.popped) {
    text += fmt::format("{}{:#04x}", text.empty() ? "" : " and ", value);
  }
  return text;
}

/// No event at the boundary shows anything that is not known: what the byte says otherwise, the code takes for the same
/// (XenLinux' 0xff).
bool same_effect(const TableBoundary& boundary, Oracle& oracle) {
  return !boundary.deliverable.empty() &&
         std::all_of(boundary.deliverable.begin(), boundary.deliverable.end(),
                     [&](const Scenario& scenario) { return oracle.judge(scenario).violation() == nullptr; });
}

void check_bytes(const FixupTable& table, Oracle& oracle, TableCheck& check) {
  const Entry& entry = *table.entry;
  const std::vector<std::uint8_t> bytes = image_table(entry);
  const TableBoundary* accepted = nullptr;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const GuestAddress address = entry.region.begin + i;
    const TableBoundary& boundary = boundary_of(table, address);
    if (!boundary.reached() || boundary.value() == bytes[i]) {
      continue;
    }
    const std::uint8_t first = bytes[boundary.instruction->address - entry.region.begin];
    if (address == boundary.instruction->address && same_effect(boundary, oracle)) {
      accepted = &boundary;
      check.same_effect.push_back(address);
    }
    if (accepted != &boundary || bytes[i] != first) {
      check.differences.push_back({address, &boundary, fmt::format("{:#04x}", bytes[i]), text_of(boundary)});
    }
  }
}

/// Before restore_end one register is still on the stack, pushed below what Xen pushed; behind it, nothing.
void check_zones(const FixupTable& table, TableCheck& check) {
  const Entry& entry = *table.entry;
  const std::int64_t all = table.frame_words;
  for (const TableBoundary& boundary : table.boundaries) {
    if (!boundary.reached()) {
      continue;
    }
    const bool before = boundary.instruction->address < *entry.restore_end;
    const std::int64_t claimed = before ? all - word_size(entry.width()) : all;
    if (boundary.value() != claimed || !boundary.lost.empty() || (!before && !boundary.saved.empty())) {
      check.differences.push_back({boundary.instruction->address, &boundary,
                                   fmt::format("{:#04x} by restore_end", claimed), text_of(boundary)});
    }
  }
}

std::string joined(const TableBoundary& boundary) {
  return fmt::format("    # {}{}", boundary.instruction->text, boundary.reached() ? "" : "; no context comes here");
}

}  // namespace

bool can_check(const Entry& entry) { return entry.table || entry.restore_end; }

TableCheck check_table(const FixupTable& table, Oracle& oracle) {
  const Entry& entry = *table.entry;
  if (!can_check(entry)) {
    throw InputError(fmt::format("{}: region: expected `table` or `restore_end`: there is nothing to check",
                                 entry.description.file));
  }
  TableCheck check;
  for (const TableBoundary& boundary : table.boundaries) {
    if (!boundary.reached()) {
      check.unreached.push_back(boundary.instruction->address);
    }
  }
  entry.table ? check_bytes(table, oracle, check) : check_zones(table, check);
  return check;
}

std::vector<std::uint8_t> table_bytes(const FixupTable& table, const TableCheck* check) {
  const Entry& entry = *table.entry;
  const std::vector<std::uint8_t> own = image_table(entry);
  std::vector<std::uint8_t> bytes;
  for (const TableBoundary& boundary : table.boundaries) {
    const GuestAddress address = boundary.instruction->address;
    const std::uint64_t offset = address - entry.region.begin;
    const bool kept = !own.empty() &&
                      (!boundary.reached() ||
                       (check != nullptr && std::count(check->same_effect.begin(), check->same_effect.end(), address)));
    if (boundary.reached() && !boundary.value()) {
      throw InputError(fmt::format("{}: {}: expected one value from 0 to 0xff, found {}: no table can say that",
                                   entry.description.file, format_location(entry, address), text_of(boundary)));
    }
    const std::uint8_t value = kept ? own[offset] : boundary.value().value_or(0);
    bytes.resize(offset, 0);
    bytes.insert(bytes.end(), boundary.instruction->length, value);
  }
  bytes.resize(entry.region.size(), 0);
  return bytes;
}

std::string to_gas(const FixupTable& table, std::span<const std::uint8_t> bytes) {
  const Entry& entry = *table.entry;
  std::string text = fmt::format("/* {}: bytes of the frame that are gone, one byte for each of the region's {}. */\n",
                                 entry.name(), bytes.size());
  for (const TableBoundary& boundary : table.boundaries) {
    const std::uint64_t first = boundary.instruction->address - entry.region.begin;
    std::string line;
    for (std::uint64_t i = first; i < first + boundary.instruction->length; ++i) {
      line += fmt::format("{}{:#04x}", line.empty() ? "" : ", ", bytes[i]);
    }
    text += fmt::format("        .byte   {}{}\n", line, joined(boundary));
  }
  return text;
}

}  // namespace framefold
