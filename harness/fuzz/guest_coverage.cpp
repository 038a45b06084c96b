#include "fuzz/guest_coverage.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "fuzz/guest_counters.hpp"

// Of the engines, by their names. Weak: null where the engine is not there. `__afl_persistent_loop` is AFL++'s
// (afl-compiler-rt.o.c), `HF_ITER` honggfuzz's (libhfuzz/persistent.c), `CentipedeIsPresent` Centipede's
// (runner_interface.h). The guards are of SanitizerCoverage's interface; sanitizer runtimes have them as well, and do
// nothing useful with them, and in libFuzzer they end the process.
extern "C" {
[[gnu::weak]] int __afl_persistent_loop(unsigned count);                      // NOLINT
[[gnu::weak]] void HF_ITER(const std::uint8_t** data, std::size_t* size);     // NOLINT
[[gnu::weak]] void CentipedeIsPresent();                                      // NOLINT
[[gnu::weak]] void __sanitizer_cov_trace_pc_guard(std::uint32_t* guard);      // NOLINT
[[gnu::weak]] void __sanitizer_cov_trace_pc_guard_init(std::uint32_t* start,  // NOLINT
                                                       std::uint32_t* stop);

/// Centipede reads each word that is not 0 as a feature: the domain in the upper half, here 0, and a number in it.
[[gnu::section("__centipede_extra_features"), gnu::used,
  gnu::retain]] std::array<std::uint64_t, framefold::kGuestCounters>
    framefold_centipede_features{};
}

namespace framefold {

namespace {

/// A guard a counter: what an edge is to engines that count edges. The engine numbers them.
std::array<std::uint32_t, kGuestCounters> guards{};

bool has_guards() {
  return (__afl_persistent_loop != nullptr || HF_ITER != nullptr) && __sanitizer_cov_trace_pc_guard != nullptr &&
         __sanitizer_cov_trace_pc_guard_init != nullptr;
}

/// As compilers' own modules do it, with their priority: before AFL++ settles the size of its map. GCC would keep that
/// priority to itself.
constexpr int kModulePriority = 2;
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wprio-ctor-dtor"
#endif
[[gnu::constructor(kModulePriority)]] void register_guards() {
  if (has_guards()) {
    __sanitizer_cov_trace_pc_guard_init(guards.data(), guards.data() + guards.size());
  }
}

/// Engines tell counts apart by class, the highest of AFL++ starting here.
constexpr std::uint8_t kMostCalls = 128;

/// Calls visit(index, count) for each counter that is not 0, and clears it. Most words are 0.
template <typename Visit>
void take_counters(Visit visit) {
  using Word = std::uint64_t;
  for (std::size_t base = 0; base < kGuestCounters; base += sizeof(Word)) {
    std::uint8_t* const bytes = framefold_guest_counters.data() + base;
    Word word;
    std::memcpy(&word, bytes, sizeof word);
    if (word == 0) {
      continue;
    }
    for (std::size_t i = 0; i < sizeof word; ++i) {
      if (bytes[i] != 0) {
        visit(base + i, bytes[i]);
        bytes[i] = 0;
      }
    }
  }
}

void publish_to_guards() {
  take_counters([](std::size_t index, std::uint8_t count) {
    for (std::uint8_t call = 0; call < std::min(count, kMostCalls); ++call) {
      __sanitizer_cov_trace_pc_guard(&guards[index]);
    }
  });
}

/// A counter is as many features as it has doublings, of which a run has one. Not 0, which is no feature.
void publish_to_centipede() {
  std::size_t used = 0;
  take_counters([&used](std::size_t index, std::uint8_t count) {
    constexpr std::size_t kClasses = 8;
    framefold_centipede_features[used++] = 1 + index * kClasses + static_cast<std::size_t>(std::bit_width(count)) - 1;
  });
  std::fill(framefold_centipede_features.begin() + static_cast<std::ptrdiff_t>(used),
            framefold_centipede_features.end(), 0);
}

}  // namespace

void publish_guest_coverage() {
  static const bool to_guards = has_guards();
  static const bool to_centipede = CentipedeIsPresent != nullptr;
  if (to_guards) {
    publish_to_guards();
  } else if (to_centipede) {
    publish_to_centipede();
  }
}

}  // namespace framefold
