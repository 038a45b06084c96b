// The frame that a handler got, held against the description slot by slot, so that a message can say which line of it
// is wrong and what it should be.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "run/activation.hpp"
#include "run/guest.hpp"

namespace framefold {

struct FrameSeen {
  GuestAddress frame;     // what handler.argument holds
  GuestAddress stack;     // pointer, at the handler's first instruction
  std::size_t slots = 0;  // that show the context
  bool inside = false;    // the frame lies in a stack
  std::string wrong;      // first slot that does not, as the description writes it; empty: all do
  std::string why;
  std::size_t missing = 0;  // slots whose values are nowhere in the frame
  std::string unsaid;  // a register that no slot is described of, as the description would write it, and where it is
  std::uint32_t unsaid_at = 0;
  std::string better;  // a register, or "stack", that holds the address of a frame that shows the context
  std::string usual;   // where C functions get their first argument, if that holds `frame` as well and is not described
  std::optional<std::uint64_t> end_offset;  // where the words that Xen pushed end, from `frame`

  /// Throws InputError that names the line. `context` is for the message, `vector` what was delivered.
  void check(const Entry& entry, const VectorDescription& vector, const std::string& context) const;
};

/// At a handler's first instruction. `given` is what the description's argument holds.
FrameSeen frame_seen(Guest& guest, const Activation& owner, const Registers& registers, std::uint64_t given);

}  // namespace framefold
