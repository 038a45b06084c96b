// The smallest entry that every check of image/ accepts, in both widths, built without any tool: an ELF file by hand
// and the text of its description. The 64-bit one finds vcpu_info through a pointer, the 32-bit one in a structure;
// between them they have every key of a description.
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "image/width.hpp"

namespace framefold::test {

struct TinySegment {
  std::uint64_t address = 0;
  std::uint32_t flags = 0;
  std::vector<std::uint8_t> bytes;
  std::uint64_t memory_size = 0;
};

struct TinySymbol {
  std::string name;
  std::uint64_t address = 0;
  bool local = false;
};

struct TinyElf {
  Width width = Width::k64;
  std::uint16_t machine = EM_X86_64;
  std::uint16_t type = ET_EXEC;
  std::vector<TinySegment> segments;
  std::vector<TinySymbol> symbols;

  const TinySymbol* find(std::string_view name) const {
    for (const TinySymbol& symbol : symbols) {
      if (symbol.name == name) return &symbol;
    }
    return nullptr;
  }
  std::uint64_t address_of(std::string_view name) const { return find(name)->address; }

  std::vector<std::uint8_t> build() const {
    if (width == Width::k64) return build_as<Elf64_Ehdr, Elf64_Phdr, Elf64_Shdr, Elf64_Sym>(ELFCLASS64);
    return build_as<Elf32_Ehdr, Elf32_Phdr, Elf32_Shdr, Elf32_Sym>(ELFCLASS32);
  }

 private:
  template <typename T>
  static void put(std::vector<std::uint8_t>& file, std::size_t offset, const T& value) {
    if (file.size() < offset + sizeof(T)) file.resize(offset + sizeof(T));
    std::memcpy(file.data() + offset, &value, sizeof(T));
  }

  // Header, program headers, contents, symbols, their names, section names, section headers.
  template <typename Ehdr, typename Phdr, typename Shdr, typename Sym>
  std::vector<std::uint8_t> build_as(unsigned char elf_class) const {
    std::vector<std::uint8_t> file(sizeof(Ehdr) + segments.size() * sizeof(Phdr));
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const TinySegment& segment = segments[i];
      Phdr header{};
      header.p_type = PT_LOAD;
      header.p_flags = segment.flags;
      header.p_offset = static_cast<decltype(header.p_offset)>(file.size());
      header.p_vaddr = static_cast<decltype(header.p_vaddr)>(segment.address);
      header.p_filesz = static_cast<decltype(header.p_filesz)>(segment.bytes.size());
      header.p_memsz = static_cast<decltype(header.p_memsz)>(segment.memory_size);
      file.insert(file.end(), segment.bytes.begin(), segment.bytes.end());
      put(file, sizeof(Ehdr) + i * sizeof(Phdr), header);
    }
    std::string names(1, '\0');
    const std::size_t symbols_offset = file.size();
    put(file, symbols_offset, Sym{});
    for (const TinySymbol& symbol : symbols) {
      Sym entry{};
      entry.st_name = static_cast<std::uint32_t>(names.size());
      entry.st_info = static_cast<unsigned char>((symbol.local ? STB_LOCAL : STB_GLOBAL) << 4);
      entry.st_shndx = SHN_ABS;
      entry.st_value = static_cast<decltype(entry.st_value)>(symbol.address);
      names += symbol.name + '\0';
      put(file, file.size(), entry);
    }
    const std::size_t names_offset = file.size();
    file.insert(file.end(), names.begin(), names.end());
    Shdr sections[3] = {};
    sections[1].sh_type = SHT_SYMTAB;
    sections[1].sh_offset = static_cast<decltype(sections[1].sh_offset)>(symbols_offset);
    sections[1].sh_size = static_cast<decltype(sections[1].sh_size)>(names_offset - symbols_offset);
    sections[1].sh_entsize = sizeof(Sym);
    sections[1].sh_link = 2;
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = static_cast<decltype(sections[2].sh_offset)>(names_offset);
    sections[2].sh_size = static_cast<decltype(sections[2].sh_size)>(names.size());
    const std::size_t sections_offset = file.size();
    for (const Shdr& section : sections) put(file, file.size(), section);

    Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = elf_class;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = type;
    header.e_machine = machine;
    header.e_version = EV_CURRENT;
    header.e_ehsize = sizeof(Ehdr);
    header.e_phoff = sizeof(Ehdr);
    header.e_phentsize = sizeof(Phdr);
    header.e_phnum = static_cast<std::uint16_t>(segments.size());
    header.e_shoff = static_cast<decltype(header.e_shoff)>(sections_offset);
    header.e_shentsize = sizeof(Shdr);
    header.e_shnum = 3;
    header.e_shstrndx = 2;
    put(file, 0, header);
    return file;
  }
};

// The text is as short as it can be, so that ten thousand of them decode in no time.
inline constexpr std::uint64_t kTinyPage = 0x101000;
inline constexpr std::uint64_t kTinyText = kTinyPage - 0x40;
inline constexpr std::uint64_t kTinyData = 0x200000;

