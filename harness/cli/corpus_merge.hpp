// What a corpus keeps of the inputs that it is given.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/corpus_cover.hpp"
#include "cli/corpus_folder.hpp"
#include "cli/feature_probe.hpp"

namespace framefold {

/// A corpus has at most so many inputs, of at most kMaxEncodedSize bytes each. Merging alone keeps it as small as there
/// are features that only one input reaches: the regression corpora have 60 to 140, what a fuzzer finds in minutes 300.
inline constexpr std::size_t kMaxCorpusInputs = 512;

struct Rejected {
  std::string file;
  std::string signature;
};

struct MergeResult {
  std::vector<CoveringInput> kept;
  std::vector<Rejected> rejected;   // they show a violation that is not known
  std::size_t added = 0;            // of the new ones, those that are kept
  std::size_t features_before = 0;  // of the corpus as it was, less what is rejected
  std::size_t features = 0;         // of what is kept
  std::size_t lost = 0;             // features that no input that is kept reaches, since it would be one too many
};

/// Keeps of `corpus`, and then of `fresh`, smallest first, what reaches something that nothing before does; then what
/// nothing else reaches as well. Where those are more than `most`, the best_cover() of all. Scenarios are canonical, so
/// that what only looks different is one.
MergeResult merge_corpus(FeatureProbe& probe, const std::map<std::string, InputBytes>& corpus,
                         const std::map<std::string, InputBytes>& fresh, std::size_t most = kMaxCorpusInputs);

/// The inputs as a corpus keeps them: encoded anew, in the version of the format that this program writes.
std::vector<InputBytes> encode_all(const std::vector<CoveringInput>& inputs, const Entry& entry);

}  // namespace framefold
