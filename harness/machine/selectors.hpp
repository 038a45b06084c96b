// The flat segments that Xen gives a PV guest: selectors from the public headers, privilege levels from the width.
#pragma once

#include <cstdint>

#include "image/width.hpp"

namespace framefold {

struct Selectors {
  std::uint16_t kernel_code;
  std::uint16_t kernel_stack;
  std::uint16_t kernel_data;  // DS and ES of a kernel
  std::uint16_t user_code;
  std::uint16_t user_stack;
  std::uint16_t user_data;
  unsigned kernel_ring;  // where a PV kernel runs: 3 on 64-bit, 1 on 32-bit
};
const Selectors& selectors_of(Width width);

/// The selector of the same segment with another RPL.
constexpr std::uint16_t with_rpl(std::uint16_t selector, unsigned rpl) {
  return static_cast<std::uint16_t>((selector & ~3U) | rpl);
}
/// Whether it is of one of the flat data segments, with whatever RPL.
bool is_flat_data(Width width, std::uint16_t selector);

}  // namespace framefold
