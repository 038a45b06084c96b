// A derived table held against what an entry says itself: its own table, or the two zones of a single-register fold,
// between the region's start, restore_end and its end.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "run/oracle.hpp"
#include "table/fixup_table.hpp"

namespace framefold {

/// A byte of the table, or a boundary of a zone, that is not as derived.
struct TableDifference {
  GuestAddress address;                     // in the region
  const TableBoundary* boundary = nullptr;  // that it belongs to; lives as long as the table
  std::string found;                        // "0x30", "before restore_end"
  std::string expected;                     // "0x28", "0 words pushed"
};

struct TableCheck {
  std::vector<TableDifference> differences;
  std::vector<GuestAddress> same_effect;  // boundaries with another byte that events there do not tell from the derived
  std::vector<GuestAddress> unreached;    // boundaries that no context comes to: nothing is said of them
};

/// Whether the description claims what can be checked.
bool can_check(const Entry& entry);

/// `oracle` is the entry's. Throws InputError where `can_check` is false.
TableCheck check_table(const FixupTable& table, Oracle& oracle);

/// One byte for each of the region's: that of the image's own table where it has the same effect or no context comes,
/// else the derived one. Throws InputError where there is no single value, or nothing to say.
std::vector<std::uint8_t> table_bytes(const FixupTable& table, const TableCheck* check);

/// `.byte` lines, one a boundary, with the instruction and its place beside it.
std::string to_gas(const FixupTable& table, std::span<const std::uint8_t> bytes);

}  // namespace framefold
