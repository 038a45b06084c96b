#include "debug/machine_view.hpp"

#include <array>

#include "machine/selectors.hpp"

namespace framefold {

namespace {

// gdb/features/i386/64bit-core.xml and 32bit-core.xml.
constexpr std::array<Gpr, 16> kOrder64 = {Gpr::rax, Gpr::rbx, Gpr::rcx, Gpr::rdx, Gpr::rsi, Gpr::rdi,
                                          Gpr::rbp, Gpr::rsp, Gpr::r8,  Gpr::r9,  Gpr::r10, Gpr::r11,
                                          Gpr::r12, Gpr::r13, Gpr::r14, Gpr::r15};
constexpr std::array<Gpr, 8> kOrder32 = {Gpr::rax, Gpr::rcx, Gpr::rdx, Gpr::rbx,
                                         Gpr::rsp, Gpr::rbp, Gpr::rsi, Gpr::rdi};
constexpr std::array<Segment, kSegmentCount> kSegments = {Segment::cs, Segment::ss, Segment::ds,
                                                          Segment::es, Segment::fs, Segment::gs};

}  // namespace

std::optional<Gpr> MachineView::gpr_of(unsigned number) const {
  if (number >= rip_number()) {
    return std::nullopt;
  }
  return wide_ ? kOrder64[number] : kOrder32[number];
}

Segment MachineView::segment_of(unsigned number) const { return kSegments[number - rip_number() - 2]; }

unsigned MachineView::register_size(unsigned number) const { return wide_ && number <= rip_number() ? 8 : 4; }

std::string_view MachineView::name(unsigned number) const {
  if (const std::optional<Gpr> gpr = gpr_of(number)) {
    return name_of(*gpr, wide_ ? Width::k64 : Width::k32);
  }
  if (is_selector(number)) {
    return name_of(segment_of(number));
  }
  return number == rip_number() ? wide_ ? "rip" : "eip" : wide_ ? "rflags" : "eflags";
}

std::uint64_t MachineView::read(const Registers& registers, unsigned number) const {
  if (const std::optional<Gpr> gpr = gpr_of(number)) {
    return registers[*gpr];
  }
  if (number == rip_number()) {
    return registers.rip;
  }
  return number == rip_number() + 1 ? registers.rflags : registers[segment_of(number)];
}

bool MachineView::writable(unsigned number, std::uint64_t value) const {
  if (!is_selector(number)) {
    return true;
  }
  const Segment segment = segment_of(number);
  if (segment == Segment::cs || segment == Segment::ss ||
      (wide_ && (segment == Segment::fs || segment == Segment::gs))) {
    return false;
  }
  const Selectors& selectors = selectors_of(guest_.entry().width());
  const bool users = value <= 0xffff && with_rpl(static_cast<std::uint16_t>(value), 3) == selectors.user_data;
  return value == 0 || value == selectors.kernel_data || users;
}

bool MachineView::write(unsigned number, std::uint64_t value, Registers& registers) {
  Cpu& cpu = guest_.cpu();
  if (is_selector(number)) {
    registers[segment_of(number)] = static_cast<std::uint16_t>(value);
    if (wide_) {
      cpu.read_bases(registers);
    }
    cpu.write_data_segments(registers);
    return false;
  }
  if (const std::optional<Gpr> gpr = gpr_of(number)) {
    registers[*gpr] = value;
    cpu.write(*gpr, value);
    return false;
  }
  if (number == rip_number()) {
    registers.rip = value;
  } else {
    registers.rflags = value;
    cpu.write_rflags(value);
  }
  cpu.redirect({registers.rip});
  return true;
}

std::string MachineView::read(GuestAddress address, std::size_t size) const {
  std::string bytes;
  for (; bytes.size() < size; address = address + 1) {
    const std::uint8_t* host = guest_.memory().find(address, 1);
    if (host == nullptr) {
      break;
    }
    bytes += static_cast<char>(*host);
  }
  return bytes;
}

bool MachineView::write(GuestAddress address, const std::string& bytes) {
  std::uint8_t* host = guest_.memory().find_writable(address, bytes.size());
  if (host == nullptr) {
    return false;
  }
  guest_.note_store(address, bytes.size());
  std::copy(bytes.begin(), bytes.end(), host);
  return true;
}

Registers MachineView::registers_at(GuestAddress address) const {
  Registers registers;
  guest_.cpu().read_general(registers);
  guest_.cpu().read_segments(registers);
  registers.rip = address.value;
  return registers;
}

}  // namespace framefold
