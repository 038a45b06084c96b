// What a run costs, entry by entry, and what it would cost done the naive way.
//
// - differential: nested run and reference run of three folded events, judged, as the fuzz target does it with a
//   context that it has not seen;
// - cached: the same where the reference run is known already: what most fuzz inputs cost;
// - naive: the same as a first draft would do it: a fresh engine a run, every boundary recorded;
// - upcall: one event's upcall and return, no arrivals, the nested run alone;
// - explore: every interleaving of an entry, on one thread; items are transitions;
// - growth: the same with one exception more on a path each time, up to three: time a state;
// - widths: the differential run of a 32-bit and of a 64-bit entry of one family by turns, a run and a boundary;
// - decode, mutate: the way from bytes to a scenario, and its mutation.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "common/bundled.hpp"
#include "explore/exploration.hpp"
#include "run/oracle.hpp"
#include "run/replay.hpp"
#include "scenario/codec.hpp"
#include "scenario/mutator.hpp"

namespace {

using namespace framefold;

constexpr int kExitOwnError = 3;
constexpr std::size_t kArrivals = 3;
/// Of the distance between two arrivals; an upcall is shorter than half of it.
constexpr std::uint16_t kLongestDistance = 256;

std::unique_ptr<const Entry> load(const BundledEntry& bundled) {
  const std::string name(bundled.name);
  return load_entry(parse_description(bundled.description, name + "/entry.toml"), bundled.elf, name);
}

/// An event in kernel mode, with all registers tagged.
Scenario upcall_scenario(const Entry& entry) {
  Scenario scenario = decode({}, entry);
  scenario.context.vector = 0;
  scenario.context.mode = GuestMode::kernel;
  canonicalise(scenario, entry);
  return scenario;
}

/// How many of the scenario's arrivals a run without a violation, but for known ones, folded, or took at least.
std::size_t dealt_with(Oracle& oracle, const Scenario& scenario, bool fold) {
  if (oracle.judge(scenario).violation() != nullptr) {
    return 0;
  }
  return fold ? oracle.nested().folds : oracle.nested().reached;
}

/// Adds an event where an upcall of this entry folds it, or takes it: found by trying, so that no entry needs numbers
/// of its own. False where there is no such place.
bool add_event(Oracle& oracle, Scenario& scenario, bool fold) {
  const Scenario before = scenario;
  const std::size_t index = scenario.arrival_count++;
  for (std::uint16_t distance = 1; distance < kLongestDistance; ++distance) {
    scenario.arrivals[index] = Arrival{};
    scenario.arrivals[index].distance = distance;
    scenario.arrivals[index].port = static_cast<std::uint8_t>(index + 1);
    canonicalise(scenario, oracle.entry());
    if (dealt_with(oracle, scenario, fold) == index + 1) {
      return true;
    }
  }
  scenario = before;
  return false;
}

/// Three events, each folded where the entry folds.
Scenario folding_scenario(Oracle& oracle) {
  Scenario scenario = upcall_scenario(oracle.entry());
  while (scenario.arrival_count < kArrivals && add_event(oracle, scenario, true)) {
  }
  if (scenario.arrival_count == 0) {  // it lets upcalls nest, or none in
    while (scenario.arrival_count < kArrivals && add_event(oracle, scenario, false)) {
    }
  }
  return scenario;
}

/// Nothing that it is told is lost, as a tool that looks at everything would have it.
class Recorder : public TraceSink {
 public:
  void record(const TraceEvent& event) override { events_.push_back(event); }
  std::size_t size() const { return events_.size(); }

