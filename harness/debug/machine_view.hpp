// The guest as a debugger sees it: registers in GDB's order, memory by address; and what the debugger wrote, so that a
// run that is repeated meets the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "run/guest.hpp"

namespace framefold {

/// Something that the debugger wrote when the run stood at a boundary.
struct GuestEdit {
  std::uint32_t position = 0;  // boundaries executed before and with it
  std::optional<unsigned> register_number;
  GuestAddress address;
  std::uint64_t value = 0;
  std::string bytes;
};

class MachineView {
 public:
  explicit MachineView(Guest& guest) : guest_(guest), wide_(guest.entry().width() == Width::k64) {}

  /// GDB's numbers (amd64-linux and i386-linux without a description): the general-purpose registers in its own order,
  /// RIP, RFLAGS, CS SS DS ES FS GS.
  unsigned register_count() const { return (wide_ ? 16U : 8U) + 8U; }
  unsigned register_size(unsigned number) const;
  std::string_view name(unsigned number) const;
  std::uint64_t read(const Registers& registers, unsigned number) const;

  /// True where the run has to be redirected: RIP, or the flags of a translated block (Cpu::write_rflags).
  bool write(unsigned number, std::uint64_t value, Registers& registers);
  /// CS and SS follow from the ring. The other selectors can be those of the guest's flat data segments, the user's
  /// with any RPL, or 0; on 64-bit FS and GS cannot be written, since their bases would go with them.
  bool writable(unsigned number, std::uint64_t value) const;
  bool is_selector(unsigned number) const { return number > rip_number() + 1; }

  /// As many of the bytes as there are.
  std::string read(GuestAddress address, std::size_t size) const;
  bool write(GuestAddress address, const std::string& bytes);

  /// The guest's registers at a boundary, from the engine.
  Registers registers_at(GuestAddress address) const;

 private:
  std::optional<Gpr> gpr_of(unsigned number) const;
  Segment segment_of(unsigned number) const;
  unsigned rip_number() const { return wide_ ? 16 : 8; }

  Guest& guest_;
  bool wide_;
};

}  // namespace framefold
