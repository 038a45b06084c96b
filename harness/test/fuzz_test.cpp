// The fuzz target without a fuzzing engine: start-up, runs, mutation, what it prints and how it aborts.
#include <execinfo.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "counting_new.hpp"
#include "fuzz/fuzz_target.hpp"
#include "fuzz/guest_counters.hpp"
#include "fuzz/input_file_name.hpp"
#include "fuzz/report_violation.hpp"
#include "fuzz/violation_frames.hpp"
#include "own_folder.hpp"
#include "scenario/codec.hpp"
#include "scenario/mutator.hpp"
#include "scenario/toml.hpp"

namespace framefold {

namespace {

BundledEntry bundled(std::string_view name) {
  const std::span<const BundledEntry> all = bundled_entries();
  return *std::find_if(all.begin(), all.end(), [name](const BundledEntry& entry) { return entry.name == name; });
}

}  // namespace

// As in a fuzz binary.
const BundledEntry framefold_fuzz_entry = bundled("minios-x86_64-table");

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Bytes = std::vector<std::uint8_t>;

/// The empty input: an event, no arrivals. This entry calls its handler with a misaligned stack, which is known.
constexpr std::string_view kKnownSignature = "minios-x86_64-table:handler-abi:call_event_handler";

void initialise() {
  static const bool done = [] {
    static std::string name = "fuzz_test";
    static std::array<char*, 2> arguments{name.data(), nullptr};
    int count = 1;
    char** values = arguments.data();
    return LLVMFuzzerInitialize(&count, &values) == 0;
  }();
  ASSERT_TRUE(done);
}

std::array<std::uint8_t, kGuestCounters> counters_of(const Bytes& input) {
  framefold_guest_counters.fill(0);
  EXPECT_EQ(LLVMFuzzerTestOneInput(input.data(), input.size()), 0);
  return framefold_guest_counters;
}

/// What a fuzzer would get to by mutation alone.
std::vector<Bytes> some_inputs(std::size_t count) {
  std::vector<Bytes> inputs;
  Bytes buffer(kMaxEncodedSize);
  std::size_t size = 0;
  for (std::size_t i = 0; i < count; ++i) {
    size = LLVMFuzzerCustomMutator(buffer.data(), size, buffer.size(), static_cast<unsigned>(i));
    inputs.emplace_back(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
  }
  return inputs;
}

TEST(FuzzTarget, GivesOneInputTheSameFeaturesEachTime) {
  initialise();
  const std::vector<Bytes> inputs = some_inputs(50);
  std::vector<std::array<std::uint8_t, kGuestCounters>> first;
  for (const Bytes& input : inputs) {
    first.push_back(counters_of(input));
    EXPECT_GT(std::count_if(first.back().begin(), first.back().end(), [](std::uint8_t n) { return n != 0; }), 2);
  }
  EXPECT_NE(first.front(), first.back());
  for (int round = 0; round < 100; ++round) {
    for (std::size_t i = inputs.size(); i-- > 0;) {
      ASSERT_EQ(counters_of(inputs[i]), first[i]) << "input " << i << ", round " << round;
    }
  }
}

/// What the mutator has just made is not decoded again: it must be what decoding would have given.
TEST(FuzzTarget, RunsWhatTheMutatorMadeAsItRunsTheSameBytesLater) {
  initialise();
  Bytes made(kMaxEncodedSize);
  Bytes other(kMaxEncodedSize);
  std::size_t size = 0;
  for (unsigned seed = 0; seed < 500; ++seed) {
    made.resize(kMaxEncodedSize);
    size = LLVMFuzzerCustomMutator(made.data(), size, made.size(), seed);
    made.resize(size);
    const auto at_once = counters_of(made);
    LLVMFuzzerCustomMutator(other.data(), 0, other.size(), seed + 1);
    ASSERT_EQ(counters_of(made), at_once) << "seed " << seed;
  }
}

TEST(FuzzTarget, DoesNotAllocate) {
  initialise();
  const std::vector<Bytes> inputs = some_inputs(200);
  Bytes buffer(kMaxEncodedSize);
  for (const Bytes& input : inputs) {  // what Unicorn translates, it allocates for once
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  ASSERT_TRUE(test::counts_allocations());
  test::allocations = 0;
  for (const Bytes& input : inputs) {
    LLVMFuzzerTestOneInput(input.data(), input.size());
    std::copy(input.begin(), input.end(), buffer.begin());
    LLVMFuzzerCustomMutator(buffer.data(), input.size(), buffer.size(), 1);
    LLVMFuzzerCustomCrossOver(input.data(), input.size(), inputs[0].data(), inputs[0].size(), buffer.data(),
                              buffer.size(), 1);
  }
  EXPECT_EQ(test::allocations, 0U);
}

TEST(FuzzTarget, MutatesDeterministicallyAndWithinTheSpaceGiven) {
  initialise();
  for (const std::size_t space : {std::size_t{0}, std::size_t{1}, std::size_t{33}, std::size_t{4096}}) {
    Bytes once(space);
    Bytes again(space);
    for (unsigned seed = 0; seed < 50; ++seed) {
      const std::size_t size = LLVMFuzzerCustomMutator(once.data(), 0, space, seed);
      EXPECT_EQ(LLVMFuzzerCustomMutator(again.data(), 0, space, seed), size);
      EXPECT_LE(size, std::min(space, kMaxEncodedSize));
      EXPECT_EQ(once, again);
      const std::size_t crossed = LLVMFuzzerCustomCrossOver(once.data(), size, nullptr, 0, again.data(), space, seed);
      EXPECT_LE(crossed, space);
      std::copy(once.begin(), once.end(), again.begin());
    }
  }
}

class Session : public ::testing::Test {
 protected:
  static FuzzSession make(const char* known = nullptr, const char* only = nullptr) {
    return {framefold_fuzz_entry, known, only};
  }
};

TEST_F(Session, SaysAllThatABugReportNeeds) {
  FuzzSession session = make("report");
  const Finding finding = *session.run({});
  const std::string text = violation_text(session, finding, "it's/crash-1");
  EXPECT_THAT(text, HasSubstr("framefold: " + std::string(kKnownSignature) + " (known)\n"));
  EXPECT_THAT(text, HasSubstr("\nASSERTION FAILED: FuzzerHash=minios-x86_64-table:handler-abi:call_event_handler\n"));
  EXPECT_THAT(text, HasSubstr("\n  rests on: handler.stack_alignment = 16 (minios-x86_64-table/entry.toml:"));
  EXPECT_THAT(text, HasSubstr("call_event_handler      callq do_hypervisor_callback"));
  EXPECT_THAT(text,
              HasSubstr("\nreplay: framefold run --entry minios-x86_64-table --known=report 'it'\\''s/crash-1'\n"));
  const std::size_t begin = text.find("scenario:\n") + 10;
  const ParsedScenario parsed =
      from_toml(text.substr(begin, text.find("\ntimeline:") - begin), "report", session.entry());
  EXPECT_EQ(parsed.scenario, session.scenario());
  EXPECT_EQ(parsed.notes.signature, kKnownSignature);
  EXPECT_THAT(violation_text(session, finding, std::nullopt), HasSubstr("<the file with this input"));
}

/// What FRAMEFOLD_ONLY asks for need not be the first that the replay shows.
TEST_F(Session, NamesTheSignatureToReplayWhereOneWasAskedFor) {
  FuzzSession session = make(nullptr, kKnownSignature.data());
  const Finding finding = *session.run({});
  EXPECT_THAT(violation_text(session, finding, "crash-1"),
              HasSubstr(" --known=report --trace --signature=" + std::string(kKnownSignature) + " crash-1\n"));
}

std::string own_entry() { return FRAMEFOLD_OWN_ENTRIES "/padded64/entry.toml"; }

/// Starts as a fuzz binary with these arguments, and exits with how many are left for the engine.
[[noreturn]] void start_with(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  char** values = arguments.data();
  LLVMFuzzerInitialize(&count, &values);
  LLVMFuzzerTestOneInput(nullptr, 0);
  std::exit(count);
}

TEST(OwnEntry, IsTakenFromTheArgumentsOrTheEnvironment) {
  const auto left = [](int count) { return testing::ExitedWithCode(count); };
  EXPECT_EXIT(start_with({"fuzz", "--entry", own_entry(), "corpus"}), left(2), "framefold: padded64: 1 executions");
  EXPECT_EXIT(start_with({"fuzz", "-runs=1", "--entry=" + own_entry()}), left(2), "framefold: padded64: 1 executions");
  EXPECT_EXIT(
      {
        ::setenv("FRAMEFOLD_ENTRY", own_entry().c_str(), 1);
        start_with({"fuzz"});
      },
      left(1), "framefold: padded64: 1 executions");
  EXPECT_EXIT(start_with({"fuzz", "--entry"}), left(2), "framefold: --entry: expected");
  EXPECT_EXIT(start_with({"fuzz", "--entry="}), left(2), "framefold: --entry: expected the path .* found nothing");
  EXPECT_EXIT(start_with({"fuzz", "--entry", ""}), left(2), "framefold: --entry: expected the path .* found nothing");
  EXPECT_EXIT(start_with({"fuzz", "--entry", "nosuch/entry.toml"}), left(2),
              "framefold: nosuch/entry.toml: expected a");
}

TEST(OwnEntry, HasADescriptionThatHolds) {
  const std::string wrong = FRAMEFOLD_OWN_ENTRIES "/padded64/fuzz_test.toml";
  std::ifstream in(own_entry());
  std::string text(std::istreambuf_iterator<char>(in), {});
  const std::string argument = "argument = \"rdi\"";
  text.replace(text.find(argument), argument.size(), "argument = \"rsi\"");
  std::ofstream(wrong) << text;
  try {
    const FuzzSession session(wrong, nullptr, nullptr);
    ADD_FAILURE() << "accepted";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("handler.argument: expected \"rdi\""));
  }
  ::unlink(wrong.c_str());
}

TEST(OwnEntry, IsNamedByItsPathInWhatReplays) {
  const FuzzSession session(own_entry(), nullptr, nullptr);
  EXPECT_THAT(internal_error_text(session, "broken", "crash-1"),
              HasSubstr("replay: framefold run --entry " + own_entry() + " crash-1"));
}

TEST_F(Session, SaysAnErrorOfItsOwnApart) {
  const std::string text = internal_error_text(make(), "Unicorn: broken", "crash-1");
  EXPECT_THAT(text, HasSubstr("Unicorn: broken"));
  EXPECT_THAT(text, HasSubstr("FuzzerHash=minios-x86_64-table:internal-error:framefold\n"));
}

TEST_F(Session, CountsWhatItsInputsDid) {
  FuzzSession session = make();
  Scenario scenario = decode({}, session.entry());
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    mutate(scenario, session.entry(), random);
    session.aim().aim(scenario, random);
    session.run(encode(scenario, session.entry()).view());
  }
  const std::string text = session.statistics_text();
  const std::string mark = "framefold-stats: ";
  const auto json = nlohmann::json::parse(text.substr(text.find(mark) + mark.size()));
  EXPECT_EQ(json["entry"], "minios-x86_64-table");
  EXPECT_EQ(json["executions"], 2000);
  EXPECT_GT(json["arrivals_mean"], 0.5);
  EXPECT_GT(json["folds_mean"], 0.2);
  EXPECT_GT(json["guest_edges"], 10);
  EXPECT_LE(json["guest_edges"], json["guest_edges_total"]);
  EXPECT_EQ(json["boundaries"].size(), 32U);
  EXPECT_EQ(json["boundaries"][1]["place"], "scrit+0x3");
  EXPECT_GT(json["boundaries"][1]["delivered"]["event"], 0);
  EXPECT_GT(json["boundaries"][1]["folded"]["event"], 0);
  EXPECT_THAT(text,
              testing::ContainsRegex("of 32 boundaries of the region, arrivals at [0-9]+ and folds from [0-9]+;"));
  EXPECT_THAT(text, testing::ContainsRegex("\n +scrit\\+0x3 .*jne scrit\\+0x89\n"));
  EXPECT_GT(json["known"]["minios-x86_64-table:handler-abi:call_event_handler"], 0);
}

TEST_F(Session, AimsEventsAtTheWindow) {
  FuzzSession session = make();
  Random random(1);
  std::size_t aimed_folds = 0;
  std::size_t folds = 0;
  for (unsigned i = 0; i < 1000; ++i) {
    Scenario scenario = decode({}, session.entry());
    scenario.arrival_count = 2;
    for (Arrival& arrival : std::span(scenario.arrivals).first(2)) {
      arrival.distance = static_cast<std::uint16_t>(random.below(160));
    }
    canonicalise(scenario, session.entry());
    session.oracle().judge(scenario);
    folds += session.oracle().nested().folds;
    session.aim().aim(scenario, random);
    session.oracle().judge(scenario);
    aimed_folds += session.oracle().nested().folds;
  }
  EXPECT_GT(aimed_folds, 1000U);
  EXPECT_GT(aimed_folds, 3 * folds);
}

TEST(InputFileName, KnowsWhatIsMinimised) {
  const std::string file = test::own_file("fuzz_test.minimised");
  std::ofstream(file) << "x";
  const auto minimised = [](std::vector<const char*> arguments) { return InputFileName(arguments).minimised(); };
  EXPECT_EQ(minimised({"-minimize_crash=1", file.c_str()}), file);
  EXPECT_EQ(minimised({file.c_str(), "-minimize_crash_internal_step=1"}), file);
  EXPECT_EQ(minimised({file.c_str()}), std::nullopt);
  EXPECT_EQ(minimised({"-minimize_crash=0", file.c_str()}), std::nullopt);
  EXPECT_EQ(minimised({"-minimize_crash=1"}), std::nullopt);
  std::remove(file.c_str());
}

TEST(InputFileName, FollowsLibFuzzersOptions) {
  const auto name = [](std::vector<const char*> arguments) { return InputFileName(arguments).of({}); };
  EXPECT_EQ(name({"-exact_artifact_path=there"}), "there");
  EXPECT_EQ(name({"-runs=1"}), std::nullopt) << "this binary has no libFuzzer to name it";
  const std::string path = test::own_file("fuzz_test_input");
  std::ofstream(path) << "x";
  EXPECT_EQ(name({path.c_str()}), path);
  EXPECT_EQ(name({"--", path.c_str()}), path);
  EXPECT_EQ(name({path.c_str(), path.c_str()}), std::nullopt);
  EXPECT_EQ(name({::testing::TempDir().c_str()}), std::nullopt);
}

extern "C" void print_stack(int) {
  std::array<void*, 16> frames{};
  backtrace_symbols_fd(frames.data(), backtrace(frames.data(), frames.size()), STDERR_FILENO);
  std::signal(SIGABRT, SIG_DFL);
  std::raise(SIGABRT);
}

TEST(ViolationFramesDeathTest, HaveTwoFunctionsAKind) {
  for (const ViolationKindInfo& info : violation_kinds()) {
    std::string name(info.name);
    std::replace(name.begin(), name.end(), '-', '_');
    const auto die = [&info] {
      std::signal(SIGABRT, print_stack);
      abort_for(info.kind);
    };
    EXPECT_EXIT(die(), ::testing::KilledBySignal(SIGABRT),
                fmt::format("framefold_violation_{0}\\+.*framefold_found_{0}\\+", name));
  }
  const auto die = [] {
    std::signal(SIGABRT, print_stack);
    abort_for_internal_error();
  };
  EXPECT_EXIT(die(), ::testing::KilledBySignal(SIGABRT), "framefold_internal_error\\+");
}

TEST(FuzzTargetDeathTest, ExitsWith2OnABadEnvironment) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto start = [] {
    setenv("FRAMEFOLD_KNOWN", "perhaps", 1);
    initialise();
  };
  EXPECT_EXIT(start(), ::testing::ExitedWithCode(2),
              "^framefold: FRAMEFOLD_KNOWN: perhaps: expected skip or report\n$");
}

}  // namespace

}  // namespace framefold
