// The nested run beside the reference run: where they go together, and what differs there.
//
// Both start alike, until the nested run takes an arrival. They come together again, if at all, on the way to the first
// resumption, which is compared backwards from there. What lies between, and what comes behind, belongs to one of them.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "report/story.hpp"

namespace framefold {

/// Moments that stand side by side: indices, kNone where only the other run has one.
struct MomentPair {
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  std::size_t nested = kNone;
  std::size_t reference = kNone;

  bool both() const { return nested != kNone && reference != kNone; }
  friend bool operator==(const MomentPair&, const MomentPair&) = default;
};

std::vector<MomentPair> align(const Story& story);

/// A register or a word of a stack that is not the same in both runs.
struct Difference {
  std::string what;  // "rip"; "thread+0x3e58 (event frame: rip)"
  std::uint64_t nested = 0;
  std::uint64_t reference = 0;
  friend bool operator==(const Difference&, const Difference&) = default;
};

/// Registers, RFLAGS (the bits that are compared), selectors, event mask, pending byte; then the words that are live on
/// the stacks of both.
std::vector<Difference> differences(const Guest& guest, const Moment& nested, const Moment& reference);

}  // namespace framefold
