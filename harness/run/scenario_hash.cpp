#include "run/scenario_hash.hpp"

#include <bit>

namespace framefold {

namespace {

/// FNV-1a with a rotation between the words, so that the upper bits of one reach the lower bits of the result.
class Hash {
 public:
  void add(std::uint64_t value) {
    constexpr std::uint64_t kFnvPrime = 0x100000001b3;
    constexpr int kRotation = 29;
    hash_ = std::rotl(hash_ ^ value, kRotation) * kFnvPrime;
  }
  void add(const Context& context) {
    for (const std::uint64_t value : context.gpr) {
      add(value);
    }
    add(context.rflags);
    add(std::uint64_t{context.vector} | std::uint64_t{context.stack_offset} << 8 |
        std::uint64_t{context.place_offset} << 16 | std::uint64_t{context.mask} << 32 |
        std::uint64_t{context.pending} << 40 | std::uint64_t{context.port} << 48 |
        static_cast<std::uint64_t>(context.mode) << 56);
  }
  std::uint64_t value() const { return hash_ ^ hash_ >> 32; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace

std::uint64_t hash_of_context(const Context& context) {
  Hash hash;
  hash.add(context);
  return hash.value();
}

std::uint64_t hash_of(const Scenario& scenario) {
  Hash hash;
  hash.add(scenario.context);
  for (std::size_t i = 0; i < scenario.arrival_count; ++i) {
    const Arrival& arrival = scenario.arrivals[i];
    hash.add(static_cast<std::uint64_t>(arrival.kind) | std::uint64_t{arrival.port} << 8 |
             std::uint64_t{arrival.pending_value} << 16);
  }
  return hash.value();
}

}  // namespace framefold
