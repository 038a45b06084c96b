#include "image/relocatable.hpp"

#include <fmt/format.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "image/description.hpp"

namespace framefold {
namespace {

struct EndElf {
  void operator()(Elf* elf) const { elf_end(elf); }
};

class ObjectReader {
 public:
  ObjectReader(std::span<const std::uint8_t> bytes, const std::string& name, ObjectSymbols& symbols)
      : name_(name), bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()), symbols_(symbols) {
    elf_version(EV_CURRENT);
    elf_.reset(elf_memory(bytes_.data(), bytes_.size()));
    if (!elf_ || elf_kind(elf_.get()) != ELF_K_ELF) fail();
  }

  void read() {
    for_each_section([&](Elf_Scn* section, const GElf_Shdr& header) {
      if (header.sh_type == SHT_SYMTAB) read_symbols(section, header);
    });
    for_each_section([&](Elf_Scn* section, const GElf_Shdr& header) {
      if (header.sh_type == SHT_RELA || header.sh_type == SHT_REL) read_relocations(section, header);
    });
  }

 private:
  [[noreturn]] void fail() const { throw InputError(fmt::format("{}: expected a whole ELF object", name_)); }

  template <typename Visit>
  void for_each_section(const Visit& visit) {
    for (Elf_Scn* at = elf_nextscn(elf_.get(), nullptr); at != nullptr; at = elf_nextscn(elf_.get(), at)) {
      GElf_Shdr header;
      if (gelf_getshdr(at, &header) == nullptr) fail();
      visit(at, header);
    }
  }

  std::string name_of(const GElf_Sym& symbol, std::size_t strings) const {
    const char* const text = elf_strptr(elf_.get(), strings, symbol.st_name);
    return text == nullptr ? std::string() : std::string(text);
  }

  void read_symbols(Elf_Scn* section, const GElf_Shdr& header) {
    Elf_Data* const data = elf_getdata(section, nullptr);
    if (data == nullptr || header.sh_entsize == 0) fail();
    for (std::size_t i = 1; i < header.sh_size / header.sh_entsize; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) fail();
      const std::string name = name_of(symbol, header.sh_link);
      if (name.empty()) continue;
      const bool weak = GELF_ST_BIND(symbol.st_info) == STB_WEAK;
      if (symbol.st_shndx != SHN_UNDEF) {
        symbols_.defined.insert(name);
        note_code(name, symbol);
      } else {
        (weak ? symbols_.weak : symbols_.undefined).insert(name);
      }
    }
  }

  void note_code(const std::string& name, const GElf_Sym& symbol) {
    if (symbol.st_shndx >= SHN_LORESERVE) return;
    GElf_Shdr header;
    std::size_t names = 0;
    Elf_Scn* const section = elf_getscn(elf_.get(), symbol.st_shndx);
    if (section == nullptr || gelf_getshdr(section, &header) == nullptr || elf_getshdrstrndx(elf_.get(), &names) != 0) {
      fail();
    }
    const char* const text = elf_strptr(elf_.get(), names, header.sh_name);
    if (text == nullptr) fail();
    if ((header.sh_flags & SHF_EXECINSTR) != 0) symbols_.code[name] = {name_, text, symbol.st_value};
  }

