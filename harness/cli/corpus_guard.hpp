// What is not written over unless a person says so.
#pragma once

#include <string>
#include <vector>

#include "cli/corpus_folder.hpp"
#include "image/image.hpp"

namespace framefold {

/// Throws InputError where `folder`, or the one that it lies in (build/fuzz/runs/<entry>/corpus), has the name of
/// another bundled entry: its inputs mean something else there.
void expect_no_other_entry(const std::string& folder, const Entry& entry);

/// Throws InputError where `folder` holds what is not named by the SHA-1 of its contents: it need be no input.
void expect_only_inputs(const CorpusContents& old, const std::string& folder);

/// Throws InputError where `folder` holds other inputs than `fresh`.
void expect_no_others(const CorpusContents& old, const std::string& folder, const std::vector<InputBytes>& fresh);

}  // namespace framefold
