#include "cli/corpus_merge.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "image/description.hpp"
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
      result_.rejected.push_back({candidate.file, signature_of(probe_.entry(), *violation)});
      return;
    }
    bool found = false;
    for (const std::uint32_t feature : probe_.features()) {
      found = found || !seen_[feature];
      seen_[feature] = true;
    }
    if (found) {
      result_.kept.push_back({scenario, {probe_.features().begin(), probe_.features().end()}});
    }
  }
  std::size_t features() const { return static_cast<std::size_t>(std::count(seen_.begin(), seen_.end(), true)); }
  MergeResult& result() { return result_; }

 private:
  FeatureProbe& probe_;
  std::vector<bool> seen_;
  MergeResult result_;
};

}  // namespace

MergeResult merge_corpus(FeatureProbe& probe, const std::map<std::string, InputBytes>& corpus,
                         const std::map<std::string, InputBytes>& fresh) {
  Merge merge(probe);
  std::vector<Scenario> old;
  for (const Candidate& candidate : by_size(corpus, probe.entry())) {
    merge.add(candidate);
    old.push_back(decode(candidate.encoded.view(), probe.entry()));
  }
  MergeResult& result = merge.result();
  result.features_before = merge.features();
  for (const Candidate& candidate : by_size(fresh, probe.entry())) {
    merge.add(candidate);
  }
  result.features = merge.features();
  drop_redundant(result.kept, probe.feature_limit());
  result.added = static_cast<std::size_t>(std::count_if(
      result.kept.begin(), result.kept.end(),
      [&old](const CoveringInput& input) { return std::find(old.begin(), old.end(), input.scenario) == old.end(); }));
  return std::move(result);
}

void check_bound(const std::string& folder, std::size_t inputs) {
  if (inputs > kMaxCorpusInputs) {
    throw InputError(fmt::format("{}: expected at most {} inputs, {} are needed; nothing was changed", folder,
                                 kMaxCorpusInputs, inputs));
  }
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
