#include "image/check_places.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "image/description_rules.hpp"

namespace framefold {

void check_returns(const Entry& entry) {
  for (const Vector& vector : entry.vectors) {
    const auto other = std::find_if(entry.vectors.begin(), entry.vectors.end(),
                                    [&](const Vector& each) { return each.handler == vector.handler; });
    if (other->description.returns == vector.description.returns) continue;
    throw description_error(
        entry.description, vector.description.key + ".returns",
        fmt::format("expected what {} says of it: both call {}",
                    key_and_line(entry.description, other->description.key + ".returns"), vector.description.handler));
  }
}

void check_vectors_differ(const Entry& entry) {
  for (const Vector& vector : entry.vectors) {
    const auto other = std::find_if(entry.vectors.begin(), entry.vectors.end(), [&](const Vector& each) {
      return &each != &vector && each.address == vector.address && each.handler != vector.handler;
    });
    if (vector.address != vector.handler || other == entry.vectors.end()) continue;
    throw description_error(
        entry.description, vector.description.key + ".symbol",
        fmt::format("expected where Xen enters, and no handler: {} is {}", vector.description.symbol,
                    key_and_line(entry.description, other->description.key + ".symbol")));
  }
}

/// Of start and end, the third label may tell which is wrong.
void check_region_order(const Entry& entry) {
  const Description& d = entry.description;
  const RegionDescription& region = d.region;
  const GuestRange& found = entry.region;
  const std::optional<GuestAddress>& third = entry.restore_end;
  if (found.end <= found.begin || found.end > entry.text.end) {
    if (found.end <= entry.text.end && third && *third <= found.end && *third < found.begin) {
      throw description_error(d, "region.start",
                              fmt::format("expected an address before {}, found {:#x}: {}", region.end,
                                          found.begin.value, key_and_line(d, "region.end")));
    }
    throw description_error(d, "region.end",
                            fmt::format("expected an address behind {} in the entry's code, found {:#x}: {}",
                                        region.start, found.end.value, key_and_line(d, "region.start")));
  }
  if (!third || (*third >= found.begin && *third <= found.end)) return;
  const char* const other = *third < found.begin ? "region.start" : "region.end";
  throw description_error(d, "region.restore_end",
                          fmt::format("expected an address from {} to {}, found {:#x}: {}", region.start, region.end,
                                      third->value, key_and_line(d, other)));
}

}  // namespace framefold
