#include "fuzz/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

namespace framefold {

namespace {

/// The address of a boundary by its index (coverage.hpp).
GuestAddress boundary_address(const Guest& guest, std::size_t index) {
  const std::vector<Instruction>& text = guest.entry().instructions;
  if (index < text.size()) {
    return text[index].address;
  }
  index -= text.size();
  if (index < guest.stub().size()) {
    return guest.stub()[index].address;
  }
  return guest.entry().vectors[index - guest.stub().size()].handler + 1;
}

struct RegionCount {
  std::size_t hit = 0;  // boundaries at which something arrived
  std::size_t total = 0;
};

RegionCount count_region(const Entry& entry, const Coverage& coverage) {
  RegionCount count;
  for (std::size_t i = 0; i < entry.instructions.size(); ++i) {
    if (entry.region.contains(entry.instructions[i].address)) {
      const auto& arrived = coverage.counts()[i].arrived;
      ++count.total;
      count.hit += std::any_of(arrived.begin(), arrived.end(), [](std::uint64_t n) { return n > 0; }) ? 1 : 0;
    }
  }
  return count;
}

nlohmann::ordered_json folds_by_boundary(const Guest& guest, const Coverage& coverage) {
  auto folds = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < coverage.counts().size(); ++i) {
    if (const std::uint64_t folded = coverage.counts()[i].folded; folded > 0) {
      folds[format_location(guest.entry(), boundary_address(guest, i))] = folded;
    }
  }
  return folds;
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
  const RegionCount region = count_region(entry, coverage);
  const std::uint64_t known = std::accumulate(known_.begin(), known_.end(), std::uint64_t{0});
  nlohmann::ordered_json json{
      {"entry", entry.name()},
      {"executions", executions_},
      {"arrivals_mean", mean(arrivals_)},
      {"folds_mean", mean(folds_)},
      {"guest_edges", edges.seen},
      {"guest_edges_total", edges.total},
      {"region_boundaries_hit", region.hit},
      {"region_boundaries", region.total},
      {"folds_by_boundary", folds_by_boundary(guest, coverage)},
      {"known", known_by_bucket(entry, known_)},
  };
  return fmt::format(
      "framefold: {}: {} executions, each with {:.2f} arrivals and {:.2f} folds on average; {} of {} edges of the "
      "entry "
      "code; arrivals at {} of {} boundaries of the region, folds from {} boundaries; known violations seen {} times\n"
      "framefold-stats: {}\n",
      entry.name(), executions_, mean(arrivals_), mean(folds_), edges.seen, edges.total, region.hit, region.total,
      json["folds_by_boundary"].size(), known, json.dump());
}

}  // namespace framefold
