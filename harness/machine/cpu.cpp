#include "machine/cpu.hpp"

#include <fmt/format.h>
#include <unicorn/unicorn.h>

#include <algorithm>
#include <array>

#include "machine/internal_error.hpp"
#include "machine/selectors.hpp"

namespace framefold {

namespace {

constexpr std::uint64_t kGdtSize = 0x10000;  // limit 0xffff: Xen's descriptors lie behind the guest's own 14 pages
constexpr std::uint16_t kBootCode = 0x08;    // ring 0, only until the iret to the kernel's ring
constexpr std::uint16_t kBootData = 0x10;

// uc_emu_start wants an address at which to stop. Runs end in the callback instead, so it is one that nothing is mapped
// at. After a run Unicorn drops what it has translated at any other address than this one, and looks its page up for
// it.
constexpr std::uint64_t kNowhere = 0;

constexpr std::array<int, kGprCount> kGprIds64{UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
                                               UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
                                               UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
                                               UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15};
constexpr std::array<int, kGprCount> kGprIds32{UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
                                               UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI};
constexpr std::array<int, kSegmentCount> kSegmentIds{UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS,
                                                     UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS};

int gpr_id(Width width, Gpr gpr) {
  return (width == Width::k64 ? kGprIds64 : kGprIds32)[static_cast<std::size_t>(gpr)];
}
/// General-purpose registers, RFLAGS and selectors, as `read_all` takes them.
template <std::size_t kCount>
constexpr std::array<int, kCount + 1 + kSegmentCount> all_ids(const std::array<int, kGprCount>& gprs) {
  std::array<int, kCount + 1 + kSegmentCount> ids{};
  for (std::size_t i = 0; i < kCount; ++i) ids[i] = gprs[i];
  ids[kCount] = UC_X86_REG_EFLAGS;
  for (std::size_t i = 0; i < kSegmentCount; ++i) ids[kCount + 1 + i] = kSegmentIds[i];
  return ids;
}
constexpr auto kAllIds64 = all_ids<gpr_count(Width::k64)>(kGprIds64);
constexpr auto kAllIds32 = all_ids<gpr_count(Width::k32)>(kGprIds32);

template <std::size_t kCount>
void read_at_once(uc_engine* engine, const std::array<int, kCount>& ids, Registers& registers) {
  constexpr std::size_t kGprs = kCount - 1 - kSegmentCount;
  std::array<void*, kCount> values{};
  for (std::size_t i = 0; i < kGprs; ++i) values[i] = &registers.gpr[i];
  values[kGprs] = &registers.rflags;
  for (std::size_t i = 0; i < kSegmentCount; ++i) values[kGprs + 1 + i] = &registers.segment[i];
  uc_reg_read_batch(engine, const_cast<int*>(ids.data()), values.data(), static_cast<int>(kCount));
}

/// General-purpose registers, the instruction pointer and RFLAGS, as `read_general` takes them.
template <std::size_t kCount>
constexpr std::array<int, kCount + 2> general_ids(const std::array<int, kGprCount>& gprs, int rip) {
  std::array<int, kCount + 2> ids{};
  for (std::size_t i = 0; i < kCount; ++i) ids[i] = gprs[i];
  ids[kCount] = rip;
  ids[kCount + 1] = UC_X86_REG_EFLAGS;
  return ids;
}
constexpr auto kGeneralIds64 = general_ids<gpr_count(Width::k64)>(kGprIds64, UC_X86_REG_RIP);
constexpr auto kGeneralIds32 = general_ids<gpr_count(Width::k32)>(kGprIds32, UC_X86_REG_EIP);

template <std::size_t kCount>
void read_general_at_once(uc_engine* engine, const std::array<int, kCount>& ids, Registers& registers) {
  std::array<void*, kCount> values;  // NOLINT(*-member-init): all of it is set
  for (std::size_t i = 0; i < kCount - 2; ++i) values[i] = &registers.gpr[i];
  values[kCount - 2] = &registers.rip;
  values[kCount - 1] = &registers.rflags;
  uc_reg_read_batch(engine, const_cast<int*>(ids.data()), values.data(), static_cast<int>(kCount));
}

int rip_id(Width width) { return width == Width::k64 ? UC_X86_REG_RIP : UC_X86_REG_EIP; }

void check(uc_err error, const char* what) {
  if (error != UC_ERR_OK) {
    throw InternalError(fmt::format("Unicorn: {}: {}", what, uc_strerror(error)));
  }
}

/// A flat segment descriptor (SDM Vol. 3, figure 3-8): present, 4 GiB, accessed.
std::uint64_t flat_descriptor(bool code, unsigned ring, bool long_mode) {
  const std::uint64_t type = code ? 0xb : 0x3;
  const std::uint64_t access = 0x90 | (ring << 5) | type;
  const std::uint64_t flags = 0x8 | (long_mode ? 0x2 : 0x4);
  return 0xffff | (access << 40) | (std::uint64_t{0xf} << 48) | (flags << 52);
}

}  // namespace

/// The C callbacks that Unicorn calls, with access to the Cpu's state.
struct CpuHooks {
  static void boundary(uc_engine*, std::uint64_t address, std::uint32_t, void* user) {
    auto* cpu = static_cast<Cpu*>(user);
    cpu->callback_(cpu->self_, GuestAddress{address});
  }

