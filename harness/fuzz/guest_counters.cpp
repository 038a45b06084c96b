#include "fuzz/guest_counters.hpp"

// libFuzzer scans the section in whole words, so it starts and ends on one.
static_assert(framefold::kGuestCounters % sizeof(std::uint64_t) == 0);

extern "C" {
alignas(64) [[gnu::section("__libfuzzer_extra_counters"),
              gnu::used]] std::array<std::uint8_t, framefold::kGuestCounters> framefold_guest_counters{};
}
