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

/// What 32-bit contexts hold in FS and GS where `fs_base` and `gs_base` of the description say where a kernel's lead:
/// descriptors that framefold puts into the GDT, above those that a description may name. User code has others, which
/// lead to no memory.
struct OwnSelectors {
  std::uint16_t kernel;  // RPL 1
  std::uint16_t user;    // RPL 3
};
inline constexpr OwnSelectors kOwnFs32{0xdfe1, 0xdfeb};
inline constexpr OwnSelectors kOwnGs32{0xdff1, 0xdffb};

/// The selector of the same segment with another RPL.
constexpr std::uint16_t with_rpl(std::uint16_t selector, unsigned rpl) {
  return static_cast<std::uint16_t>((selector & ~3U) | rpl);
}
/// Whether it is of one of the flat data segments, with whatever RPL.
bool is_flat_data(Width width, std::uint16_t selector);

}  // namespace framefold
