// A corpus: a folder with one input a file, in the binary form, named by the SHA-1 of its contents as libFuzzer does.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/no_input.hpp"

namespace framefold {

using InputBytes = std::vector<std::uint8_t>;

struct CorpusFolder {
  std::map<std::string, InputBytes> inputs;  // by file name
  std::vector<Skipped> skipped;              // by path: what else is there, but for what is passed over
};

/// What lies in `folder` itself. Throws InputError where it cannot be read, and, unless `may_lack`, where it does not
/// exist.
CorpusFolder read_corpus(const std::string& folder, bool may_lack = false);

/// The same, of a folder that has an input at least. Throws InputError where it has none.
CorpusFolder read_inputs(const std::string& folder);

/// Replaces the inputs `old`, as they were read from `folder`, by these, under their own names; whatever else lies
/// there stays. All at once: the new folder is written beside it and then takes its place, so that who is interrupted
/// leaves the old one or the new one. Throws InputError.
void replace_corpus(const std::string& folder, const std::map<std::string, InputBytes>& old,
                    const std::vector<InputBytes>& inputs);

}  // namespace framefold
