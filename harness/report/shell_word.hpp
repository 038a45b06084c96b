// Text that a person pastes into a shell.
#pragma once

#include <string>

namespace framefold {

/// What a terminal might obey.
inline bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// As one word of a command. Only what a shell takes as it stands is left without quotes; control characters need
/// bash's $'...'.
std::string shell_word(const std::string& word);

}  // namespace framefold
