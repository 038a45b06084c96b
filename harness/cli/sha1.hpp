// SHA-1 (FIPS 180-4), because that is how libFuzzer names the inputs of a corpus. Nothing rests on its strength.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace framefold {

/// Forty lower-case hexadecimal digits.
std::string sha1_name(std::span<const std::uint8_t> bytes);

}  // namespace framefold
