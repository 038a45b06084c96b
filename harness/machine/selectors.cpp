#include "machine/selectors.hpp"

#include "machine/xen_public.hpp"

namespace framefold {

namespace {

// xen/foreign/x86_32.h stops at ring 1; the ring-3 pair is FLAT_RING3_CS and FLAT_RING3_DS of
// xen/arch-x86/xen-x86_32.h, which only a 32-bit compile may include.
constexpr std::uint16_t kFlatRing3Cs32 = 0xe02b;
constexpr std::uint16_t kFlatRing3Ds32 = 0xe033;

constexpr Selectors kSelectors64{
    FLAT_KERNEL_CS64, FLAT_KERNEL_SS64, FLAT_KERNEL_DS64, FLAT_USER_CS64, FLAT_USER_SS64, FLAT_USER_DS64, 3};
constexpr Selectors kSelectors32{FLAT_KERNEL_CS_X86_32,
                                 FLAT_KERNEL_SS_X86_32,
                                 FLAT_KERNEL_DS_X86_32,
                                 kFlatRing3Cs32,
                                 kFlatRing3Ds32,
                                 kFlatRing3Ds32,
                                 1};

}  // namespace

const Selectors& selectors_of(Width width) { return width == Width::k64 ? kSelectors64 : kSelectors32; }

bool is_flat_data(Width width, std::uint16_t selector) {
  const Selectors& selectors = selectors_of(width);
  return with_rpl(selector, 0) == with_rpl(selectors.kernel_data, 0) ||
         with_rpl(selector, 0) == with_rpl(selectors.user_data, 0);
}

}  // namespace framefold
