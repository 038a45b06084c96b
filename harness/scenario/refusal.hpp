// Why a scenario is not one that Xen can produce: for people who write one. Fuzz inputs are canonicalised instead.
#pragma once

#include <optional>
#include <string>

#include "scenario/scenario.hpp"

namespace framefold {

struct Refusal {
  std::string key;  // as in the text form: "context.mask", "arrival[2].port"
  std::string why;
};

/// The first thing that canonicalise would change; nothing where the scenario is canonical.
std::optional<Refusal> refusal(const Scenario& scenario, const Entry& entry);

}  // namespace framefold
