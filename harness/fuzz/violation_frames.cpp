#include "fuzz/violation_frames.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

// One line a kind: the compiler holds the list complete (below).
#define FRAMEFOLD_EACH_KIND(X) \
  X(register_mismatch)         \
  X(flags_mismatch)            \
  X(mask_mismatch)             \
  X(early_delivery)            \
  X(nmi_masked)                \
  X(lost_event)                \
  X(critical_frame)            \
  X(handler_frame)             \
  X(handler_abi)               \
  X(unbounded_nesting)         \
  X(stack_smash)               \
  X(entry_data)                \
  X(work_missed)               \
  X(guest_fault)               \
  X(domain_crash)              \
  X(runaway)

namespace {

using framefold::ViolationKind;

/// Stored to by each function below, so that no two have the same body: compilers and linkers fold those into one. The
/// store behind each call makes it no tail call, and puts the return address inside the caller: behind the call of a
/// function that does not return it would be the next function's, whose name some stack printers then give.
volatile int last_words;

/// Through a pointer that the compiler cannot follow, so that it does not know that this does not return.
void (*volatile end_process)() = std::abort;

}  // namespace

#define FRAMEFOLD_FRAMES(kind)                                               \
  extern "C" [[gnu::noinline, gnu::used]] void framefold_violation_##kind(); \
  extern "C" [[gnu::noinline, gnu::used]] void framefold_found_##kind();     \
  void framefold_violation_##kind() {                                        \
    last_words = static_cast<int>(ViolationKind::kind);                      \
    end_process();                                                           \
    last_words = 0;                                                          \
  }                                                                          \
  void framefold_found_##kind() {                                            \
    last_words = -static_cast<int>(ViolationKind::kind);                     \
    framefold_violation_##kind();                                            \
    last_words = 0;                                                          \
  }
FRAMEFOLD_EACH_KIND(FRAMEFOLD_FRAMES)
#undef FRAMEFOLD_FRAMES

extern "C" [[gnu::noinline, gnu::used]] void framefold_internal_error();
void framefold_internal_error() {
  last_words = static_cast<int>(framefold::kViolationKindCount);
  end_process();
  last_words = 0;
}

namespace framefold {

namespace {

struct Frame {
  ViolationKind kind;
  void (*abort)();
};

#define FRAMEFOLD_ROW(kind) Frame{ViolationKind::kind, framefold_found_##kind},
constexpr std::array kFrames = {FRAMEFOLD_EACH_KIND(FRAMEFOLD_ROW)};
#undef FRAMEFOLD_ROW

constexpr bool complete() {
  for (std::size_t i = 0; i < kFrames.size(); ++i) {
    if (static_cast<std::size_t>(kFrames[i].kind) != i) {
      return false;
    }
  }
  return kFrames.size() == kViolationKindCount;
}
static_assert(complete(), "FRAMEFOLD_EACH_KIND lists the kinds of violation.hpp in their order");

}  // namespace

void abort_for(ViolationKind kind) {
  kFrames[static_cast<std::size_t>(kind)].abort();
  std::abort();  // not reached
}

void abort_for_internal_error() {
  framefold_internal_error();
  std::abort();  // not reached
}

}  // namespace framefold
