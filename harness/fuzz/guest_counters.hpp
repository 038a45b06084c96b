// The guest's coverage as libFuzzer sees it: extra counters, which it reads and clears after each run.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace framefold {

/// The bundled entries want 541 to 1,140 (fuzz_test holds them below this); what wants more shares some. libFuzzer
/// scans all of them twice a run.
inline constexpr std::size_t kGuestCounters = 1152;

}  // namespace framefold

/// In a section whose name libFuzzer knows. Not static: counters that are only written would be deleted.
extern "C" std::array<std::uint8_t, framefold::kGuestCounters> framefold_guest_counters;
