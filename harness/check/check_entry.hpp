// Whether a description holds: each vector is delivered once to a plain context, and nothing else arrives. What the
// code then does says whether the description is of this code. It is never a verdict about the code: a description that
// does not hold is the user's error, and its message names the key to look at.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "check/complaint.hpp"
#include "image/image.hpp"

namespace framefold {

/// What held.
struct CheckReport {
  struct Delivery {
    std::string context;  // "upcall, kernel on thread"
    std::string handler;
    std::uint64_t frame = 0;       // address that the handler got
    std::size_t slots = 0;         // of it that showed the context
    std::uint32_t boundaries = 0;  // up to resumption
    std::set<GuestAddress> exit;   // instructions of entry code behind the handler's return
  };
  std::vector<Delivery> deliveries;
  // Instructions of entry code that ran with events unmasked, between an unmask and a return.
  std::vector<GuestAddress> unmasked;
  std::set<GuestAddress> unmasked_on_page;  // and of the hypercall page
  std::set<std::size_t> called;             // rows of `calls`, with an event anywhere besides
  /// A register that holds an exception's error code where its handler may get it, and no line says so.
  std::string error_code_unsaid;  // "edx holds the error code of ... when ... is called"; or empty
  /// A register that a context does not get back, which is the code's, not the description's.
  std::string changed;                // "upcall, kernel on thread resumes with rbx = ..., which was ..."; or empty
  std::set<std::string> zeroed;       // data that the code uses, and nobody has defined or described
  std::uint32_t stack_alignment = 0;  // of the stack at every handler's call, at most 64
  // The first of them at which an event's frame is undone but for the words that Xen pushed: all registers are back.
  std::optional<GuestAddress> restored;
};

/// Throws InputError: "file:line:column: key: what was expected". WrongCode is one of them.
CheckReport check_as_described(const Entry& entry);

/// The same; where the description holds with one other line changed, the message is of that line (see repair.hpp).
/// Mismatch is one of them.
CheckReport check_entry(const Entry& entry);

}  // namespace framefold
