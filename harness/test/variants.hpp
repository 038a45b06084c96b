// Entries with something wrong, or with something put right: patched at assembly, or in one byte of the image.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/bundled.hpp"
#include "image/image.hpp"

namespace framefold::test {

/// Those that variants.cmake lists: "minios-x86_64-table.no_cld".
std::span<const BundledEntry> patched_variants();

/// A bundled entry, a patched variant, or "<either>@0x102040=0x38": with that value in the byte at that address of its
/// image. Lives to the end of the process. Throws std::out_of_range.
BundledEntry find_variant(std::string_view name);

std::unique_ptr<const Entry> load_variant(std::string_view name);

/// What is no letter and no digit is `_`, as GoogleTest wants its names.
std::string test_name(std::string_view name);

}  // namespace framefold::test
