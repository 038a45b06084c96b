// A corpus: a folder with one input a file, in the binary form, named by the SHA-1 of its contents as libFuzzer does.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace framefold {

using InputBytes = std::vector<std::uint8_t>;

/// The inputs in `folder` itself, by file name; hidden files and *.md are none. Throws InputError where it cannot be
/// read or holds anything else, and, unless `may_lack`, where it does not exist.
std::map<std::string, InputBytes> read_corpus(const std::string& folder, bool may_lack = false);

/// The same, of a folder that has one at least. Throws InputError where it has none.
std::map<std::string, InputBytes> read_inputs(const std::string& folder);

/// Replaces the inputs `old`, as they were read from `folder`, by these, under their own names; whatever else lies there
/// stays. All at once: the new folder is written beside it and then takes its place, so that who is interrupted leaves
/// the old one or the new one. Throws InputError.
void replace_corpus(const std::string& folder, const std::map<std::string, InputBytes>& old,
                    const std::vector<InputBytes>& inputs);

}  // namespace framefold
