// Many crash files, few bugs: files grouped by what they show.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "cli/no_input.hpp"
#include "report/verdict.hpp"

namespace framefold {

/// Files that show one bug: those of a bucket. A file is of one bug that is not known, its violation, and apart from
/// that of every known one that shows in it.
struct TriageGroup {
  std::string bucket;
  bool known = false;
  std::string text;                  // of the kind
  std::set<std::string> signatures;  // of its files
  std::vector<std::string> files;    // sorted
  std::string representative;        // the file with the fewest arrivals; of those the shortest story, then the first
  std::string representative_signature;
  unsigned arrivals = 0;  // of the representative
  std::uint32_t boundaries = 0;
  std::string replay;  // the command that tells its story
};

class Triage {
 public:
  void add(const FileReport& report);
  void skip(const Skipped& file) { skipped_.push_back(file); }
  std::size_t files() const { return files_; }

  /// What is not known comes first; then by bucket.
  std::vector<TriageGroup> groups() const;
  /// Files that show nothing.
  const std::vector<std::string>& clean() const { return clean_; }
  const std::vector<Skipped>& skipped() const { return skipped_; }

 private:
  void add(const FileReport& report, const FindingReport& finding);

  std::size_t files_ = 0;
  std::map<std::pair<bool, std::string>, TriageGroup> groups_;  // by known, bucket
  std::vector<std::string> clean_;
  std::vector<Skipped> skipped_;
};

std::string to_text(const Triage& triage);
/// {"format": 1, "groups": [...], "clean": [...], "skipped": [...]}
nlohmann::json to_json(const Triage& triage);

}  // namespace framefold