 private:
  std::vector<TraceEvent> events_;
};

void report(benchmark::State& state, std::size_t arrivals, std::size_t folds) {
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
  state.counters["arrivals"] = static_cast<double>(arrivals);
  state.counters["folds"] = static_cast<double>(folds);
}

/// With `changing`, a register of the context has another value each time: no run of it is kept from before.
void judge(benchmark::State& state, const Entry& entry, bool changing) {
  Oracle oracle(entry);
  Scenario scenario = folding_scenario(oracle);
  for ([[maybe_unused]] auto _ : state) {
    scenario.context.gpr[static_cast<std::size_t>(Gpr::rbx)] += changing ? 1 : 0;
    benchmark::DoNotOptimize(oracle.judge(scenario).clean());
  }
  report(state, oracle.nested().reached, oracle.nested().folds);
}

void bm_differential(benchmark::State& state, const Entry& entry) { judge(state, entry, true); }
void bm_cached(benchmark::State& state, const Entry& entry) { judge(state, entry, false); }

void bm_naive(benchmark::State& state, const Entry& entry) {
  Scenario scenario;
  {
    Oracle oracle(entry);
    scenario = folding_scenario(oracle);
  }
  Outcome nested;
  Outcome reference;
  for ([[maybe_unused]] auto _ : state) {
    Recorder recorder;
    {
      Execution execution(entry);
      execution.set_trace(&recorder);
      execution.run_nested(scenario, kMaxArrivals, nested);
    }
    {
      Execution execution(entry);
      execution.set_trace(&recorder);
      execution.run_reference(replay_of(scenario, nested, false).scenario, reference);
    }
    benchmark::DoNotOptimize(recorder.size());
    benchmark::DoNotOptimize(nested.registers == reference.registers);
  }
  report(state, nested.reached, nested.folds);
}

void bm_upcall(benchmark::State& state, const Entry& entry) {
  Oracle oracle(entry);
  const Scenario scenario = upcall_scenario(entry);
  Outcome outcome;
  for ([[maybe_unused]] auto _ : state) {
    oracle.execution().run_nested(scenario, 0, outcome);
    benchmark::DoNotOptimize(outcome.boundaries);
  }
  report(state, 0, 0);
  state.counters["boundaries"] = static_cast<double>(outcome.boundaries);
}

/// Of the thread: what else the machine does is not in it.
double nanoseconds_of_cpu() {
  constexpr double kNanoseconds = 1e9;
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * kNanoseconds + static_cast<double>(now.tv_nsec);
}

/// One side of a comparison: its own oracle and scenario, and what they took so far.
class Runner {
 public:
  explicit Runner(const Entry& entry) : oracle_(entry), scenario_(folding_scenario(oracle_)) {
    oracle_.set_caches(false);
  }

  void run() {
    constexpr int kRuns = 100;  // of some ten microseconds each: the clock costs one
    const double started = nanoseconds_of_cpu();
    for (int i = 0; i < kRuns; ++i) {
      benchmark::DoNotOptimize(oracle_.judge(scenario_).clean());
    }
    spent_ += nanoseconds_of_cpu() - started;
    runs_ += kRuns;
    boundaries_ += kRuns * std::uint64_t{oracle_.nested().boundaries + oracle_.reference().boundaries};
  }
  double nanoseconds_a_run() const { return spent_ / static_cast<double>(runs_); }
  double nanoseconds_a_boundary() const { return spent_ / static_cast<double>(boundaries_); }

 private:
  Oracle oracle_;
  Scenario scenario_;
  double spent_ = 0;
  std::uint64_t runs_ = 0;
  std::uint64_t boundaries_ = 0;
};

/// By turns, so that what slows the machine down falls on both alike. Both runs have as many deliveries, handler calls
/// and folds; the 32-bit code is shorter, so that those, and setting a run up, are more of what a boundary costs.
void bm_widths(benchmark::State& state, const Entry& narrow, const Entry& wide) {
  Runner of_narrow(narrow);
  Runner of_wide(wide);
  for ([[maybe_unused]] auto _ : state) {
    of_narrow.run();
    of_wide.run();
  }
  state.counters["ns_a_run_32"] = of_narrow.nanoseconds_a_run();
  state.counters["ns_a_run_64"] = of_wide.nanoseconds_a_run();
  state.counters["runs_32_to_64"] = of_narrow.nanoseconds_a_run() / of_wide.nanoseconds_a_run();
  state.counters["ns_a_boundary_32"] = of_narrow.nanoseconds_a_boundary();
  state.counters["ns_a_boundary_64"] = of_wide.nanoseconds_a_boundary();
  state.counters["boundaries_32_to_64"] = of_narrow.nanoseconds_a_boundary() / of_wide.nanoseconds_a_boundary();
}

void bm_decode(benchmark::State& state, const Entry& entry) {
  Oracle oracle(entry);
  const Encoded encoded = encode(folding_scenario(oracle), entry);
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(decode(encoded.view(), entry));
  }
}

void bm_mutate(benchmark::State& state, const Entry& entry) {
  constexpr std::uint64_t kSeed = 1;
  Oracle oracle(entry);
  Scenario scenario = folding_scenario(oracle);
  Random random(kSeed);
  for ([[maybe_unused]] auto _ : state) {
    mutate(scenario, entry, random);
    benchmark::DoNotOptimize(scenario);
  }
}

