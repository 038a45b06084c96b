// The part of an ELF file that an entry needs: what is loaded, and the symbols.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "image/guest_address.hpp"
#include "image/image.hpp"
#include "image/width.hpp"

namespace framefold {

/// A PT_LOAD segment as the file says it, not yet padded to pages.
struct ElfSegment {
  GuestRange range;
  std::vector<std::uint8_t> bytes;  // range.size()
  bool writable = false;
  bool executable = false;
};

struct ElfImage {
  std::vector<ElfSegment> segments;  // sorted by address, no two on one page, none writable and executable
  std::vector<Symbol> symbols;       // those that lie in a segment or at its end; sorted by address, then name
};

inline constexpr std::uint64_t kPageSize = 4096;
/// Bounds that no entry image comes near, so that a bad file costs neither time nor memory.
inline constexpr std::size_t kMaxElfSize = std::size_t{16} << 20;
inline constexpr std::uint64_t kMaxImageMemory = std::uint64_t{64} << 20;

/// Reads a statically linked x86 executable of this width. `name` names it in messages. Throws InputError, whatever the
/// bytes.
ElfImage read_elf(std::span<const std::uint8_t> bytes, Width width, const std::string& name);

}  // namespace framefold
