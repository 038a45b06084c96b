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
/// are features that only one input reaches: the regression corpora have 60 to 140.
inline constexpr std::size_t kMaxCorpusInputs = 512;

/// Throws InputError where a corpus that is to lie in `folder` has more.
void check_bound(const std::string& folder, std::size_t inputs);

struct Rejected {
  std::string file;
  std::string signature;
};

struct MergeResult {
  std::vector<CoveringInput> kept;
  std::vector<Rejected> rejected;   // they show a violation that is not known
  std::size_t added = 0;            // of the new ones, those that are kept
  std::size_t features_before = 0;  // of the corpus as it was, less what is rejected
  std::size_t features = 0;
};

/// Keeps of `corpus`, and then of `fresh`, smallest first, what reaches something that nothing before does; then what
/// nothing else reaches as well. Scenarios are canonical, so that what only looks different is one.
MergeResult merge_corpus(FeatureProbe& probe, const std::map<std::string, InputBytes>& corpus,
                         const std::map<std::string, InputBytes>& fresh);

/// The inputs as a corpus keeps them: encoded anew, in the version of the format that this program writes.
std::vector<InputBytes> encode_all(const std::vector<CoveringInput>& inputs, const Entry& entry);

}  // namespace framefold