  void read_relocations(Elf_Scn* section, const GElf_Shdr& header) {
    Elf_Data* const data = elf_getdata(section, nullptr);
    Elf_Scn* const code = elf_getscn(elf_.get(), header.sh_info);
    Elf_Scn* const table = elf_getscn(elf_.get(), header.sh_link);
    GElf_Shdr code_header;
    GElf_Shdr table_header;
    if (data == nullptr || header.sh_entsize == 0 || gelf_getshdr(code, &code_header) == nullptr ||
        gelf_getshdr(table, &table_header) == nullptr) {
      fail();
    }
    if ((code_header.sh_flags & SHF_ALLOC) == 0) return;
    const bool in_code = (code_header.sh_flags & SHF_EXECINSTR) != 0;
    Elf_Data* const bytes = elf_getdata(code, nullptr);
    Elf_Data* const symbols = elf_getdata(table, nullptr);
    if (bytes == nullptr || symbols == nullptr) fail();
    for (std::size_t i = 0; i < header.sh_size / header.sh_entsize; ++i) {
      const Place place = place_of(data, header.sh_type, static_cast<int>(i));
      GElf_Sym symbol;
      if (gelf_getsym(symbols, static_cast<int>(place.symbol), &symbol) == nullptr) fail();
      if (symbol.st_shndx != SHN_UNDEF) continue;
      const bool branch = in_code && is_branch(*bytes, place.offset);
      const std::string name = name_of(symbol, table_header.sh_link);
      (branch ? symbols_.called : symbols_.taken).insert(name);
      if (branch && is_hypercall(place.addend.value_or(word_at(*bytes, place.offset)))) symbols_.paged.insert(name);
    }
  }

  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t symbol = 0;
    std::optional<std::int64_t> addend;  // else it is where the relocation goes
  };
  Place place_of(Elf_Data* data, std::uint32_t type, int index) const {
    GElf_Rela rela;
    GElf_Rel rel;
    if (type == SHT_RELA) {
      if (gelf_getrela(data, index, &rela) == nullptr) fail();
      return {rela.r_offset, GELF_R_SYM(rela.r_info), rela.r_addend};
    }
    if (gelf_getrel(data, index, &rel) == nullptr) fail();
    return {rel.r_offset, GELF_R_SYM(rel.r_info), std::nullopt};
  }

  /// The displacement of `call`, `jmp` (e8, e9) or a conditional jump (0f 80 to 8f): SDM Vol. 2.
  static bool is_branch(const Elf_Data& code, std::uint64_t offset) {
    const auto* const bytes = static_cast<const std::uint8_t*>(code.d_buf);
    if (bytes == nullptr || offset < 1 || offset > code.d_size) return false;
    const std::uint8_t last = bytes[offset - 1];
    if (last == 0xe8 || last == 0xe9) return true;
    return offset >= 2 && bytes[offset - 2] == 0x0f && (last & 0xf0) == 0x80;
  }

  static std::int64_t word_at(const Elf_Data& code, std::uint64_t offset) {
    std::int32_t word = 0;
    if (offset + sizeof word > code.d_size) return 0;
    std::memcpy(&word, static_cast<const std::uint8_t*>(code.d_buf) + offset, sizeof word);
    return word;
  }

  /// What a branch's displacement is relative to lies behind it. Hypercalls but the first are multiples of 32 bytes
  /// behind the page's start.
  static bool is_hypercall(std::int64_t addend) {
    constexpr std::int64_t kEntry = 32;
    constexpr std::int64_t kPage = 4096;
    const std::int64_t offset = addend + static_cast<std::int64_t>(sizeof(std::int32_t));
    return offset > 0 && offset < kPage && offset % kEntry == 0;
  }

  const std::string& name_;
  std::string bytes_;  // a copy: libelf wants memory that it may write to
  ObjectSymbols& symbols_;
  std::unique_ptr<Elf, EndElf> elf_;
};

}  // namespace

bool is_relocatable(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kType = 16;  // e_type, 16 bits
  return bytes.size() > kType + 1 && bytes[0] == 0x7f && bytes[1] == 'E' && bytes[kType] == ET_REL &&
         bytes[kType + 1] == 0;
}

bool is_archive(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kPlain = "!<arch>\n";  // ar.h
  constexpr std::string_view kThin = "!<thin>\n";
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), kPlain.size()));
  return start == kPlain || start == kThin;
}

InputError archive_error(const std::string& name) {
  return InputError(fmt::format(
      "{}: expected the objects in it that hold entry code (`ar x` takes them out): it is an archive", name));
}

void add_symbols(std::span<const std::uint8_t> bytes, const std::string& name, ObjectSymbols& symbols) {
  ObjectReader(bytes, name, symbols).read();
}

}  // namespace framefold
