// A description whose width is held against the files that it names before anything is read whose form depends on the
// width: of a wrong width, each of those lines would be the first that is wrong.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "image/description.hpp"

namespace framefold {

/// Is given `file`, `image`, `width` and the positions, and nothing else.
using WidthCheck = std::function<void(const Description&)>;

/// As parse_description, with `check_width` at that point.
Description parse_checked(std::string_view text, const std::string& file, const WidthCheck& check_width);

/// Throws InputError that names the width's line, where a file that `description.image` names is an ELF file of the
/// other width. It looks at nothing else of them.
void check_file_widths(const Description& description);

}  // namespace framefold
