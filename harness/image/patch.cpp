#include "image/patch.hpp"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "image/description.hpp"

namespace framefold {

namespace {

/// Offset in the file of what is loaded at `address`, by the program headers.
template <typename Header, typename Segment>
std::size_t file_offset(std::span<const std::uint8_t> elf, std::uint64_t address, std::size_t size) {
  Header header;
  if (elf.size() >= sizeof header) {
    std::memcpy(&header, elf.data(), sizeof header);
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
      Segment segment;
      const std::size_t at = header.e_phoff + i * sizeof segment;
      if (at + sizeof segment > elf.size()) {
        break;
      }
      std::memcpy(&segment, elf.data() + at, sizeof segment);
      const std::uint64_t offset = address - segment.p_vaddr;
      if (segment.p_type == PT_LOAD && offset < segment.p_filesz && size <= segment.p_filesz - offset &&
          segment.p_offset + offset + size <= elf.size()) {
        return segment.p_offset + offset;
      }
    }
  }
  throw InputError(fmt::format("image: expected {} bytes of the file loaded at {:#x}", size, address));
}

}  // namespace

void patch_image(std::vector<std::uint8_t>& elf, GuestAddress address, std::span<const std::uint8_t> bytes) {
  const bool is_64 = elf.size() > EI_CLASS && elf[EI_CLASS] == ELFCLASS64;
  const std::size_t offset = is_64 ? file_offset<Elf64_Ehdr, Elf64_Phdr>(elf, address.value, bytes.size())
                                   : file_offset<Elf32_Ehdr, Elf32_Phdr>(elf, address.value, bytes.size());
  std::copy(bytes.begin(), bytes.end(), elf.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace framefold
