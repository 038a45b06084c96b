// What arrived where: a fold that never happens has to be as visible as one that goes wrong.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "run/coverage.hpp"
#include "run/guest.hpp"

namespace framefold {

/// A boundary with what has been counted there.
struct BoundaryReport {
  GuestAddress address;
  bool in_region = false;
  BoundaryCounts counts;

  std::uint64_t arrivals() const;  // of all kinds
  std::uint64_t folds() const;
};

/// The boundaries of the entry's region, in order, each whether anything arrived there or not; then those elsewhere
/// from which a frame was folded.
std::vector<BoundaryReport> boundary_reports(const Guest& guest, const Coverage& coverage);

/// A table, with a heading that says what it counts.
std::string to_text(const Guest& guest, const std::vector<BoundaryReport>& reports);

/// [{"place": "scrit+0x3", "in_region": true, "arrived": {"event": 1, ...}, "delivered": {...}, "folded": {...}}, ...]
nlohmann::ordered_json to_json(const Guest& guest, const std::vector<BoundaryReport>& reports);

}  // namespace framefold
