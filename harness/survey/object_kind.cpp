#include "survey/object_kind.hpp"

#include <fmt/format.h>
#include <gelf.h>
#include <libelf.h>

#include <memory>

#include "image/description.hpp"
#include "image/relocatable.hpp"

namespace framefold {

namespace {

struct EndElf {
  void operator()(Elf* elf) const { elf_end(elf); }
};

bool has_code(Elf* elf) {
  for (Elf_Scn* section = elf_nextscn(elf, nullptr); section != nullptr; section = elf_nextscn(elf, section)) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) != nullptr && (header.sh_flags & SHF_EXECINSTR) != 0 && header.sh_size != 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

ObjectKind object_kind_of(std::span<const std::uint8_t> bytes, const std::string& name) {
  if (is_archive(bytes)) throw archive_error(name);
  const auto fail = [&name](const std::string& text) { throw InputError(fmt::format("{}: {}", name, text)); };
  std::string copy(reinterpret_cast<const char*>(bytes.data()), bytes.size());  // libelf wants memory it may write to
  elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, EndElf> elf(copy.empty() ? nullptr : elf_memory(copy.data(), copy.size()));
  if (!elf || elf_kind(elf.get()) != ELF_K_ELF) {
    fail("expected an ELF file");
  }
  GElf_Ehdr header;
  if (gelf_getehdr(elf.get(), &header) == nullptr) {
    fail("expected a whole ELF header");
  }
  const std::uint64_t sections_end = header.e_shoff + std::uint64_t{header.e_shnum} * header.e_shentsize;
  if (header.e_shoff > bytes.size() || sections_end > bytes.size()) {
    fail(fmt::format("expected a whole ELF file: this one is truncated, its section headers end at byte {} of {}",
                     sections_end, bytes.size()));
  }
  const bool wide = header.e_ident[EI_CLASS] == ELFCLASS64;
  if (header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_machine != (wide ? EM_X86_64 : EM_386)) {
    fail(fmt::format("expected code of x86-64 (machine {}) or i386 (machine {}), found machine {} in a {}-bit file",
                     EM_X86_64, EM_386, header.e_machine, wide ? 64 : 32));
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_REL) {
    fail(
        fmt::format("expected a relocatable object (ET_REL) or a statically linked executable (ET_EXEC), found type {}",
                    header.e_type));
  }
  return {wide ? Width::k64 : Width::k32, header.e_type == ET_REL, has_code(elf.get())};
}

}  // namespace framefold
