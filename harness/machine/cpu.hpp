// The guest CPU: one Unicorn engine that lives as long as the process, at the ring where a PV kernel runs.
//
// The engine executes guest code and calls back before each instruction in the hooked ranges. The callback may read and
// write registers, redirect RIP, or stop. Nothing here knows Xen.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/guest_address.hpp"
#include "image/registers.hpp"
#include "image/width.hpp"
#include "machine/guest_memory.hpp"

struct uc_struct;
struct uc_context;

namespace framefold {

/// Why the guest could not execute an instruction.
struct GuestFault {
  enum class Kind : std::uint8_t { exception, read, write, fetch };
  Kind kind = Kind::exception;
  std::uint8_t vector = 0;  // exception: its number (SDM Vol. 3, table 6-1)
  GuestAddress rip;         // of the instruction
  GuestAddress address;     // read, write, fetch: what it accessed
  friend bool operator==(const GuestFault&, const GuestFault&) = default;
};

/// Called before an instruction in a hooked range. `self` is what `Cpu::run` was given.
using BoundaryCallback = void (*)(void* self, GuestAddress address);

/// The same in the form that translated code calls without a detour (Unicorn's uc_cb_hookcode_t).
using BoundaryHook = void (*)(uc_struct* engine, std::uint64_t address, std::uint32_t length, void* self);

class Cpu {
 public:
  /// Maps all regions of `memory`, builds Xen's GDT in a region of its own at `gdt` (64 KiB of `memory`, mapped here)
  /// and enters the kernel's ring by an iret. Instructions in `hooked` call back: the callback that `run` is given, or
  /// always `hook` with `self`, where there is one. Throws InternalError.
  Cpu(Width width, GuestMemory& memory, GuestAddress gdt, std::span<const GuestRange> hooked,
      BoundaryHook hook = nullptr, void* self = nullptr);
  ~Cpu();
  Cpu(const Cpu&) = delete;
  Cpu& operator=(const Cpu&) = delete;

  /// Puts every register, hidden state included, back to what it was right after the entry to the kernel's ring.
  void reset();

  /// Runs from `start` until `stop()` or a fault. `callback(self, address)` comes before each hooked instruction.
  /// Returns the fault, if one ended the run. Throws InternalError on what only a defect of Unicorn or framefold
  /// explains.
  std::optional<GuestFault> run(GuestAddress start, BoundaryCallback callback, void* self);
  /// The same for a Cpu with a hook of its own.
  std::optional<GuestFault> run(GuestAddress start);

  /// From a callback: ends the run before the instruction. Registers stay as they are.
  void stop();

  /// General-purpose registers, RIP and RFLAGS. Selectors and bases stay as they are in `registers`.
  void read_general(Registers& registers) const;
  /// General-purpose registers, RFLAGS and selectors, in the least time. RIP and bases stay as they are.
  void read_all(Registers& registers) const;
  /// Selectors.
  void read_segments(Registers& registers) const;
  /// Of FS and GS, on 64-bit.
  void read_bases(Registers& registers) const;
  /// General-purpose registers and RFLAGS, not RIP.
  void write_general(const Registers& registers);
  /// DS, ES, FS and GS, on 64-bit with the bases of the latter two. CS and SS follow from the ring.
  void write_data_segments(const Registers& registers);
  /// Puts a data segment of 4 GiB into the GDT, for the rings that may load `selector`.
  void add_data_segment(std::uint16_t selector, GuestAddress base);

  std::uint64_t read(Gpr gpr) const;
  std::uint16_t read(Segment segment) const;
  std::uint64_t segment_base(Segment segment) const;
  std::uint64_t read_rflags() const;
  void write(Gpr gpr, std::uint64_t value);
  /// From a callback this counts only together with `redirect`: a translated block has decided where its jumps find
  /// the flags. The same holds for those of `write_general`.
  void write_rflags(std::uint64_t value);
  /// From a callback: execution goes on at `rip` instead of the instruction, beginning with the callback for it.
  void redirect(GuestAddress rip);

  Width width() const { return width_; }

 private:
  friend struct CpuHooks;

  void build_gdt(GuestAddress gdt);
  void map_regions();
  void enter_kernel_ring(GuestAddress scratch);
  void forbid_vectors();
  void add_hooks(std::span<const GuestRange> hooked, BoundaryHook hook, void* self);

  Width width_;
  GuestMemory& memory_;
  uc_struct* engine_ = nullptr;
  uc_context* kernel_ring_ = nullptr;  // the state right after the entry to the ring
  BoundaryCallback callback_ = nullptr;
  void* self_ = nullptr;
  std::optional<GuestFault> fault_;
  GuestAddress gdt_;
  bool stopping_ = false;
};

/// Version of the Unicorn that runs, "2.1.1".
std::string unicorn_version();
/// 2.1 or newer.
bool is_unicorn_2_1();

}  // namespace framefold
