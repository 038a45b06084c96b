#include "report/boundaries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "report/place.hpp"

namespace framefold {

namespace {

constexpr std::array kDeliveries = {DeliveryKind::event, DeliveryKind::exception, DeliveryKind::nmi};
static_assert(kDeliveries.size() == kDeliveryKindCount);

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

template <std::size_t kCount>
std::uint64_t sum(const std::array<std::uint64_t, kCount>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

nlohmann::ordered_json by_arrival(const std::array<std::uint64_t, kArrivalKindCount>& counts) {
  nlohmann::ordered_json json;
  for (std::size_t i = 0; i < kArrivalKindCount; ++i) {
    json[std::string(name_of(static_cast<ArrivalKind>(i)))] = counts[i];
  }
  return json;
}

nlohmann::ordered_json by_delivery(const std::array<std::uint64_t, kDeliveryKindCount>& counts) {
  nlohmann::ordered_json json;
  for (const DeliveryKind kind : kDeliveries) {
    json[std::string(name_of(kind))] = counts[static_cast<std::size_t>(kind)];
  }
  return json;
}

}  // namespace

std::uint64_t BoundaryReport::arrivals() const { return sum(counts.arrived); }
std::uint64_t BoundaryReport::folds() const { return sum(counts.folded); }

std::vector<BoundaryReport> boundary_reports(const Guest& guest, const Coverage& coverage) {
  std::vector<BoundaryReport> region;
  std::vector<BoundaryReport> elsewhere;
  // Indices behind those of the guest's boundaries are spare.
  const std::size_t count = guest.entry().instructions.size() + guest.stub().size() + guest.entry().vectors.size();
  for (std::size_t i = 0; i < count; ++i) {
    const GuestAddress address = boundary_address(guest, i);
    const BoundaryReport report{address, guest.entry().critical.contains(address), coverage.counts()[i]};
    if (report.in_region) {
      region.push_back(report);
    } else if (report.folds() > 0) {
      elsewhere.push_back(report);
    }
  }
  region.insert(region.end(), elsewhere.begin(), elsewhere.end());
  return region;
}

std::string to_text(const Guest& guest, const std::vector<BoundaryReport>& reports) {
  std::string text = fmt::format(
      "{}: arrivals at each boundary of the region, by kind, and of what they had Xen deliver there, how many were "
      "folded\n",
      guest.entry().name());
  if (reports.empty()) {
    return text + "  no region is described, and events are unmasked nowhere\n";
  }
  text += fmt::format("  {:<28} {:>9} {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9}  {}\n", "boundary", "event", "tick", "nmi",
                      "exception", "folded", "exception", "nmi", "instruction");
  for (const BoundaryReport& report : reports) {
    const auto& [arrived, delivered, folded] = report.counts;
    text += fmt::format("  {:<28} {:>9} {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9}  {}\n",
                        format_location(guest.entry(), report.address) + (report.in_region ? "" : " (outside)"),
                        arrived[0], arrived[1], arrived[2], arrived[3], folded[0], folded[1], folded[2],
                        instruction_text(guest, report.address));
  }
  return text;
}

nlohmann::ordered_json to_json(const Guest& guest, const std::vector<BoundaryReport>& reports) {
  auto json = nlohmann::ordered_json::array();
  for (const BoundaryReport& report : reports) {
    json.push_back({{"place", format_location(guest.entry(), report.address)},
                    {"in_region", report.in_region},
                    {"arrived", by_arrival(report.counts.arrived)},
                    {"delivered", by_arrival(report.counts.delivered)},
                    {"folded", by_delivery(report.counts.folded)}});
  }
  return json;
}

}  // namespace framefold
