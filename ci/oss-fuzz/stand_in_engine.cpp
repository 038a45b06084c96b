// A fuzzing engine that runs the files that it is given, once each, and says what it has seen: what LIB_FUZZING_ENGINE
// may be. HONGGFUZZ: it has that engine's entry point, and numbers guards and counts their calls, as SanitizerCoverage
// has it (https://clang.llvm.org/docs/SanitizerCoverage.html). CENTIPEDE: it reads that engine's section of features.
// It is no fuzzer.
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
[[gnu::weak]] int LLVMFuzzerInitialize(int* argc, char*** argv);
}

namespace {

std::map<std::uint64_t, unsigned> seen;  // of one run

}  // namespace

extern "C" {
#ifdef HONGGFUZZ
void HF_ITER(const std::uint8_t**, std::size_t*) {}

void __sanitizer_cov_trace_pc_guard_init(std::uint32_t* start, std::uint32_t* stop) {
  static std::uint32_t count = 0;
  for (; start < stop && *start == 0; ++start) {
    *start = ++count;
  }
}

void __sanitizer_cov_trace_pc_guard(std::uint32_t* guard) { ++seen[*guard]; }
#endif
#ifdef CENTIPEDE
void CentipedeIsPresent() {}
extern std::uint64_t __start___centipede_extra_features;
extern std::uint64_t __stop___centipede_extra_features;
#endif
}

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // what the target says at the end, elsewhere, comes behind
  if (LLVMFuzzerInitialize != nullptr) {
    LLVMFuzzerInitialize(&argc, &argv);
  }
  bool good = true;
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    const std::vector<char> input(std::istreambuf_iterator<char>(file), {});
    seen.clear();
    const int result = LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
#ifdef CENTIPEDE
    for (const std::uint64_t* f = &__start___centipede_extra_features; f != &__stop___centipede_extra_features; ++f) {
      seen[*f] += *f != 0 ? 1 : 0;
    }
    seen.erase(0);
#endif
    std::printf("%s: returned %d, seen:", argv[i], result);
    for (const auto& [feature, count] : seen) {
      std::printf(" %" PRIu64 ":%u", feature, count);
    }
    std::printf("\n");
    good = good && result == 0;
  }
  return good ? 0 : 1;
}
