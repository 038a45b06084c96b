// What a relocatable object defines and leaves undefined.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>

#include "image/description.hpp"

namespace framefold {

/// Whether the bytes start as an ELF file of type ET_REL does.
bool is_relocatable(std::span<const std::uint8_t> bytes);

/// Whether they start as an archive of objects (ar) does.
bool is_archive(std::span<const std::uint8_t> bytes);
/// Which of its members `ld` would take depends on what else is linked.
InputError archive_error(const std::string& name);

struct ObjectSymbols {
  std::set<std::string> defined;    // local ones, too
  std::set<std::string> undefined;  // weak ones apart
  std::set<std::string> weak;
  std::set<std::string> called;  // undefined or weak, and the target of a call or jump
  std::set<std::string> taken;   // and what is used otherwise, by code or data
  std::set<std::string> paged;   // of those called: behind its start, as a hypercall page is: no function is called so
  struct Place {
    std::string object;
    std::string section;
    std::uint64_t offset = 0;
    bool shares_section(const Place& other) const { return object == other.object && section == other.section; }
  };
  std::map<std::string, Place> code;  // where a symbol in an executable section lies: the last of its name
};

/// Adds those of one object. Throws InputError that starts with `name` where it cannot be read.
void add_symbols(std::span<const std::uint8_t> bytes, const std::string& name, ObjectSymbols& symbols);

}  // namespace framefold
