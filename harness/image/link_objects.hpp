// Relocatable objects made into an entry image, by the system's `ld` and a linker script made from the description.
//
// What the objects leave undefined is defined here: what the description says it is (a handler, a stack, the hypercall
// page, the vcpu_info or its pointer, a counter, data of a size), else a trap for what they call, and zeroed bytes for
// what they use as data. A weak symbol that the code calls and does not look at, or that is described, is taken as any
// other. Sections may have any name: by their flags they become text, constants or data.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "image/description.hpp"

namespace framefold {

struct ImageFile {
  std::vector<std::uint8_t> elf;
  std::string name;  // for messages: its path, or those of the objects
  // What is undefined and undescribed: functions, data, and weak symbols that are neither, at address 0.
  std::vector<std::string> traps = {};
  std::vector<std::string> zeroed = {};
  std::vector<std::string> absent = {};
};

/// Bytes of data that nothing describes the size of.
inline constexpr std::uint64_t kUndescribedData = 64;

/// The files that `description.image` names: one, or objects separated by blanks.
std::vector<std::string> image_paths(const Description& description);

/// The image that `description.image` names: read, or linked where it is one relocatable object or several, separated
/// by blanks. Paths are relative to the description's file. Throws InputError.
ImageFile read_image_file(const Description& description);

/// What is wrong with a file that the description's `image` names, with that line.
InputError image_error(const Description& description, const InputError& error);

/// The description's width is as likely wrong as the file: throws InputError that names its line where the two differ.
void check_width(const Description& description, std::span<const std::uint8_t> elf, const std::string& elf_name);

}  // namespace framefold
