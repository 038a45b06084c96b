#include "run/reference_cache.hpp"

#include <bit>

namespace framefold {

namespace {

/// A hash of what differs most between scenarios; equality decides.
std::uint64_t hash_of(const Scenario& scenario) {
  constexpr std::uint64_t kFnvPrime = 0x100000001b3;
  constexpr int kRotation = 29;
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](std::uint64_t value) { hash = std::rotl(hash ^ value, kRotation) * kFnvPrime; };
  const Context& context = scenario.context;
  for (const std::uint64_t value : context.gpr) {
    add(value);
  }
  add(context.rflags);
  add(std::uint64_t{context.vector} | std::uint64_t{context.stack_offset} << 8 |
      std::uint64_t{context.place_offset} << 16 | std::uint64_t{context.mask} << 32 |
      std::uint64_t{context.pending} << 40 | std::uint64_t{context.port} << 48 |
      static_cast<std::uint64_t>(context.mode) << 56);
  for (std::size_t i = 0; i < scenario.arrival_count; ++i) {
    const Arrival& arrival = scenario.arrivals[i];
    add(static_cast<std::uint64_t>(arrival.kind) | std::uint64_t{arrival.port} << 8 |
        std::uint64_t{arrival.pending_value} << 16);
  }
  return hash ^ hash >> 32;
}

}  // namespace

ReferenceCache::Entry& ReferenceCache::place_of(const Scenario& replayed) {
  return entries_[hash_of(replayed) % kEntries];
}

void ReferenceCache::clear() {
  for (Entry& entry : entries_) {
    entry.used = false;
  }
}

}  // namespace framefold
