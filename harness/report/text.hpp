// Words on a line: labelled paragraphs, names that hold anything, commands to paste.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "image/width.hpp"
#include "report/style.hpp"

namespace framefold {

/// A label and a text that is broken at blanks and goes on below its own beginning. Ends in a line break.
std::string labelled(std::string_view label, std::string_view text, const Style& style = {});

/// A file's name in a line of text: control characters become '?'.
std::string printable(std::string name);

/// A word as a shell (bash) reads it back.
std::string shell_word(const std::string& word);

/// "5,247,755"
std::string grouped(std::uint64_t number);

/// A text inside HTML or XML, and inside an attribute's double quotes: what is no UTF-8 becomes U+FFFD.
std::string html_text(std::string_view text);

/// A text about both widths, for a guest of one: 32-bit ones have EFLAGS, EIP and ESP.
std::string for_width(std::string_view text, Width width);

}  // namespace framefold
