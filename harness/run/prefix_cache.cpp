#include "run/prefix_cache.hpp"

#include "run/scenario_hash.hpp"

namespace framefold {

PrefixCache::PrefixCache() : entries_(kEntries) {
  for (Prefix& prefix : entries_) {
    prefix.snapshot.bytes.reserve(kMostBytes);
  }
}

Prefix& PrefixCache::place_of(const Scenario& scenario) { return entries_[hash_of_beginning(scenario) % kEntries]; }

void PrefixCache::clear() {
  for (Prefix& prefix : entries_) {
    prefix.used = false;
  }
}

}  // namespace framefold
