#include "test/digest.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "scenario/codec.hpp"
#include "scenario/mutator.hpp"

namespace framefold::test {

namespace {

/// FNV-1a over words.
class Hash {
 public:
  void add(std::uint64_t value) {
    constexpr std::uint64_t kFnvPrime = 0x100000001b3;
    value_ = (value_ ^ value) * kFnvPrime;
    value_ ^= value_ >> 32;  // high bits of a word reach low bits of the hash
  }
  void add(std::string_view text) {
    for (const char c : text) {
      add(static_cast<unsigned char>(c));
    }
    add(text.size());
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

void add(Hash& hash, const Outcome& outcome) {
  hash.add(outcome.hash);
  hash.add(static_cast<std::uint64_t>(outcome.mode));
  hash.add(outcome.mask);
  hash.add(outcome.pending ? 1 : 0);
  hash.add(outcome.async_exception_mask);
  for (std::size_t port = 0; port < kPortCount; ++port) {
    if (outcome.handled.test(port)) {
      hash.add(port);
    }
  }
  hash.add(outcome.resumed ? 1 : 0);
  for (const ArrivalRecord& arrival : outcome.arrivals) {
    hash.add(arrival.boundary.value);
    hash.add(arrival.conditions);
    hash.add((arrival.reached ? 1U : 0U) | (arrival.delivered ? 2U : 0U));
  }
  hash.add(outcome.reached);
  hash.add(outcome.folds);
  hash.add(outcome.boundaries);
  hash.add(outcome.handler_calls);
  hash.add(outcome.deliveries);
}

void add(Hash& hash, const Finding& finding) {
  hash.add(static_cast<std::uint64_t>(finding.kind));
  hash.add(finding.cause.value);
  hash.add(finding.conditions);
  hash.add(finding.arrivals);
  hash.add(static_cast<std::uint64_t>(finding.known + 1));
  hash.add(static_cast<std::uint64_t>(finding.source));
  hash.add(finding.detail.what);
  hash.add(finding.detail.expected);
  hash.add(finding.detail.found);
}

Scenario random_bytes(const Entry& entry, Random& random) {
  std::array<std::uint8_t, kMaxEncodedSize> bytes{};
  const std::size_t size = random.below(bytes.size() + 1);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::uint8_t>(random.next());
  }
  return decode({bytes.data(), size}, entry);
}

/// Distances that a run reaches: from delivery to resumption it has 60 to 200 boundaries.
void bring_within_reach(Scenario& scenario, Random& random) {
  constexpr std::uint64_t kReach = 70;
  for (std::size_t i = 0; i < scenario.arrival_count; ++i) {
    scenario.arrivals[i].distance = static_cast<std::uint16_t>(random.below(kReach));
  }
}

}  // namespace

std::vector<Scenario> digest_inputs(const Entry& entry, std::size_t count, std::uint64_t seed) {
  constexpr std::size_t kGeneration = 16;  // parents are among the last so many: mutations add up
  Random random(seed);
  std::vector<Scenario> inputs;
  inputs.reserve(count);
  const auto parent = [&]() -> const Scenario& {
    return inputs[inputs.size() - 1 - random.below(std::min(inputs.size(), kGeneration))];
  };
  while (inputs.size() < count) {
    if (inputs.empty() || random.one_in(16)) {
      inputs.push_back(random_bytes(entry, random));
    } else if (random.one_in(3)) {
      Scenario fresh = decode({}, entry);
      for (std::uint64_t changes = 3 + random.below(12); changes != 0; --changes) {
        mutate(fresh, entry, random);
      }
      bring_within_reach(fresh, random);
      inputs.push_back(fresh);
    } else if (random.one_in(8)) {
      const Scenario& a = parent();
      const Scenario& b = parent();
      inputs.push_back(cross_over(a, b, entry, random));
    } else {
      Scenario child = parent();
      mutate(child, entry, random);
      inputs.push_back(child);
    }
  }
  return inputs;
}

std::uint64_t digest_of(Oracle& oracle, const Scenario& scenario) {
  const Verdict& verdict = oracle.judge(scenario);
  Hash hash;
  add(hash, oracle.nested());
  add(hash, oracle.reference());
  for (const Finding& finding : verdict.view()) {
    add(hash, finding);
  }
  return hash.value();
}

std::uint64_t digest_of(std::span<const std::uint64_t> digests) {
  Hash hash;
  for (const std::uint64_t digest : digests) {
    hash.add(digest);
  }
  return hash.value();
}

}  // namespace framefold::test
