#include "cli/boundary_counter.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/boundaries.hpp"

namespace framefold {

void BoundaryCounter::watch(Oracle& oracle) {
  const auto is_known = [&](const Counted& counted) { return counted.oracle == &oracle; };
  if (std::none_of(counted_.begin(), counted_.end(), is_known)) {
    counted_.push_back({&oracle, std::make_unique<Coverage>(oracle.entry(), std::span<std::uint8_t>())});
    oracle.set_coverage(counted_.back().coverage.get());
  }
}

std::string BoundaryCounter::text() const {
  std::string text;
  for (const Counted& counted : counted_) {
    text += "\n" + to_text(counted.guest(), boundary_reports(counted.guest(), *counted.coverage));
  }
  return text;
}

nlohmann::json BoundaryCounter::json() const {
  nlohmann::json json = nlohmann::json::object();
  for (const Counted& counted : counted_) {
    json[counted.oracle->entry().name()] =
        to_json(counted.guest(), boundary_reports(counted.guest(), *counted.coverage));
  }
  return json;
}

}  // namespace framefold
