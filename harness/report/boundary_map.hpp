// What comes of an event at each boundary of an entry's code, context by context: found by running it there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "run/oracle.hpp"

namespace framefold {

/// In the order of what weighs more where a boundary is passed more than once.
enum class BoundaryOutcome : std::uint8_t {
  not_reached,
  held,       // not delivered there: events are masked
  delivered,  // outside the window: its own frame is right
  folded,
  nested,     // in the window of an entry that nests on purpose
  known,      // breaks a promise, as the description says
  violation,  // breaks a promise
};
std::string_view name_of(BoundaryOutcome outcome);

struct BoundaryResult {
  BoundaryOutcome outcome = BoundaryOutcome::not_reached;
  std::string signature;  // of what it breaks; else empty
};

struct BoundaryColumn {
  std::string context;  // "event, kernel"
  std::map<GuestAddress, BoundaryResult> results;
};

/// The column of one context: the scenario's, without its arrivals.
BoundaryColumn boundary_column(Oracle& oracle, const Scenario& context, std::string name);

/// Plain contexts of the entry: each vector, mode, and event mask that Xen can produce, each a column.
std::vector<BoundaryColumn> boundary_map(Oracle& oracle);

}  // namespace framefold
