// Addresses and instructions of a guest as people read them: the image's by symbol, framefold's own places by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "run/guest.hpp"

namespace framefold {

/// "scrit+0x82"; "resume_page+0x10" for a place of framefold's own; "thread+0x3f00" for a stack; a bare hexadecimal
/// address otherwise.
std::string place_text(const Guest& guest, GuestAddress address);

/// The same, but nothing where the address means nothing.
std::optional<std::string> known_place(const Guest& guest, GuestAddress address);

/// "thread+0x3f00": the stack and the distance from its lowest address. A stack pointer may stand at a stack's very
/// top.
std::optional<std::string> stack_text(const Guest& guest, GuestAddress address);

/// Disassembly of the instruction at `address`, in the entry's text or in the hypercall page; what the model does there
/// for the places of framefold's own; empty otherwise.
std::string instruction_text(const Guest& guest, GuestAddress address);

}  // namespace framefold
