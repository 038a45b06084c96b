// Inputs and what they do, as numbers: for holding runs in different orders, processes and builds equal.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "run/oracle.hpp"

namespace framefold::test {

/// `count` scenarios as a fuzzer makes them, by turns decoded from random bytes, mutated and crossed. Deterministic in
/// the seed.
std::vector<Scenario> digest_inputs(const Entry& entry, std::size_t count, std::uint64_t seed);

/// All that one input did: the hashes of both runs (every register, the touched memory, every delivery and handler's
/// frame), what the outcomes count, and the verdict. The oracle has to hash (Oracle::set_hash).
std::uint64_t digest_of(Oracle& oracle, const Scenario& scenario);

/// Of a sequence.
std::uint64_t digest_of(std::span<const std::uint64_t> digests);

}  // namespace framefold::test
