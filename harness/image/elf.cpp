#include "image/elf.hpp"

#include <fmt/format.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <memory>

#include "image/description.hpp"

namespace framefold {
namespace {

constexpr std::size_t kMaxSegments = 32;
constexpr std::size_t kMaxSymbols = 65536;
constexpr std::size_t kMaxSymbolName = 256;

/// One ELF file in memory. libelf parses headers and tables; every offset and size that this file then uses is checked
/// here.
class ElfReader {
 public:
  ElfReader(std::span<const std::uint8_t> bytes, Width width, const std::string& name)
      : name_(name), width_(width), bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()) {
    if (bytes_.size() > kMaxElfSize)
      fail(fmt::format("expected at most {} bytes, found {}", kMaxElfSize, bytes_.size()));
    elf_version(EV_CURRENT);
    elf_.reset(bytes_.empty() ? nullptr : elf_memory(bytes_.data(), bytes_.size()));
    if (!elf_ || elf_kind(elf_.get()) != ELF_K_ELF) fail("expected an ELF file");
  }

  ElfImage read() {
    check_header();
    ElfImage image;
    image.segments = read_segments();
    image.symbols = read_symbols(image.segments);
    return image;
  }

 private:
  struct EndElf {
    void operator()(Elf* elf) const { elf_end(elf); }
  };

  [[noreturn]] void fail(const std::string& text) const { throw InputError(fmt::format("{}: {}", name_, text)); }

  void check_header() const {
    GElf_Ehdr header;
    if (gelf_getehdr(elf_.get(), &header) == nullptr) fail("expected a whole ELF header");
    const bool wide = width_ == Width::k64;
    if (header.e_ident[EI_CLASS] != (wide ? ELFCLASS64 : ELFCLASS32)) {
      fail(fmt::format("expected a {}-bit ELF file, as `width` of the description says", wide ? 64 : 32));
    }
    if (header.e_ident[EI_DATA] != ELFDATA2LSB) fail("expected a little-endian ELF file");
    if (header.e_machine != (wide ? EM_X86_64 : EM_386)) {
      fail(fmt::format("expected machine {} ({}), found {}", wide ? EM_X86_64 : EM_386, wide ? "x86-64" : "i386",
                       header.e_machine));
    }
    if (header.e_type != ET_EXEC)
      fail(fmt::format("expected a statically linked executable (ET_EXEC), found type {}", header.e_type));
  }

  std::vector<ElfSegment> read_segments() const {
    std::size_t count = 0;
    if (elf_getphdrnum(elf_.get(), &count) != 0 || count == 0) fail("expected program headers");
    std::vector<ElfSegment> segments;
    std::uint64_t memory = 0;
    for (std::size_t i = 0; i < count; ++i) {
      GElf_Phdr header;
      if (gelf_getphdr(elf_.get(), static_cast<int>(i), &header) == nullptr) fail("expected whole program headers");
      if (header.p_type != PT_LOAD || header.p_memsz == 0) continue;
      check_segment(header, i);
      memory += header.p_memsz;
      if (memory > kMaxImageMemory) fail(fmt::format("expected at most {} bytes of memory", kMaxImageMemory));
      if (segments.size() == kMaxSegments) fail(fmt::format("expected at most {} segments to load", kMaxSegments));
      segments.push_back(load(header));
    }
    if (segments.empty()) fail("expected a segment to load");
    std::sort(segments.begin(), segments.end(),
              [](const ElfSegment& a, const ElfSegment& b) { return a.range.begin < b.range.begin; });
    check_apart(segments);
    return segments;
  }

  void check_segment(const GElf_Phdr& header, std::size_t index) const {
    const auto place = [&] { return fmt::format("program header {}", index); };
    if (header.p_memsz > kMaxImageMemory) {
      fail(fmt::format("{}: expected at most {} bytes of memory, found {}", place(), kMaxImageMemory, header.p_memsz));
    }
    if (header.p_filesz > header.p_memsz) fail(fmt::format("{}: expected no more in the file than in memory", place()));
    if (header.p_offset > bytes_.size() || header.p_filesz > bytes_.size() - header.p_offset) {
      fail(fmt::format("{}: expected its contents inside the file: it is truncated", place()));
    }
    if (!is_mappable(header.p_vaddr, header.p_memsz)) {
      fail(fmt::format(
          "{}: expected addresses {}, above the first page, found {:#x}", place(),
          width_ == Width::k32 ? "of the guest's width" : "in the lower half, of which Unicorn has all bits",
          header.p_vaddr));
    }
    if ((header.p_flags & PF_W) != 0 && (header.p_flags & PF_X) != 0) {
      fail(fmt::format("{}: expected a segment that is not both writable and executable", place()));
    }
  }

