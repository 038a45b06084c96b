// What a run reports to whoever wants to tell its story. The fuzz path has no sink.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image/guest_address.hpp"
#include "image/registers.hpp"

namespace framefold {

struct Vector;
struct ViolationDetail;

/// A slot that does not show what was interrupted. Selectors and flags are those bits of them that are compared.
struct WrongSlot {
  std::uint32_t offset = 0;
  std::uint64_t expected = 0;
  std::uint64_t found = 0;
};

struct WrongFrame {
  std::size_t owner = 0;         // index among the live activations: whose frame it should be
  std::vector<WrongSlot> slots;  // none: it does not lie inside a stack
};

struct TraceEvent {
  enum class Kind : std::uint8_t {
    boundary,  // before an instruction
    arrival,   // value: index of the arrival
    delivery,  // vector is what was entered; address is the boundary, value the frame's base
    handler,   // a handler is entered; value: the frame's address
    fold,      // the event's frame was that of the activation below
    returned,  // a return completed; address is the instruction, value the target
    window_open,
    window_closed,
    hypercall,  // value: its number
    resumption,
    violation,    // value: its kind
    wrong_frame,  // what the handler just entered got is not the frame of `owner`
  };
  Kind kind = Kind::boundary;
  GuestAddress address;
  std::uint64_t value = 0;
  const Vector* vector = nullptr;
  std::uint32_t step = 0;  // boundaries executed before
  std::uint8_t depth = 0;  // live activations
  std::uint8_t mask = 0;
  std::uint8_t pending = 0;
  std::uint8_t async_exception_mask = 0;  // of Xen's vCPU: NMIs
  std::uint32_t work_flag = 0;            // the entry's word; 0 where it has none
  std::uint64_t stack_pointer = 0;
  bool reference = false;
  const WrongFrame* wrong = nullptr;        // of wrong_frame
  const ViolationDetail* detail = nullptr;  // of violation
  const Registers* registers = nullptr;  // while Xen or the model is in control; nullptr: the engine's are the guest's
};

class TraceSink {
 public:
  virtual ~TraceSink() = default;
  virtual void record(const TraceEvent& event) = 0;
};

}  // namespace framefold
