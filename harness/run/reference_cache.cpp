#include "run/reference_cache.hpp"

#include "run/scenario_hash.hpp"

namespace framefold {

ReferenceCache::Entry& ReferenceCache::place_of(const Scenario& replayed) {
  return entries_[hash_of(replayed) % kEntries];
}

void ReferenceCache::clear() {
  for (Entry& entry : entries_) {
    entry.used = false;
  }
}

}  // namespace framefold
