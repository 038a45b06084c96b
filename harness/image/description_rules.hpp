// The rules of a description that no single key can break.
#pragma once

#include <string>
#include <string_view>

#include "image/description.hpp"

namespace framefold {

/// XEN_LEGACY_MAX_VCPUS: those whose vcpu_info is in the shared info page.
inline constexpr std::uint32_t kMostVcpus = 32;

/// Checks what depends on more than one key. The order of the vectors is still that of the text. Throws InputError.
void check_rules(const Description& description);

/// A key with its line, for the text of another's: "region.start (my/entry.toml:43)". Where the description does not
/// say it, the line of its table.
std::string key_and_line(const Description& description, std::string_view key);

/// A register's name in `frame.slots` as the description writes it: "eip" for "rip" on 32-bit.
std::string written_slot_name(std::string_view name, Width width);
/// With its line: "rip (entry.toml:73)".
std::string slot_and_line(const Description& description, std::string_view name);
/// Throws InputError where `written` is a register of the other width.
void check_slot_name(const Description& description, const std::string& written);

}  // namespace framefold
