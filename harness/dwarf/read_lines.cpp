#include "dwarf/read_lines.hpp"

#include <elfutils/libdw.h>
#include <libelf.h>

#include <map>
#include <memory>

namespace framefold {

namespace {

struct ElfEnd {
  void operator()(Elf* elf) const { elf_end(elf); }
};
struct DwarfEnd {
  void operator()(Dwarf* dwarf) const { dwarf_end(dwarf); }
};

class LineReader {
 public:
  void add_unit(Dwarf_Die& unit) {
    Dwarf_Lines* lines = nullptr;
    std::size_t count = 0;
    if (dwarf_getsrclines(&unit, &lines, &count) != 0) {
      return;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (Dwarf_Line* line = dwarf_onesrcline(lines, i)) {
        add_line(*line);
      }
    }
  }

  SourceLines result() {
    for (const auto& [address, row] : rows_) {
      lines_.rows.push_back(row);
    }
    return std::move(lines_);
  }

 private:
  void add_line(Dwarf_Line& line) {
    Dwarf_Addr address = 0;
    int number = 0;
    bool ends = false;
    const char* file = dwarf_linesrc(&line, nullptr, nullptr);
    if (dwarf_lineaddr(&line, &address) != 0 || dwarf_lineno(&line, &number) != 0 ||
        dwarf_lineendsequence(&line, &ends) != 0 || file == nullptr || number < 0) {
      return;
    }
    const SourceLines::Row row{{address}, index_of(file), ends ? 0U : static_cast<std::uint32_t>(number)};
    // Of several rows at an address the last one holds; but where one sequence ends another may have begun.
    if (ends) {
      rows_.emplace(address, row);
    } else {
      rows_[address] = row;
    }
  }

  std::uint32_t index_of(const std::string& path) {
    // The assembler names files below the folder that it was called in; that is not where a reader is.
    const std::string name = path.starts_with("./") ? path.substr(2) : path;
    const auto [at, added] = files_.emplace(name, static_cast<std::uint32_t>(lines_.files.size()));
    if (added) {
      lines_.files.push_back(name);
    }
    return at->second;
  }

  SourceLines lines_;
  std::map<std::string, std::uint32_t> files_;
  std::map<std::uint64_t, SourceLines::Row> rows_;
};

}  // namespace

SourceLines read_source_lines(std::span<const std::uint8_t> bytes) {
  elf_version(EV_CURRENT);
  // elf_memory takes what it may change; nothing here asks it to.
  std::vector<char> copy(bytes.begin(), bytes.end());
  const std::unique_ptr<Elf, ElfEnd> elf(elf_memory(copy.data(), copy.size()));
  if (!elf) {
    return {};
  }
  const std::unique_ptr<Dwarf, DwarfEnd> dwarf(dwarf_begin_elf(elf.get(), DWARF_C_READ, nullptr));
  if (!dwarf) {
    return {};
  }
  LineReader reader;
  Dwarf_Off offset = 0;
  Dwarf_Off next = 0;
  std::size_t header = 0;
  while (dwarf_nextcu(dwarf.get(), offset, &next, &header, nullptr, nullptr, nullptr) == 0) {
    Dwarf_Die unit;
    if (dwarf_offdie(dwarf.get(), offset + header, &unit) != nullptr) {
      reader.add_unit(unit);
    }
    offset = next;
  }
  return reader.result();
}

}  // namespace framefold