  static void interrupt(uc_engine* engine, std::uint32_t number, void* user) {
    auto* cpu = static_cast<Cpu*>(user);
    std::uint64_t rip = 0;
    uc_reg_read(engine, rip_id(cpu->width_), &rip);
    cpu->fault_ = GuestFault{GuestFault::Kind::exception, static_cast<std::uint8_t>(number), {rip}, {}};
    uc_emu_stop(engine);
  }

  /// With IOPL 0 and no I/O bitmap they trap in the guest's ring (SDM Vol. 1, section 19.5); the engine would do them.
  static void trap_general_protection(uc_engine* engine, void* user) {
    constexpr std::uint32_t kGeneralProtection = 13;
    interrupt(engine, kGeneralProtection, user);
  }
  static std::uint32_t port_read(uc_engine* engine, std::uint32_t, int, void* user) {
    trap_general_protection(engine, user);
    return 0;
  }
  static void port_write(uc_engine* engine, std::uint32_t, int, std::uint32_t, void* user) {
    trap_general_protection(engine, user);
  }

  static bool invalid_instruction(uc_engine* engine, void* user) {
    constexpr std::uint32_t kInvalidOpcode = 6;
    interrupt(engine, kInvalidOpcode, user);
    return false;
  }

  static bool invalid_access(uc_engine* engine, uc_mem_type type, std::uint64_t address, int, std::int64_t,
                             void* user) {
    auto* cpu = static_cast<Cpu*>(user);
    std::uint64_t rip = 0;
    uc_reg_read(engine, rip_id(cpu->width_), &rip);
    GuestFault::Kind kind = GuestFault::Kind::read;
    if (type == UC_MEM_WRITE_UNMAPPED || type == UC_MEM_WRITE_PROT) {
      kind = GuestFault::Kind::write;
    } else if (type == UC_MEM_FETCH_UNMAPPED || type == UC_MEM_FETCH_PROT) {
      kind = GuestFault::Kind::fetch;
    }
    cpu->fault_ = GuestFault{kind, 0, {rip}, {address}};
    return false;
  }
};

Cpu::Cpu(Width width, GuestMemory& memory, GuestAddress gdt, std::span<const GuestRange> hooked, BoundaryHook hook,
         void* self)
    : width_(width), memory_(memory) {
  check(uc_open(UC_ARCH_X86, width == Width::k64 ? UC_MODE_64 : UC_MODE_32, &engine_), "uc_open");
  build_gdt(gdt);
  map_regions();
  uc_x86_mmr gdtr{0, gdt.value, kGdtSize - 1, 0};
  check(uc_reg_write(engine_, UC_X86_REG_GDTR, &gdtr), "GDTR");
  enter_kernel_ring(gdt + kGdtSize);
  add_hooks(hooked, hook, self);
}

Cpu::~Cpu() {
  uc_context_free(kernel_ring_);
  uc_close(engine_);
}

void Cpu::build_gdt(GuestAddress gdt) {
  gdt_ = gdt;
  std::uint8_t* table = memory_.find(gdt, kGdtSize);
  if (table == nullptr) {
    table = memory_.map(gdt, kGdtSize, Access::read_only);
    memory_.map(gdt + kGdtSize, GuestMemory::kPageSize, Access::read_execute);  // code of the iret to the ring
    memory_.map(gdt + kGdtSize + GuestMemory::kPageSize, GuestMemory::kPageSize, Access::read_write);  // and its stack
  }
  const auto put = [table](std::uint16_t selector, std::uint64_t descriptor) {
    store_word(table + (selector & ~7U), descriptor, sizeof descriptor);
  };
  const bool long_mode = width_ == Width::k64;
  const Selectors& selectors = selectors_of(width_);
  put(kBootCode, flat_descriptor(true, 0, long_mode));
  put(kBootData, flat_descriptor(false, 0, false));
  put(selectors.kernel_code, flat_descriptor(true, selectors.kernel_ring, long_mode));
  put(selectors.kernel_stack, flat_descriptor(false, selectors.kernel_ring, false));
  if (!long_mode) {  // on 64-bit user and kernel share them
    put(selectors.user_code, flat_descriptor(true, 3, false));
    put(selectors.user_stack, flat_descriptor(false, 3, false));
  }
}

void Cpu::map_regions() {
  for (const MemoryRegion& region : memory_.regions()) {
    std::uint32_t protection = UC_PROT_READ;
    if (region.access == Access::read_write) {
      protection |= UC_PROT_WRITE;
    } else if (region.access == Access::read_execute) {
      protection |= UC_PROT_EXEC;
    }
    check(uc_mem_map_ptr(engine_, region.range.begin.value, region.range.size(), protection, region.host),
          "uc_mem_map_ptr");
  }
}

void Cpu::enter_kernel_ring(GuestAddress scratch) {
  const unsigned word = word_size(width_);
  const Selectors& selectors = selectors_of(width_);
  const GuestAddress frame = scratch + GuestMemory::kPageSize + 256;
  std::uint8_t* code = memory_.find(scratch, 4);
  constexpr std::uint8_t kIret = 0xcf;
  constexpr std::uint8_t kRexW = 0x48;
  std::size_t at = 0;
  if (width_ == Width::k64) {
    code[at++] = kRexW;
  }
  code[at++] = kIret;
  code[at] = 0x90;
  const std::array<std::uint64_t, 5> words{scratch.value + at, selectors.kernel_code, 0x202, frame.value,
                                           selectors.kernel_stack};
  for (std::size_t i = 0; i < words.size(); ++i) {
    store_word(memory_.find(frame + i * word, word), words[i], word);
  }
  if (width_ == Width::k32) {
    std::uint64_t selector = kBootCode;
    check(uc_reg_write(engine_, UC_X86_REG_CS, &selector), "CS");
    selector = kBootData;
    check(uc_reg_write(engine_, UC_X86_REG_SS, &selector), "SS");
  }
  write(Gpr::rsp, frame.value);
  // Once in the engine's life it may reach the address where it stops.
  check(uc_emu_start(engine_, scratch.value, scratch.value + at, 0, 0), "the iret to the kernel's ring");
  std::uint64_t rip = 0;
  check(uc_reg_read(engine_, rip_id(width_), &rip), "RIP");
  if (rip != scratch.value + at || (read(Segment::cs) & 3) != selectors.kernel_ring) {
    throw InternalError("Unicorn: the iret to the kernel's ring did not arrive there");
  }
  forbid_vectors();
  check(uc_context_alloc(engine_, &kernel_ring_), "uc_context_alloc");
  check(uc_context_save(engine_, kernel_ring_), "uc_context_save");
}

/// CR0.TS: whatever reads or writes x87, MMX or SSE state raises #NM (SDM Vol. 3, section 2.5), as it does in a PV
/// guest whose task has not used it yet (HYPERVISOR_fpu_taskswitch). So no run depends on state that none of them
/// follows.
void Cpu::forbid_vectors() {
  constexpr std::uint64_t kTaskSwitched = 1U << 3;
  std::uint64_t cr0 = 0;
  check(uc_reg_read(engine_, UC_X86_REG_CR0, &cr0), "CR0");
  cr0 |= kTaskSwitched;
  check(uc_reg_write(engine_, UC_X86_REG_CR0, &cr0), "CR0");
}

void Cpu::add_hooks(std::span<const GuestRange> hooked, BoundaryHook hook, void* self) {
  uc_hook handle{};
  const auto add = [&](int type, auto* function, void* user, std::uint64_t begin, std::uint64_t end, auto... more) {
    // Unicorn's API takes every callback as a void pointer.
    check(uc_hook_add(engine_, &handle, type, reinterpret_cast<void*>(function), user, begin, end, more...),
          "uc_hook_add");
  };
  for (const GuestRange& range : hooked) {
    add(UC_HOOK_CODE, hook != nullptr ? hook : &CpuHooks::boundary, hook != nullptr ? self : this, range.begin.value,
        range.end.value - 1);
  }
  add(UC_HOOK_INTR, &CpuHooks::interrupt, this, 1, 0);
  add(UC_HOOK_INSN, &CpuHooks::port_read, this, 1, 0, UC_X86_INS_IN);
  add(UC_HOOK_INSN, &CpuHooks::port_write, this, 1, 0, UC_X86_INS_OUT);
  add(UC_HOOK_INSN, &CpuHooks::trap_general_protection, this, 1, 0, UC_X86_INS_SYSENTER);
  add(UC_HOOK_INSN_INVALID, &CpuHooks::invalid_instruction, this, 1, 0);
  add(UC_HOOK_MEM_INVALID, &CpuHooks::invalid_access, this, 1, 0);
}

void Cpu::reset() { check(uc_context_restore(engine_, kernel_ring_), "uc_context_restore"); }

std::optional<GuestFault> Cpu::run(GuestAddress start, BoundaryCallback callback, void* self) {
  callback_ = callback;
  self_ = self;
  return run(start);
}

std::optional<GuestFault> Cpu::run(GuestAddress start) {
  fault_.reset();
  stopping_ = false;
  const uc_err error = uc_emu_start(engine_, start.value, kNowhere, 0, 0);
  if (error != UC_ERR_OK && !fault_) {
    throw InternalError(fmt::format("Unicorn: uc_emu_start: {}", uc_strerror(error)));
  }
  if (!fault_ && !stopping_) {  // the guest got there: for it nothing is there to execute
    fault_ = GuestFault{GuestFault::Kind::fetch, 0, {kNowhere}, {kNowhere}};
  }
  return fault_;
}

void Cpu::stop() {
  stopping_ = true;
  uc_emu_stop(engine_);
}

void Cpu::read_general(Registers& registers) const {
  if (width_ == Width::k64) {
    read_general_at_once(engine_, kGeneralIds64, registers);
  } else {
    read_general_at_once(engine_, kGeneralIds32, registers);
  }
}

void Cpu::read_all(Registers& registers) const {
  if (width_ == Width::k64) {
    read_at_once(engine_, kAllIds64, registers);
  } else {
    read_at_once(engine_, kAllIds32, registers);
  }
}

void Cpu::read_segments(Registers& registers) const {
  for (std::size_t i = 0; i < kSegmentCount; ++i) {
    uc_reg_read(engine_, kSegmentIds[i], &registers.segment[i]);
  }
}

void Cpu::read_bases(Registers& registers) const {
  registers.fs_base = segment_base(Segment::fs);
  registers.gs_base = segment_base(Segment::gs);
}

void Cpu::write_general(const Registers& registers) {
  const std::size_t count = gpr_count(width_);
  std::array<int, kGprCount + 1> ids{};
  std::array<void*, kGprCount + 1> values{};
  for (std::size_t i = 0; i < count; ++i) {
    ids[i] = gpr_id(width_, static_cast<Gpr>(i));
    values[i] = const_cast<std::uint64_t*>(&registers.gpr[i]);  // the API takes void* for what it only reads
  }
  ids[count] = UC_X86_REG_EFLAGS;
  values[count] = const_cast<std::uint64_t*>(&registers.rflags);
  uc_reg_write_batch(engine_, ids.data(), values.data(), static_cast<int>(count + 1));
}

void Cpu::write_data_segments(const Registers& registers) {
  for (const Segment segment : {Segment::ds, Segment::es, Segment::fs, Segment::gs}) {
    std::uint64_t selector = registers[segment];
    uc_reg_write(engine_, kSegmentIds[static_cast<std::size_t>(segment)], &selector);
  }
  if (width_ == Width::k64) {
    uc_reg_write(engine_, UC_X86_REG_FS_BASE, &registers.fs_base);
    uc_reg_write(engine_, UC_X86_REG_GS_BASE, &registers.gs_base);
  }
}

/// SDM Vol. 3, figure 3-8: the base is in bytes 2 to 4, and 7. Xen raises a guest's DPL to the ring of its kernel
/// (pv/descriptor-tables.c:check_descriptor).
void Cpu::add_data_segment(std::uint16_t selector, GuestAddress base) {
  constexpr unsigned kKernelRing = 1;
  const unsigned ring = std::max<unsigned>(selector & 3, kKernelRing);
  const std::uint64_t low = base.value & 0xffffff;
  const std::uint64_t high = base.value >> 24 & 0xff;
  const std::uint64_t descriptor = flat_descriptor(false, ring, false) | low << 16 | high << 56;
  store_word(memory_.find(gdt_ + (selector & ~7U), sizeof descriptor), descriptor, sizeof descriptor);
}

std::uint64_t Cpu::read(Gpr gpr) const {
  std::uint64_t value = 0;
  uc_reg_read(engine_, gpr_id(width_, gpr), &value);
  return value;
}

std::uint16_t Cpu::read(Segment segment) const {
  std::uint16_t selector = 0;
  uc_reg_read(engine_, kSegmentIds[static_cast<std::size_t>(segment)], &selector);
  return selector;
}

std::uint64_t Cpu::segment_base(Segment segment) const {
  std::uint64_t base = 0;
  if (segment == Segment::gs) {
    uc_reg_read(engine_, UC_X86_REG_GS_BASE, &base);
  } else if (segment == Segment::fs) {
    uc_reg_read(engine_, UC_X86_REG_FS_BASE, &base);
  }
  return base;
}

std::uint64_t Cpu::read_rflags() const {
  std::uint64_t value = 0;
  uc_reg_read(engine_, UC_X86_REG_EFLAGS, &value);
  return value;
}

void Cpu::write(Gpr gpr, std::uint64_t value) { uc_reg_write(engine_, gpr_id(width_, gpr), &value); }

void Cpu::write_rflags(std::uint64_t value) { uc_reg_write(engine_, UC_X86_REG_EFLAGS, &value); }

void Cpu::redirect(GuestAddress rip) {
  std::uint64_t value = rip.value;
  uc_reg_write(engine_, rip_id(width_), &value);
}

std::string unicorn_version() {
  const unsigned version = uc_version(nullptr, nullptr);
  return fmt::format("{}.{}.{}", version >> 24, (version >> 16) & 0xff, (version >> 8) & 0xff);
}

bool is_unicorn_2_1() { return uc_version(nullptr, nullptr) >> 16 >= 0x201; }

}  // namespace framefold
