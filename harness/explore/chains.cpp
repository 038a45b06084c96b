#include "explore/chains.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include "explore/state_key.hpp"

namespace framefold {

namespace {

/// What a chain leads to, by what does not depend on values of data. (How many states it has does, and with
/// it by which way an end is found first: values that are the same by chance make two states one.) Of ends that differ
/// in what may still arrive, those with most.
std::set<std::uint64_t> ends_of(const Chain& chain) {
  std::set<std::uint64_t> shown;
  const auto signature = [](const ChainEnd& end) {
    const std::uint64_t key =
        mix(end.live, std::uint64_t{end.returns} | std::uint64_t{end.resumes} << 1 | std::uint64_t{end.identical} << 2 |
                          std::uint64_t{end.handler != nullptr} << 3 | std::uint64_t{end.alone} << 4 |
                          std::uint64_t{end.shown} << 5);
    return with_events(key, end.events);
  };
  for (const ChainEnd& end : chain.ends) {
    const bool less = std::any_of(chain.ends.begin(), chain.ends.end(), [&](const ChainEnd& other) {
      return other.nmis >= end.nmis && other.exceptions >= end.exceptions &&
             other.nmis + other.exceptions > end.nmis + end.exceptions && signature(other) == signature(end);
    });
    if (!less) {
      shown.insert(mix(mix(signature(end), end.nmis), end.exceptions));
    }
  }
  return shown;
}

}  // namespace

std::uint64_t chain_key(std::uint64_t chain_class, std::uint8_t budget, const Choice& choice, std::uint8_t port) {
  return mix(mix(chain_class, budget), static_cast<std::uint64_t>(choice.kind) | std::uint64_t{choice.vector} << 8 |
                                           std::uint64_t{choice.pending_value} << 16 | std::uint64_t{port} << 24 |
                                           std::uint64_t{choice.spurious} << 32);
}

std::uint64_t exact_key(std::uint64_t key, const Looks& exact, const Registers& interrupted, std::uint64_t state) {
  if (exact.has(Look::values)) {
    return mix(key, state);
  }
  const auto above = exact.borders.upper_bound(interrupted.rip);
  key = mix(mix(key, exact.set), above == exact.borders.end() ? 0 : *above);
  key = mix(key, above == exact.borders.begin() ? 0 : *std::prev(above));
  key = mix(key, exact.has(Look::memory) ? state : 0);
  key = mix(key, exact.has(Look::stack) ? interrupted[Gpr::rsp] : 0);
  return mix(key, exact.has(Look::flags) ? interrupted.rflags & kDataFlags : 0);
}

bool alike(const Chain& a, const Chain& b) { return a.shown == b.shown && ends_of(a) == ends_of(b); }

Chains::Chains(const Entry& entry) {
  const std::uint64_t first = entry.critical.begin.value;
  const std::uint64_t end = entry.critical.end.value;
  first_looks_.borders = {0, first, first + 1, end, end + 1};
}

void Chains::clear() {
  for (OfValues& of_values : of_values_) {
    of_values.chains.clear();
    of_values.looks.clear();
    of_values.confirmed.clear();
  }
}

const Looks* Chains::find_looks(std::uint64_t class_key) const {
  const auto found = current_->looks.find(class_key);
  return found == current_->looks.end() ? nullptr : &found->second;
}

Chain* Chains::find(std::uint64_t key) {
  const auto found = current_->chains.find(key);
  return found == current_->chains.end() ? nullptr : &found->second;
}

}  // namespace framefold
