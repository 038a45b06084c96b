// The hypercall page, byte by byte as Xen writes it (pv/hypercall.c 120-181): 128 entries of 32 bytes, the rest int3.

#include <array>
#include <cstring>
#include <span>

#include "machine/xen_public.hpp"
#include "xen/vcpu.hpp"

namespace framefold {

namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kEntryBytes = 32;
constexpr std::uint8_t kInt3 = 0xcc;

// In each, the four bytes behind 0xb8 (mov imm32,%eax) are the hypercall's number.
constexpr std::array<std::uint8_t, 14> kOrdinary64{0x51, 0x41, 0x53, 0xb8, 0,    0,    0,
                                                   0,    0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3};
constexpr std::array<std::uint8_t, 11> kIret64{0x51, 0x41, 0x53, 0x50, 0xb8, 0, 0, 0, 0, 0x0f, 0x05};
constexpr std::array<std::uint8_t, 8> kOrdinary32{0xb8, 0, 0, 0, 0, 0xcd, 0x82, 0xc3};
constexpr std::array<std::uint8_t, 8> kIret32{0x50, 0xb8, 0, 0, 0, 0, 0xcd, 0x82};

std::span<const std::uint8_t> stub(Width width, bool iret) {
  if (width == Width::k64) {
    return iret ? std::span<const std::uint8_t>(kIret64) : kOrdinary64;
  }
  return iret ? std::span<const std::uint8_t>(kIret32) : kOrdinary32;
}

}  // namespace

void fill_hypercall_page(std::uint8_t* page, Width width) {
  std::memset(page, kInt3, kPageBytes);
  for (std::uint32_t number = 0; number < kPageBytes / kEntryBytes; ++number) {
    const std::span<const std::uint8_t> code = stub(width, number == __HYPERVISOR_iret);
    std::uint8_t* entry = page + number * kEntryBytes;
    std::memcpy(entry, code.data(), code.size());
    const auto* move = static_cast<std::uint8_t*>(std::memchr(entry, 0xb8, code.size()));
    std::memcpy(entry + (move - entry) + 1, &number, sizeof number);
  }
}

IretStub iret_stub(Width width) {
  const auto length = static_cast<std::uint32_t>(stub(width, true).size());
  const std::uint32_t offset = __HYPERVISOR_iret * kEntryBytes;
  return {offset, length, offset + length - kTrapLength};
}

}  // namespace framefold