  // Whole pages below 4 GiB, or canonical and in the lower half: Unicorn has 52 bits of an address. The last page of
  // either is left out, so that no end wraps, and the first, so that address 0 is nowhere.
  bool is_mappable(std::uint64_t address, std::uint64_t size) const {
    const std::uint64_t last = address + size - 1;
    constexpr std::uint64_t kFirstPage = 0x1000;
    if (last < address || address < kFirstPage) return false;
    if (width_ == Width::k32) return last < 0xfffff000;
    constexpr std::uint64_t kLowEnd = 0x00007ffffffff000;
    return last < kLowEnd;
  }

  ElfSegment load(const GElf_Phdr& header) const {
    ElfSegment segment;
    segment.range = {{header.p_vaddr}, {header.p_vaddr + header.p_memsz}};
    segment.bytes.resize(static_cast<std::size_t>(header.p_memsz));
    std::copy_n(bytes_.data() + header.p_offset, header.p_filesz, segment.bytes.begin());
    segment.writable = (header.p_flags & PF_W) != 0;
    segment.executable = (header.p_flags & PF_X) != 0;
    return segment;
  }

  void check_apart(const std::vector<ElfSegment>& segments) const {
    for (std::size_t i = 1; i < segments.size(); ++i) {
      const std::uint64_t last_page = (segments[i - 1].range.end.value - 1) / kPageSize;
      if (segments[i].range.begin.value / kPageSize <= last_page) {
        fail(fmt::format("expected segments that share no page: those at {:#x} and {:#x} do",
                         segments[i - 1].range.begin.value, segments[i].range.begin.value));
      }
    }
  }

  std::vector<Symbol> read_symbols(const std::vector<ElfSegment>& segments) const {
    for (Elf_Scn* section = elf_nextscn(elf_.get(), nullptr); section != nullptr;
         section = elf_nextscn(elf_.get(), section)) {
      GElf_Shdr header;
      if (gelf_getshdr(section, &header) == nullptr) fail("expected whole section headers");
      if (header.sh_type == SHT_SYMTAB) return read_table(section, header, segments);
    }
    fail("expected a symbol table");
  }

  std::vector<Symbol> read_table(Elf_Scn* section, const GElf_Shdr& header,
                                 const std::vector<ElfSegment>& segments) const {
    Elf_Data* const data = elf_getdata(section, nullptr);
    const std::size_t entry_size = gelf_fsize(elf_.get(), ELF_T_SYM, 1, EV_CURRENT);
    if (data == nullptr || data->d_buf == nullptr || header.sh_entsize != entry_size)
      fail("expected a whole symbol table");
    const std::size_t count = data->d_size / entry_size;
    if (count > kMaxSymbols) fail(fmt::format("expected at most {} symbols", kMaxSymbols));
    std::vector<Symbol> symbols;
    for (std::size_t i = 0; i < count; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) fail("expected a whole symbol table");
      if (is_place(symbol, segments)) symbols.push_back(symbol_of(symbol, header.sh_link));
    }
    std::sort(symbols.begin(), symbols.end(), [](const Symbol& a, const Symbol& b) {
      return a.address != b.address ? a.address < b.address : a.name < b.name;
    });
    return symbols;
  }

  // Not sections, files, undefined symbols, nor constants that lie nowhere in the image.
  static bool is_place(const GElf_Sym& symbol, const std::vector<ElfSegment>& segments) {
    const unsigned type = GELF_ST_TYPE(symbol.st_info);
    if (symbol.st_name == 0 || symbol.st_shndx == SHN_UNDEF) return false;
    if (type != STT_NOTYPE && type != STT_FUNC && type != STT_OBJECT) return false;
    return std::any_of(segments.begin(), segments.end(), [&](const ElfSegment& segment) {
      return symbol.st_value >= segment.range.begin.value && symbol.st_value <= segment.range.end.value;
    });
  }

  Symbol symbol_of(const GElf_Sym& symbol, std::size_t strings) const {
    const char* const text = elf_strptr(elf_.get(), strings, symbol.st_name);
    if (text == nullptr) fail("expected the names of all symbols");
    const std::string_view name(text);
    if (name.size() > kMaxSymbolName) fail(fmt::format("expected symbol names of at most {} bytes", kMaxSymbolName));
    return {std::string(name), {symbol.st_value}, symbol.st_size, GELF_ST_BIND(symbol.st_info) != STB_LOCAL};
  }

  const std::string& name_;
  Width width_;
  std::string bytes_;  // a copy: libelf wants memory that it may write to
  std::unique_ptr<Elf, EndElf> elf_;
};

}  // namespace

ElfImage read_elf(std::span<const std::uint8_t> bytes, Width width, const std::string& name) {
  return ElfReader(bytes, width, name).read();
}

}  // namespace framefold
