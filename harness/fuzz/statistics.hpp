// What a fuzz binary says at its end about what its inputs did.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "run/oracle.hpp"

namespace framefold {

class FuzzStatistics {
 public:
  explicit FuzzStatistics(const Entry& entry) : known_(entry.known.size()) {}

  /// Counts one execution. Does not allocate.
  void add(const Outcome& nested, const Verdict& verdict) {
    ++executions_;
    arrivals_ += nested.reached;
    folds_ += nested.folds;
    for (const Finding& finding : verdict.view()) {
      if (finding.known >= 0) {
        ++known_[static_cast<std::size_t>(finding.known)];
      }
    }
  }

  std::uint64_t executions() const { return executions_; }
  /// Executions that showed each row of Entry::known.
  std::span<const std::uint64_t> known() const { return known_; }

  /// A line and a table of the region's boundaries for people, and a line `framefold-stats: {json}`.
  std::string text(const Guest& guest, const Coverage& coverage) const;

 private:
  std::uint64_t executions_ = 0;
  std::uint64_t arrivals_ = 0;  // taken, in nested runs
  std::uint64_t folds_ = 0;
  std::vector<std::uint64_t> known_;
};

}  // namespace framefold
