// Whether the region's labels stand where events are unmasked.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <vector>

#include "check/check_nesting.hpp"
#include "image/image.hpp"

namespace framefold {

/// Code that compares addresses with the region's start does so on the way in: `way_in` is what ran before the event
/// handlers of plain contexts. Throws InputError that names the callback's line.
void check_callback(const Entry& entry, const std::set<GuestAddress>& way_in);

/// `unmasked`, sorted: the instructions of entry code that ran with events unmasked. `restored`: the first of them at
/// which all registers are back. Throws InputError that names the label's line.
void check_region(const Entry& entry, const std::vector<GuestAddress>& unmasked, std::optional<GuestAddress> restored);

/// Lets one event in at each boundary of `plain`. Throws InputError that names the table's line, where no code reads
/// the table then: an instruction that nothing leads to may name other data.
void check_table_is_read(const Entry& entry, std::span<const PlainRun> plain);

/// Lets one event in at each boundary of `plain`. Throws InputError that names the line of the region's end, where
/// instructions behind it run in a window and the code compares with no such end: what it does where an event is
/// pending is no part of a plain run. Code that does compare with it, and is wrong, is a finding.
void check_windows(const Entry& entry, std::span<const PlainRun> plain);

}  // namespace framefold
