// The entry of a fuzz binary that has all variants: FRAMEFOLD_VARIANT says which one it runs.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "test/variants.hpp"

namespace framefold {

namespace {

BundledEntry from_environment() {
  const char* name = std::getenv("FRAMEFOLD_VARIANT");
  try {
    return test::find_variant(name == nullptr ? "" : name);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "FRAMEFOLD_VARIANT: %s\n", error.what());
    std::exit(2);
  }
}

}  // namespace

const BundledEntry framefold_fuzz_entry = from_environment();

}  // namespace framefold
