#include "test/variants.hpp"

#include <elf.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <vector>

namespace framefold::test {

namespace {

/// The byte of the file that holds `address`, by the program headers.
std::size_t file_offset(std::span<const std::uint8_t> elf, std::uint64_t address) {
  Elf64_Ehdr header;
  std::memcpy(&header, elf.data(), sizeof header);
  for (std::size_t i = 0; header.e_ident[EI_CLASS] == ELFCLASS64 && i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, elf.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    if (segment.p_type == PT_LOAD && address - segment.p_vaddr < segment.p_filesz) {
      return segment.p_offset + (address - segment.p_vaddr);
    }
  }
  throw std::out_of_range("no byte of a 64-bit image at that address");
}

BundledEntry with_byte(const BundledEntry& original, std::string_view change) {
  static std::deque<std::vector<std::uint8_t>> images;
  const std::size_t equals = change.find('=');
  if (equals == change.npos) {
    throw std::out_of_range("expected <address>=<value>: " + std::string(change));
  }
  const std::uint64_t address = std::stoull(std::string(change.substr(0, equals)), nullptr, 0);
  const std::uint64_t value = std::stoull(std::string(change.substr(equals + 1)), nullptr, 0);
  std::vector<std::uint8_t>& image = images.emplace_back(original.elf.begin(), original.elf.end());
  image[file_offset(image, address)] = static_cast<std::uint8_t>(value);
  return {original.name, original.description, image};
}

}  // namespace

BundledEntry find_variant(std::string_view name) {
  const std::size_t at = name.find('@');
  if (at != name.npos) {
    return with_byte(find_variant(name.substr(0, at)), name.substr(at + 1));
  }
  for (const std::span<const BundledEntry> entries : {bundled_entries(), patched_variants()}) {
    const auto found =
        std::find_if(entries.begin(), entries.end(), [name](const BundledEntry& entry) { return entry.name == name; });
    if (found != entries.end()) {
      return *found;
    }
  }
  throw std::out_of_range("no entry and no variant " + std::string(name));
}

std::unique_ptr<const Entry> load_variant(std::string_view name) {
  const BundledEntry bundled = find_variant(name);
  const std::string text(name);
  return load_entry(parse_description(bundled.description, text + "/entry.toml"), bundled.elf, text);
}

std::string test_name(std::string_view name) {
  std::string text(name);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return text;
}

}  // namespace framefold::test
