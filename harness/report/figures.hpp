// What an entry costs, measured: the size of its code, and what an upcall takes of instructions and of stack.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "run/oracle.hpp"

namespace framefold {

/// Upcalls that are measured: one alone, with one more event while it is served, with two.
inline constexpr std::size_t kNestingDepths = 3;

/// What an upcall costs in one kind of context.
struct UpcallFigures {
  std::string_view context;  // what it interrupts: "thread", "interrupt" (the stack of a kernel context), "user"
  /// Of entry code and hypercall page, from the delivery of one event to the resumption of the context; the handler's
  /// are not counted.
  std::uint32_t instructions = 0;
  /// Bytes in use at most, with up to so many more events: from where the stack pointer was (of a user context: from
  /// kernel_sp; of the interrupt stack: from its top) down to the lowest stack pointer at any boundary, the stacks
  /// added up. Each further event comes at each boundary in turn. What handlers use themselves is not counted.
  std::array<std::uint64_t, kNestingDepths> stack{};
};

struct EntryFigures {
  std::string_view family;       // "byte table", "single register", "iret hypercall", "nests"
  std::uint64_t code_bytes = 0;  // of the entry's functions, the modelled handlers left out
  std::uint64_t region_bytes = 0;
  std::uint64_t table_bytes = 0;
  std::vector<UpcallFigures> upcalls;

  /// Of all contexts.
  std::uint64_t worst_stack(std::size_t more_events) const;
};

EntryFigures measure_entry(Oracle& oracle);

}  // namespace framefold
