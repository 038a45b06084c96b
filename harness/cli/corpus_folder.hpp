// A corpus: a folder with one input a file, in the binary form, named by the SHA-1 of its contents as libFuzzer does.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/no_input.hpp"

namespace framefold {

using InputBytes = std::vector<std::uint8_t>;

struct CorpusContents {
  std::map<std::string, InputBytes> inputs;  // by file name
  std::vector<Skipped> skipped;              // by path: what else is there, but for what is passed over
};

/// What lies in `folder` itself. Throws InputError where it cannot be read, and, unless `may_lack`, where it does not
/// exist.
CorpusContents read_corpus(const std::string& folder, bool may_lack = false);

/// The same, of a folder that has an input at least. Throws InputError where it has none.
CorpusContents read_inputs(const std::string& folder);

}  // namespace framefold
