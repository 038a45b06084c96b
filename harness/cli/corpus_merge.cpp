#include "cli/corpus_merge.hpp"

#include <algorithm>
#include <set>

#include "scenario/codec.hpp"

namespace framefold {

namespace {

struct Candidate {
  std::string file;
  Encoded encoded;
};

/// Smallest first: of two inputs that reach the same, the shorter one is the better to read. Then by name, so that the
/// result does not depend on the order of a directory.
std::vector<Candidate> by_size(const std::map<std::string, InputBytes>& inputs, const Entry& entry) {
  std::vector<Candidate> candidates;
  candidates.reserve(inputs.size());
  for (const auto& [file, bytes] : inputs) {
    candidates.push_back({file, encode(decode(bytes, entry), entry)});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.encoded.size < b.encoded.size; });
  return candidates;
}

class Merge {
 public:
  explicit Merge(FeatureProbe& probe) : probe_(probe), seen_(probe.feature_limit()) {}

  void add(const Candidate& candidate) {
    const Scenario scenario = decode(candidate.encoded.view(), probe_.entry());
    const Verdict& verdict = probe_.run(scenario);
    if (const Finding* violation = verdict.violation()) {
      rejected_.push_back({candidate.file, signature_of(probe_.entry(), *violation)});
      return;
    }
    bool found = false;
    for (const std::uint32_t feature : probe_.features()) {
      found = found || !seen_[feature];
      seen_[feature] = true;
    }
    (found ? finders_ : others_).push_back({scenario, {probe_.features().begin(), probe_.features().end()}});
  }
  std::size_t features() const { return static_cast<std::size_t>(std::count(seen_.begin(), seen_.end(), true)); }
  std::vector<Rejected>& rejected() { return rejected_; }

  std::vector<CoveringInput> choose(std::size_t most) const {
    std::vector<CoveringInput> kept = finders_;
    drop_redundant(kept, probe_.feature_limit());
    if (kept.size() > most) {
      kept = finders_;
      kept.insert(kept.end(), others_.begin(), others_.end());
      kept = best_cover(std::move(kept), probe_.feature_limit(), most);
    }
    return kept;
  }

 private:
  FeatureProbe& probe_;
  std::vector<bool> seen_;
  std::vector<CoveringInput> finders_;  // of something that nothing before them reached
  std::vector<CoveringInput> others_;
  std::vector<Rejected> rejected_;
};

std::size_t count_features(const std::vector<CoveringInput>& inputs) {
  std::set<std::uint32_t> features;
  for (const CoveringInput& input : inputs) {
    features.insert(input.features.begin(), input.features.end());
  }
  return features.size();
}

}  // namespace

MergeResult merge_corpus(FeatureProbe& probe, const std::map<std::string, InputBytes>& corpus,
                         const std::map<std::string, InputBytes>& fresh, std::size_t most) {
  Merge merge(probe);
  MergeResult result;
  std::vector<Scenario> old;
  for (const Candidate& candidate : by_size(corpus, probe.entry())) {
    merge.add(candidate);
    old.push_back(decode(candidate.encoded.view(), probe.entry()));
  }
  result.features_before = merge.features();
  for (const Candidate& candidate : by_size(fresh, probe.entry())) {
    merge.add(candidate);
  }
  result.kept = merge.choose(most);
  result.rejected = std::move(merge.rejected());
  result.features = count_features(result.kept);
  result.lost = merge.features() - result.features;
  result.added = static_cast<std::size_t>(std::count_if(
      result.kept.begin(), result.kept.end(),
      [&old](const CoveringInput& input) { return std::find(old.begin(), old.end(), input.scenario) == old.end(); }));
  return result;
}

std::vector<InputBytes> encode_all(const std::vector<CoveringInput>& inputs, const Entry& entry) {
  std::vector<InputBytes> all;
  for (const CoveringInput& input : inputs) {
    const Encoded encoded = encode(input.scenario, entry);
    all.emplace_back(encoded.view().begin(), encoded.view().end());
  }
  return all;
}

}  // namespace framefold