/// The image: text with the hypercall page behind it, and one data segment, zero but for its first word.
inline TinyElf tiny_elf(Width width) {
  TinyElf elf;
  elf.width = width;
  elf.machine = width == Width::k64 ? EM_X86_64 : EM_386;
  TinySegment text{kTinyText, PF_R | PF_X, {}, 0x1040};
  const auto code = [&](std::string_view symbol, std::vector<std::uint8_t> bytes) {
    if (!symbol.empty()) elf.symbols.push_back({std::string(symbol), kTinyText + text.bytes.size(), false});
    text.bytes.insert(text.bytes.end(), bytes.begin(), bytes.end());
  };
  const bool wide = width == Width::k64;
  code("hypervisor_callback", {0xfc, 0x50});            // cld; push %rax
  code("", {0xe8, 0x11, 0x00, 0x00, 0x00, 0x58});       // call do_hypervisor_callback; pop %rax
  code("scrit", {0xf6, 0x46, 0x01, 0x01, 0x75, 0xf2});  // testb $1,1(%rsi); jne hypervisor_callback
  code("restore_end", wide ? std::vector<std::uint8_t>{0x48, 0xcf} : std::vector<std::uint8_t>{0xcf, 0x90});  // iret
  code("ecrit", {});
  code("page_fault", {0x90, 0xeb, 0xf5});  // nop; jmp scrit
  code("nmi", {0x90, 0xeb, 0xf1});         // nop; jmp to the pop behind the call
  code("", {0x90, 0x90});
  code("do_hypervisor_callback", {0xc3});
  code("do_page_fault", {0xc3});
  code("do_nmi", {0xc3});
  code("critical_fixup_table", {0, 0, 0, 0, 0, 0, 0, 0});
  code("audit", {0xc3});
  elf.symbols.push_back({"hypercall_page", kTinyPage, false});
  TinySegment data{kTinyData, PF_R | PF_W, {0xff, 0xff, 0xff, 0xff}, 0x10000};
  elf.segments = {text, data};
  const std::pair<const char*, std::uint64_t> variables[] = {
      {"irqcount", 0}, {"HYPERVISOR_shared_info", 8}, {"work_flags", 16},   {"folds_seen", 20},      {"vcpu_info", 64},
      {"pda", 128},    {"thread_stack", 0x1000},      {"irqstack", 0x5000}, {"kernel_stack", 0x9000}};
  for (const auto& [name, offset] : variables) elf.symbols.push_back({name, kTinyData + offset, name[0] == 'f'});
  return elf;
}

inline std::string tiny_description(Width width) {
  const bool wide = width == Width::k64;
  std::string text = wide ? "name = \"tiny-64\"\nwidth = 64\nfs_base = \"pda\"\ngs_base = \"pda\"\n"
                          : "name = \"tiny-32\"\nwidth = 32\n";
  text += R"(summary = "the smallest entry"
image = "tiny.elf"
modes = ["kernel", "user"]
nests = false
hypercall_page = "hypercall_page"
symbols = ["do_nmi", "page_fault"]
pending_values = [1, 0x80]

[[vectors]]
name = "page_fault"
kind = "exception"
number = 14
symbol = "page_fault"
error_code = true
masks_events = true
common_exit = false
handler = "do_page_fault"
returns = 1

[[vectors]]
name = "event"
kind = "event"
symbol = "hypervisor_callback"

[nmi]
symbol = "nmi"
handler = "do_nmi"
marks = true
common_exit = true
returns = 2

[stacks]
thread = { symbol = "thread_stack", size = 16384 }
interrupt = { symbol = "irqstack", size = 16384, pointer = "pda" }
kernel = { symbol = "kernel_stack", size = 16384 }
nesting = { symbol = "irqcount", on_thread = -1, on_interrupt = 0 }

[region]
start = "scrit"
end = "ecrit"
restore_end = "restore_end"
table = "critical_fixup_table"

[work_flag]
symbol = "work_flags"
mask = 6

[entry_data]
counters = [ { symbol = "folds_seen", size = 4 } ]

[[known]]
kind = "nmi-masked"
at = ["scrit+0x4", "hypercall_page+0x2e9"]
when = ["marked", "if-set"]
why = "the marker is cleared before the return"
reproducer = "nmi-masked.toml"

[[equivalent_mutants]]
at = ["scrit+0x4", "ecrit"]
faults = ["immediate +8", "removed"]
same = "ends"
why = "nobody looks"

[[calls]]
symbol = "audit"
returns = 7
clobbers = true
sets = "folds_seen"
to = 1
takes_event = true
never = false

[[data]]
symbol = "elsewhere"
size = 4096

)";
  text += wide ? R"([handler]
symbol = "do_hypervisor_callback"
argument = "rdi"
error_code_argument = "rsi"
stack_alignment = 16
returns = 0

[vcpu_info]
pointer = "HYPERVISOR_shared_info"
index = 3
stride = 64

[frame]
size = 168
slots = { r15 = 0, rax = 80, orig_rax = 120, rip = 128, cs = 136, rflags = 144, rsp = 152, ss = 160 }
)"
               : R"([handler]
symbol = "do_hypervisor_callback"
argument = "stack"
error_code_argument = "none"
stack_alignment = 4

[vcpu_info]
symbol = "vcpu_info"

[[segments]]
selector = 0xd9
base = "pda"

[frame]
size = 60
slots = { ebx = 0, eax = 24, ds = 28, es = 32, orig_eax = 36, eip = 40, cs = 44, eflags = 48, esp = 52, ss = 56 }
)";
  return text;
}

/// SplitMix64: what mutates the tests' files, the same everywhere.
class TinyRandom {
 public:
  explicit TinyRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t below(std::uint64_t bound) {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % bound;
  }

 private:
  std::uint64_t state_;
};

}  // namespace framefold::test
