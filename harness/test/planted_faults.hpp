// The planted faults that a search from nothing has to find: one list for planted_test and for ci/find.sh.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "run/oracle.hpp"

namespace framefold::test {

struct PlantedFault {
  std::string variant;               // for find_variant()
  std::vector<ViolationKind> kinds;  // as which it may show first
  std::string only;                  // the signature to look for, where it is a known one
  bool by_exception = false;         // it takes one that arrives

  friend std::ostream& operator<<(std::ostream& out, const PlantedFault& fault) { return out << fault.variant; }
};

/// The bytes of minios-x86_64-table's table come last, each boundary's once 8 more and, where it can be, once 8 less.
std::vector<PlantedFault> planted_faults();

struct FoundFault {
  std::uint64_t executions = 0;
  Finding finding;
};

/// By the random scenarios of directed.hpp.
std::optional<FoundFault> search(Oracle& oracle, const PlantedFault& fault, std::uint64_t seed, std::uint64_t limit);

}  // namespace framefold::test
