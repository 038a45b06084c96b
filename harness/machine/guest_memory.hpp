// Guest memory: host memory that every engine of a run maps. Reset and compare are memcpy and memcmp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "image/guest_address.hpp"

namespace framefold {

enum class Access : std::uint8_t { read_only, read_write, read_execute };

/// A page-aligned stretch of guest memory.
struct MemoryRegion {
  GuestRange range;
  Access access = Access::read_write;
  std::uint8_t* host = nullptr;
};

/// Owns the host pages. Regions do not move once mapped; what lies between them is unmapped for the guest.
class GuestMemory {
 public:
  GuestMemory() = default;
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  /// Maps zeroed pages that cover [address, address + size). Throws InternalError where they overlap a region, where
  /// there are none, and where they reach the end of the address space.
  std::uint8_t* map(GuestAddress address, std::uint64_t size, Access access);

  std::span<const MemoryRegion> regions() const { return regions_; }

  /// Host pointer to [address, address + size) where one region covers it, whatever its access; nullptr otherwise.
  std::uint8_t* find(GuestAddress address, std::uint64_t size) const {
    const MemoryRegion* region = region_of(address, size);
    return region == nullptr ? nullptr : region->host + (address - region->range.begin);
  }
  /// The same, for memory that the guest may write.
  std::uint8_t* find_writable(GuestAddress address, std::uint64_t size) const {
    const MemoryRegion* region = region_of(address, size);
    if (region == nullptr || region->access != Access::read_write) {
      return nullptr;
    }
    return region->host + (address - region->range.begin);
  }

 private:
  struct PageDeleter {
    void operator()(std::uint8_t* p) const { ::operator delete[](p, std::align_val_t{kPageSize}); }
  };

  const MemoryRegion* region_of(GuestAddress address, std::uint64_t size) const {
    for (const MemoryRegion& region : regions_) {
      // The unsigned difference covers addresses below the region and sums that would wrap.
      const std::uint64_t offset = address.value - region.range.begin.value;
      if (offset < region.range.size() && size <= region.range.size() - offset) {
        return &region;
      }
    }
    return nullptr;
  }

 public:
  static constexpr std::uint64_t kPageSize = 4096;

 private:
  std::vector<MemoryRegion> regions_;
  std::vector<std::unique_ptr<std::uint8_t[], PageDeleter>> pages_;
};

/// Little-endian load of `size` bytes (1 to 8) from host memory. Words have fixed sizes: no call of memcpy remains for
/// them.
inline std::uint64_t load_word(const std::uint8_t* host, unsigned size) {
  std::uint64_t value = 0;
  if (size == sizeof(std::uint64_t)) {
    std::memcpy(&value, host, sizeof(std::uint64_t));
  } else if (size == sizeof(std::uint32_t)) {
    std::memcpy(&value, host, sizeof(std::uint32_t));
  } else {
    std::memcpy(&value, host, size);
  }
  return value;
}
inline void store_word(std::uint8_t* host, std::uint64_t value, unsigned size) {
  if (size == sizeof(std::uint64_t)) {
    std::memcpy(host, &value, sizeof(std::uint64_t));
  } else if (size == sizeof(std::uint32_t)) {
    std::memcpy(host, &value, sizeof(std::uint32_t));
  } else {
    std::memcpy(host, &value, size);
  }
}

}  // namespace framefold
