#include "fuzz/fuzz_target.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string_view>

#include "fuzz/guest_coverage.hpp"
#include "fuzz/input_file_name.hpp"
#include "fuzz/report_violation.hpp"
#include "fuzz/session.hpp"
#include "image/input_file.hpp"
#include "scenario/codec.hpp"
#include "scenario/mutator.hpp"

// libFuzzer's mutation of bytes. Weak: other engines link without it.
extern "C" [[gnu::weak]] std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

using namespace framefold;

constexpr int kExitBadUse = 2;
constexpr int kExitOwnError = 3;
constexpr std::size_t kMaxFileSize = std::size_t{1} << 20;  // of a file to make smaller
/// How often bytes are mutated as bytes: they reach what the structural mutator does not think of, and each costs a run
/// that more often than not shows nothing new.
constexpr std::uint64_t kBytesOneIn = 32;

constexpr const char* kEntryVariable = "FRAMEFOLD_ENTRY";

std::unique_ptr<FuzzSession> session;
InputFileName input_file;

void print_statistics() {
  std::fputs(session->statistics_text().c_str(), stderr);
  std::fflush(stderr);
}

[[noreturn]] void fail(const std::exception& error, int status) {
  std::fprintf(stderr, "framefold: %s\n", error.what());
  std::exit(status);
}

/// An empty path would be no entry there, and the binary's own one would be fuzzed instead.
void set_entry(const char* path) {
  if (*path == '\0') throw InputError("--entry: expected the path of an entry.toml, found nothing");
  ::setenv(kEntryVariable, path, 1);
}

/// Takes `--entry PATH` from the arguments, which are libFuzzer's otherwise, into the environment, from where the
/// processes that it starts have it as well.
void take_entry(int& argc, char** argv) {
  constexpr std::string_view kOption = "--entry";
  int kept = 0;
  for (int i = 0; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    if (i == 0 || !argument.starts_with(kOption)) {
      argv[kept++] = argv[i];
    } else if (argument.size() > kOption.size() && argument[kOption.size()] == '=') {
      set_entry(argv[i] + kOption.size() + 1);
    } else if (argument == kOption && i + 1 < argc) {
      set_entry(argv[++i]);
    } else {
      throw InputError(std::string(argument) + ": expected --entry and the path of an entry.toml");
    }
  }
  argc = kept;
  argv[kept] = nullptr;
}

void start(std::span<const char* const> arguments) {
  input_file = InputFileName(arguments);
  const char* const known = std::getenv("FRAMEFOLD_KNOWN");
  const char* const only = std::getenv("FRAMEFOLD_ONLY");
  const char* const entry = std::getenv(kEntryVariable);
  session = entry != nullptr && *entry != '\0' ? std::make_unique<FuzzSession>(std::string(entry), known, only)
                                               : std::make_unique<FuzzSession>(framefold_fuzz_entry, known, only);
  if (const std::optional<std::string> file = input_file.minimised()) {
    session->keep_to_bucket_of(read_input_file(*file, kMaxFileSize));
  }
  std::atexit(print_statistics);
}

std::size_t store(const Scenario& scenario, std::uint8_t* out, std::size_t max_size) {
  const std::span<const std::uint8_t> encoded = session->encoded(scenario);
  const std::size_t size = std::min(encoded.size(), max_size);  // what is cut off reads as 0
  std::copy_n(encoded.begin(), size, out);
  return size;
}

}  // namespace

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  try {
    take_entry(*argc, *argv);
    const std::span<const char* const> all(*argv, static_cast<std::size_t>(*argc));
    start(all.subspan(std::min<std::size_t>(all.size(), 1)));
  } catch (const InputError& error) {
    fail(error, kExitBadUse);
  } catch (const std::exception& error) {
    fail(error, kExitOwnError);
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span input(data, size);
  try {
    const Finding* finding = session->run(input);
    publish_guest_coverage();
    if (finding != nullptr) {
      report_violation(*session, *finding, input_file.of(input));
    }
  } catch (const std::exception& error) {
    report_internal_error(*session, error.what(), input_file.of(input));
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed) {
  Random random(seed);
  max_size = std::min(max_size, kMaxEncodedSize);
  size = std::min(size, max_size);
  if (LLVMFuzzerMutate != nullptr && random.one_in(kBytesOneIn)) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  Scenario scenario = session->decoded({data, size});
  mutate(scenario, session->entry(), random);
  session->aim().aim(scenario, random);
  return store(scenario, data, max_size);
}

std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* data1, std::size_t size1, const std::uint8_t* data2,
                                      std::size_t size2, std::uint8_t* out, std::size_t max_out_size, unsigned seed) {
  Random random(seed);
  const Entry& entry = session->entry();
  Scenario scenario = cross_over(session->decoded({data1, size1}), session->decoded({data2, size2}), entry, random);
  session->aim().aim(scenario, random);
  return store(scenario, out, max_out_size);
}
