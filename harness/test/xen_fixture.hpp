// A guest for the tests of the vCPU model: registers, a little memory, a shared page; no engine. Frames are compared
// with bytes written down by hand, lowest address first.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "xen/vcpu.hpp"

namespace framefold::test {

using Bytes = std::vector<std::uint8_t>;

/// "30 e0 00" as bytes; blanks count for nothing.
inline Bytes hex(std::string_view text) {
  Bytes bytes;
  int high = -1;
  for (const char c : text) {
    if (c == ' ') continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<std::uint8_t>(high << 4 | digit));
      high = -1;
    }
  }
  return bytes;
}

inline constexpr std::uint8_t kUntouched = 0xa5;  // what the memory of a test is filled with

inline constexpr std::uint64_t kEventCallback = 0x7000;
inline constexpr std::uint64_t kNmiCallback = 0x7100;
inline constexpr std::uint64_t kExceptionHandler = 0x7200;

inline Vector event_vector() {
  Vector vector;
  vector.description = {
      .key = {}, .name = "event", .kind = DeliveryKind::event, .symbol = {}, .masks_events = true, .handler = {}};
  vector.address = {kEventCallback};
  return vector;
}
inline Vector nmi_vector() {
  Vector vector;
  vector.description = {.key = {},
                        .name = "nmi",
                        .kind = DeliveryKind::nmi,
                        .number = 2,
                        .symbol = {},
                        .masks_events = true,
                        .handler = {}};
  vector.address = {kNmiCallback};
  return vector;
}
inline Vector exception_vector(std::uint8_t number, bool error_code, bool masks_events = false) {
  Vector vector;
  vector.description = {.key = {},
                        .name = "exception",
                        .kind = DeliveryKind::exception,
                        .number = number,
                        .symbol = {},
                        .error_code = error_code,
                        .masks_events = masks_events,
                        .handler = {}};
  vector.address = {kExceptionHandler};
  return vector;
}

class XenGuest {
 public:
  explicit XenGuest(Width guest_width) : width(guest_width), shared(page.data(), page.data(), abi_of(guest_width)) {
    for (const GuestAddress region : {GuestAddress{0}, GuestAddress{0x8000}}) {
      std::memset(memory.map(region, 0x2000, Access::read_write), kUntouched, 0x2000);
    }
  }
  XenGuest(const XenGuest&) = delete;

  /// One delivery, and the exit to the guest.
  bool deliver_and_exit(const Vector& vector, std::uint32_t error_code = 0) {
    Delivery delivery{&vector, error_code};
    const bool delivered = deliver(vcpu, registers, memory, shared, delivery);
    pushed_error_code = delivery.error_code;
    exit_to_guest(vcpu, registers);
    return delivered;
  }

  /// All that test_all_events does from here, and the exit to the guest. How many deliveries.
  unsigned give_control(std::optional<PendingException> exception = std::nullopt) {
    unsigned count = 0;
    while (auto delivery = next_delivery(vcpu, shared, exception, event, with_nmi ? &nmi : nullptr)) {
      EXPECT_TRUE(deliver(vcpu, registers, memory, shared, *delivery));
      ++count;
    }
    exit_to_guest(vcpu, registers);
    return count;
  }

  HypercallEnd call() { return hypercall(vcpu, registers, memory, shared, raised); }

  Bytes at(std::uint64_t address, std::size_t size) const {
    const std::uint8_t* host = memory.find({address}, size);
    return host == nullptr ? Bytes{} : Bytes(host, host + size);
  }
  void put(std::uint64_t address, const Bytes& bytes) {
    std::memcpy(memory.find({address}, bytes.size()), bytes.data(), bytes.size());
  }
  void set_upcall(std::uint8_t mask, std::uint8_t pending) {
    shared.upcall_mask() = mask;
    shared.upcall_pending() = pending;
  }

  Width width;
  GuestMemory memory;
  std::array<std::uint8_t, 4096> page{};
  SharedInfo shared;
  Vcpu vcpu;
  Registers registers;
  Vector event = event_vector();
  Vector nmi = nmi_vector();
  bool with_nmi = true;
  std::uint32_t pushed_error_code = 0;
  Raise raised = Raise::nothing;
};

/// 64-bit: the context of section 1.10 of the semantics.
class Xen64 : public ::testing::Test {
 public:
  Xen64() {
    Registers& r = guest.registers;
    r[Gpr::rax] = 0x0a0a0a0a0a0a0a0a;
    r[Gpr::rcx] = 0xc1c2c3c4c5c6c7c8;
    r[Gpr::r11] = 0xb1b2b3b4b5b6b7b8;
    r[Gpr::rsp] = 0x1008;
    r.rip = 0x112233445566;
    r.rflags = 0x246;
    r[Segment::cs] = 0xe033;
    r[Segment::ss] = 0xe02b;
    r.gs_base = 0x6000;
    guest.vcpu.kernel_sp = 0x9008;
    guest.vcpu.kernel_gs_base = 0x6000;
    guest.vcpu.user_gs_base = 0x5000;
    guest.vcpu.has_user_page_table = true;
  }
  /// As if the same context ran in user mode.
  void enter_user_mode() {
    guest.vcpu.mode = GuestMode::user;
    guest.registers.gs_base = 0x5000;
  }
  XenGuest guest{Width::k64};
};

/// 32-bit: a ring-1 context with an ESP that nothing aligns.
class Xen32 : public ::testing::Test {
 public:
  Xen32() {
    Registers& r = guest.registers;
    r[Gpr::rax] = 0x0a0a0a0a;
    r[Gpr::rcx] = 0xc1c2c3c4;
    r[Gpr::rsp] = 0x1004;
    r.rip = 0x11223344;
    r.rflags = 0x246;
    r[Segment::cs] = 0xe019;
    r[Segment::ss] = 0xe021;
    r[Segment::ds] = 0xe021;
    r[Segment::es] = 0xe021;
    guest.vcpu.kernel_sp = 0x9004;
    guest.vcpu.kernel_ss = 0xe021;
  }
  void enter_user_mode() {
    guest.vcpu.mode = GuestMode::user;
    guest.registers[Segment::cs] = 0xe02b;
    guest.registers[Segment::ss] = 0xe033;
    guest.registers[Segment::ds] = 0xe033;
    guest.registers[Segment::es] = 0xe033;
  }
  XenGuest guest{Width::k32};
};

}  // namespace framefold::test
