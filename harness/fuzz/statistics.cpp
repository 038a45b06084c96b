#include "fuzz/statistics.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "report/boundaries.hpp"

namespace framefold {

namespace {

struct RegionCount {
  std::size_t total = 0;
  std::size_t hit = 0;     // at which something arrived
  std::size_t folded = 0;  // from which a frame was folded
};

RegionCount count_region(const std::vector<BoundaryReport>& boundaries) {
  RegionCount count;
  for (const BoundaryReport& boundary : boundaries) {
    if (boundary.in_region) {
      ++count.total;
      count.hit += boundary.arrivals() > 0 ? 1 : 0;
      count.folded += boundary.folds() > 0 ? 1 : 0;
    }
  }
  return count;
}

/// By bucket: rows may share one.
std::map<std::string, std::uint64_t> known_by_bucket(const Entry& entry, std::span<const std::uint64_t> rows) {
  std::map<std::string, std::uint64_t> buckets;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Finding finding;
    finding.kind = violation_kind_from_name(entry.known[i].description.kind).value();  // Oracle has checked it
    finding.cause = entry.known[i].first;
    if (rows[i] > 0) {
      buckets[bucket_of(entry, finding)] += rows[i];
    }
  }
  return buckets;
}

}  // namespace

std::string FuzzStatistics::text(const Guest& guest, const Coverage& coverage) const {
  const Entry& entry = guest.entry();
  const auto mean = [this](std::uint64_t sum) {
    constexpr double kPrecision = 1000;
    const double exact = executions_ == 0 ? 0 : static_cast<double>(sum) / static_cast<double>(executions_);
    return std::round(exact * kPrecision) / kPrecision;
  };
  const Coverage::EdgeCount edges = coverage.control_flow_edges();
  const std::vector<BoundaryReport> boundaries = boundary_reports(guest, coverage);
  const RegionCount region = count_region(boundaries);
  const std::uint64_t known = std::accumulate(known_.begin(), known_.end(), std::uint64_t{0});
  nlohmann::ordered_json json{
      {"entry", entry.name()},
      {"executions", executions_},
      {"arrivals_mean", mean(arrivals_)},
      {"folds_mean", mean(folds_)},
      {"guest_edges", edges.seen},
      {"guest_edges_total", edges.total},
      {"nests", entry.description.nests},
      {"boundaries", to_json(guest, boundaries)},
      {"known", known_by_bucket(entry, known_)},
  };
  return fmt::format(
      "framefold: {}: {} executions, each with {:.2f} arrivals and {:.2f} folds on average; {} of {} edges of the "
      "entry code; of {} boundaries of the region, arrivals at {} and folds from {}; known violations seen {} times\n"
      "{}framefold-stats: {}\n",
      entry.name(), executions_, mean(arrivals_), mean(folds_), edges.seen, edges.total, region.total, region.hit,
      region.folded, known, to_text(guest, boundaries), json.dump());
}

}  // namespace framefold
