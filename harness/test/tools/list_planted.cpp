// Prints the planted faults for ci/find.sh: the variant, the signature to look for if it is a known one, and the kinds,
// a line each, with bars between.
#include <cstdio>

#include "test/planted_faults.hpp"

int main() {
  for (const framefold::test::PlantedFault& fault : framefold::test::planted_faults()) {
    std::printf("%s|%s|", fault.variant.c_str(), fault.only.c_str());
    for (const framefold::ViolationKind kind : fault.kinds) {
      std::printf("%s ", framefold::name_of(kind).data());
    }
    std::printf("\n");
  }
  return 0;
}
