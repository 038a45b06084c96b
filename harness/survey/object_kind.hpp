// Whether a file is an ELF object that framefold can work with, before anything describes it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "image/width.hpp"

namespace framefold {

struct ObjectKind {
  Width width = Width::k64;
  bool relocatable = false;
  bool code = false;  // some section is executable
};

/// Throws InputError that starts with `name`: not ELF, of another machine, neither relocatable nor linked.
ObjectKind object_kind_of(std::span<const std::uint8_t> bytes, const std::string& name);

}  // namespace framefold
