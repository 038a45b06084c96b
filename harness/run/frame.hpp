// The frame that a handler gets, held against a machine state.
#pragma once

#include <cstdint>
#include <vector>

#include "image/image.hpp"
#include "machine/guest_memory.hpp"
#include "run/activation.hpp"
#include "run/trace.hpp"
#include "run/violation.hpp"

namespace framefold {

/// One slot as it is compared: prepared once per entry.
struct FrameField {
  enum class Kind : std::uint8_t { gpr, rip, cs, rflags, rsp, ss, segment };
  Kind kind = Kind::gpr;
  std::uint32_t offset = 0;
  Gpr gpr = Gpr::rax;
  Segment segment = Segment::ds;
  std::string_view name;   // lives as long as the entry
  bool user_only = false;  // 32-bit: Xen pushes it only for user mode
};

class FrameLayout {
 public:
  explicit FrameLayout(const Entry& entry);

  /// Whether the frame at `host` shows the state that `activation` interrupted; where not, `difference` says what is
  /// wrong first.
  bool matches(const std::uint8_t* host, const Activation& activation, ViolationDetail& difference) const;

  /// All that is wrong, for a report: it allocates.
  std::vector<WrongSlot> wrong_slots(const std::uint8_t* host, const Activation& activation) const;

  /// Bytes that a frame of an activation has: without the words that Xen pushes only for user mode where it was kernel
  /// mode.
  std::uint32_t size_for(const Activation& activation) const;

  std::uint64_t read(const std::uint8_t* host, std::uint32_t offset) const { return load_word(host + offset, word_); }
  void write(std::uint8_t* host, std::uint32_t offset, std::uint64_t value) const {
    store_word(host + offset, value, word_);
  }
  std::uint32_t rip_offset() const { return rip_; }
  std::uint32_t rflags_offset() const { return rflags_; }
  /// Offset of RAX; nothing where the frame does not save it.
  std::optional<std::uint32_t> rax_offset() const { return rax_; }

 private:
  bool general_registers_match(const std::uint8_t* host, const Registers& state) const;
  bool match(const std::vector<FrameField>& fields, const std::uint8_t* host, const Activation& activation,
             ViolationDetail& difference) const;
  bool shows(const FrameField& field, const std::uint8_t* host, const Activation& activation, WrongSlot& wrong) const;

  Width width_;
  unsigned word_;
  std::vector<FrameField> fields_;
  std::vector<FrameField> general_;  // those that hold a general-purpose register, RSP of the interrupted state aside
  std::vector<FrameField> others_;
  std::uint32_t size_;
  std::uint32_t kernel_size_;
  std::uint32_t rip_ = 0;
  std::uint32_t rflags_ = 0;
  std::optional<std::uint32_t> rax_;
};

/// RFLAGS bits that are compared, IF aside: kContextFlags.
bool same_flags(std::uint64_t a, std::uint64_t b);

}  // namespace framefold
