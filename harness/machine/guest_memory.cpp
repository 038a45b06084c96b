#include "machine/guest_memory.hpp"

#include <fmt/format.h>

#include "machine/internal_error.hpp"

namespace framefold {

std::uint8_t* GuestMemory::map(GuestAddress address, std::uint64_t size, Access access) {
  const GuestAddress begin{address.value & ~(kPageSize - 1)};
  const GuestAddress end{(address.value + size + kPageSize - 1) & ~(kPageSize - 1)};
  if (size == 0 || end <= begin || end - begin < size) {  // the last page of all would end at 0
    throw InternalError(fmt::format("guest memory: {:#x} bytes at {:#x} are no region", size, address.value));
  }
  for (const MemoryRegion& region : regions_) {
    if (begin < region.range.end && region.range.begin < end) {
      throw InternalError(fmt::format("guest memory {:#x}..{:#x} overlaps {:#x}..{:#x}", begin.value, end.value,
                                      region.range.begin.value, region.range.end.value));
    }
  }
  auto* host = static_cast<std::uint8_t*>(::operator new[](end - begin, std::align_val_t{kPageSize}));
  std::memset(host, 0, end - begin);
  pages_.emplace_back(host);
  regions_.push_back({{begin, end}, access, host});
  return host + (address - begin);
}

}  // namespace framefold
