// The guest's coverage as libFuzzer sees it: extra counters, which it reads and clears after each run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace framefold {

/// The bundled entries want 1,500 to 5,200. libFuzzer scans all of them twice a run, eight bytes at a time: 0.3 µs
/// each.
inline constexpr std::size_t kGuestCounters = 6144;

}  // namespace framefold

/// In a section whose name libFuzzer knows. Not static: counters that are only written would be deleted.
extern "C" std::array<std::uint8_t, framefold::kGuestCounters> framefold_guest_counters;