/// Transitions a second of one thread, over the contexts of an entry as `framefold explore` takes them.
void bm_explore(benchmark::State& state, const Entry& entry) {
  ExplorationOptions options;
  options.second_values = false;
  const std::array<const Entry*, 1> entries{&entry};
  const std::atomic<bool> stop{false};
  std::uint64_t transitions = 0;
  std::uint64_t states = 0;
  for ([[maybe_unused]] auto _ : state) {
    const ExploreCounts counts =
        explore_entries(entries, options, stop, [](std::size_t, std::size_t) {}).front().result.counts;
    transitions += counts.transitions;
    states += counts.states;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(transitions));
  state.counters["states/s"] = benchmark::Counter(static_cast<double>(states), benchmark::Counter::kIsRate);
}

/// How time grows with the states: a state costs the same, however many there are.
void bm_growth(benchmark::State& state, const Entry& entry, unsigned exceptions) {
  ExplorationOptions options;
  options.second_values = false;
  options.crossing = Crossing::none;
  options.bounds.exceptions = exceptions;
  const std::array<const Entry*, 1> entries{&entry};
  const std::atomic<bool> stop{false};
  std::uint64_t states = 0;
  for ([[maybe_unused]] auto _ : state) {
    states += explore_entries(entries, options, stop, [](std::size_t, std::size_t) {}).front().result.counts.states;
  }
  const auto all = static_cast<double>(states);
  state.counters["states"] = benchmark::Counter(all, benchmark::Counter::kAvgIterations);
  state.counters["a state"] = benchmark::Counter(all, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

using Body = void (*)(benchmark::State&, const Entry&);
struct Row {
  const char* name;
  Body body;
};
constexpr Row kRuns[] = {
    {"differential", bm_differential}, {"cached", bm_cached}, {"naive", bm_naive}, {"upcall", bm_upcall}};
constexpr Row kExplorations[] = {{"explore", bm_explore}};
constexpr Row kParts[] = {{"decode", bm_decode}, {"mutate", bm_mutate}};

/// Entries of one family, of either width.
struct Family {
  const char* name;
  const char* narrow;
  const char* wide;
};
constexpr Family kFamilies[] = {{"byte-table", "minios-x86_32-table", "minios-x86_64-table"},
                                {"single-register", "linux-x86_32-single", "minios-x86_64-single"}};

const Entry& find(const std::vector<std::unique_ptr<const Entry>>& entries, const char* name) {
  return **std::find_if(entries.begin(), entries.end(), [name](const auto& entry) { return entry->name() == name; });
}

void register_all(const std::vector<std::unique_ptr<const Entry>>& entries) {
  for (const Row& row : kRuns) {
    for (const auto& entry : entries) {
      benchmark::RegisterBenchmark(fmt::format("BM_{}/{}", row.name, entry->name()).c_str(), row.body,
                                   std::cref(*entry))
          ->Unit(benchmark::kMicrosecond);
    }
  }
  for (const Family& family : kFamilies) {
    benchmark::RegisterBenchmark(fmt::format("BM_widths/{}", family.name).c_str(), bm_widths,
                                 std::cref(find(entries, family.narrow)), std::cref(find(entries, family.wide)))
        ->Unit(benchmark::kMicrosecond);
  }
  for (const Row& row : kExplorations) {
    for (const auto& entry : entries) {
      benchmark::RegisterBenchmark(fmt::format("BM_{}/{}", row.name, entry->name()).c_str(), row.body,
                                   std::cref(*entry))
          ->Unit(benchmark::kMillisecond);
    }
  }
  for (const char* name : {"minios-x86_32-fixed", "minios-x86_64-fixed"}) {
    for (unsigned exceptions = 0; exceptions <= ExploreBounds::kMost; ++exceptions) {
      benchmark::RegisterBenchmark(fmt::format("BM_growth/{}/exceptions:{}", name, exceptions).c_str(), bm_growth,
                                   std::cref(find(entries, name)), exceptions)
          ->Unit(benchmark::kMillisecond);
    }
  }
  for (const Row& row : kParts) {
    benchmark::RegisterBenchmark(fmt::format("BM_{}", row.name).c_str(), row.body, std::cref(*entries.front()))
        ->Unit(benchmark::kNanosecond);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
      return 2;
    }
    std::vector<std::unique_ptr<const Entry>> entries;
    for (const BundledEntry& bundled : bundled_entries()) {
      entries.push_back(load(bundled));
    }
    register_all(entries);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "framefold_bench: %s\n", error.what());
    return kExitOwnError;
  }
}
