// When a run of the check's own counts as one that does not end.
#pragma once

#include <cstdint>

namespace framefold {

/// Boundaries: far above any way through entry code without arrivals (some hundred).
inline constexpr std::uint32_t kLongestRun = 1U << 14;

}  // namespace framefold
