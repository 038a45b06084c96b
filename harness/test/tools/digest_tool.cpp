// framefold_digest ENTRY COUNT SEED: the Unicorn that runs, and one number for all that COUNT inputs did.
//
// The number must not depend on the process, on the build or on the Unicorn: determinism_test and ci/compare-unicorn.sh
// hold it equal.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>

#include "machine/cpu.hpp"
#include "machine/self_test.hpp"
#include "test/digest.hpp"
#include "test/entries.hpp"

namespace {

using namespace framefold;

/// "unicorn 2.1.1 minios-x86_64-table 100000 inputs, seed 1: 0123456789abcdef"
void run(const std::string& name, std::size_t count, std::uint64_t seed, bool each) {
  const Entry& entry = test::bundled_entry(name);
  run_self_test(entry.width());
  Oracle oracle(entry);
  oracle.set_hash(true);
  std::vector<std::uint64_t> digests;
  digests.reserve(count);
  for (const Scenario& scenario : test::digest_inputs(entry, count, seed)) {
    digests.push_back(test::digest_of(oracle, scenario));
    if (each) {
      fmt::print("{} {:016x}\n", digests.size() - 1, digests.back());
    }
  }
  fmt::print("unicorn {} {} {} inputs, seed {}: {:016x}\n", unicorn_version(), name, count, seed,
             test::digest_of(digests));
}

}  // namespace

int main(int argc, char** argv) {
  const bool each = argc == 5 && std::string(argv[4]) == "each";
  if (argc != 4 && !each) {
    std::fputs("usage: framefold_digest ENTRY COUNT SEED [each]\n", stderr);
    return 2;
  }
  try {
    run(argv[1], std::stoul(argv[2]), std::stoull(argv[3]), each);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "framefold_digest: %s\n", error.what());
    return 3;
  }
  return 0;
}
