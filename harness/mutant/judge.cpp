#include "mutant/judge.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "image/patch.hpp"
#include "machine/internal_error.hpp"
#include "run/coverage.hpp"

namespace framefold {

namespace {

class MutantJudge {
 public:
  MutantJudge(const Entry& entry, std::span<const std::uint8_t> elf, const MutantOptions& options,
              const std::atomic<bool>& stop, const ExplorationProgress& progress)
      : entry_(entry), elf_(elf.begin(), elf.end()), stop_(stop), progress_(progress) {
    exploration_.bounds = options.bounds;
    exploration_.crossing = options.crossing;
    exploration_.second_values = false;
    exploration_.memory = options.memory / options.jobs;
    jobs_ = options.jobs;
  }

  MutantReport run() {
    report_.entry = &entry_;
    original_ = explore(entry_, exploration_);
    report_.original = original_.verdict;
    exploration_.stop_at_violation = true;
    for (Mutant& mutant : plan_mutants(entry_)) {
      report_.mutants.emplace_back();
      report_.mutants.back().mutant = std::move(mutant);
    }
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < jobs_; ++i) {
      threads.emplace_back([this] { work(); });
    }
    work();
    for (std::thread& thread : threads) {
      thread.join();
    }
    return std::move(report_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  EntryReport explore(const Entry& entry, const ExplorationOptions& options) const {
    const std::array<const Entry*, 1> entries{&entry};
    return explore_entries(entries, options, stop_, [](std::size_t, std::size_t) {}).front();
  }

  void work() {
    for (std::size_t i = next_++; i < report_.mutants.size() && !stop_; i = next_++) {
      judge(report_.mutants[i]);
      const std::lock_guard lock(mutex_);
      progress_(++done_, report_.mutants.size());
    }
  }

  void judge(JudgedMutant& judged) const {
    if (never_reached(judged.mutant)) {
      judged.fate = Fate::equivalent;
      return;
    }
    std::vector<std::uint8_t> elf = elf_;
    for (const BytePatch& patch : judged.mutant.patches) {
      patch_image(elf, patch.address, patch.bytes);
    }
    const Clock::time_point start = Clock::now();
    try {
      const std::unique_ptr<const Entry> mutated = load_entry(entry_.description, elf, entry_.description.image);
      conclude(explore(*mutated, exploration_), judged);
    } catch (const InternalError& error) {  // code that goes where no entry code goes may bring the emulator there
      judged.fate = Fate::unclear;
      judged.detail = error.what();
    }
    judged.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }

  /// An instruction is not executed where exploration does not cover it. A byte of the table is read of a nested frame
  /// whose RIP is its boundary: one that is executed, or a user's RIP where the code does not look at CS.
  bool never_reached(const Mutant& mutant) const {
    if (!original_.result.closed() || (mutant.table && entry_.description.user_mode)) {
      return false;
    }
    const auto covered = [&](GuestAddress address) {
      const Instruction* instruction = find_instruction(entry_, address);
      return instruction == nullptr ||
             original_.result.covered[static_cast<std::size_t>(instruction - entry_.instructions.data())] != 0;
    };
    if (mutant.table) {
      return !covered(mutant.place);
    }
    return std::none_of(mutant.patches.begin(), mutant.patches.end(),
                        [&](const BytePatch& patch) { return covered(patch.address); });
  }

  void conclude(const EntryReport& report, JudgedMutant& judged) const {
    const ExploreResult& result = report.result;
    if (!result.violations.empty()) {
      const auto shortest = std::min_element(result.violations.begin(), result.violations.end(),
                                             [](const auto& a, const auto& b) { return shorter(a.second, b.second); });
      judged.fate = Fate::killed;
      judged.kind = name_of(shortest->second.kind);
      judged.signature = shortest->first;
    } else if (!result.inexpressible.empty()) {
      judged.fate = Fate::killed;  // on a path with more arrivals than a scenario has
      judged.kind = *result.inexpressible.begin();
    } else if (!result.disagreements.empty()) {
      judged.fate = Fate::unclear;
      judged.detail = "exploration and run disagree: " + result.disagreements.front();
    } else if (result.out_of_memory || result.cut_short) {
      judged.fate = Fate::unclear;
      judged.detail = result.out_of_memory ? "the memory limit" : "cut short";
    } else if (!result.interrupted) {
      judged.fate = Fate::survived;
      const ExploreCounts& a = result.counts;
      const ExploreCounts& b = original_.result.counts;
      judged.same_graph =
          a.states == b.states && a.transitions == b.transitions && a.folds == b.folds && a.shape == b.shape;
      if (judged.same_graph && a.identity == b.identity) {
        judged.fate = Fate::same_states;
      }
    }
  }

  const Entry& entry_;
  const std::vector<std::uint8_t> elf_;
  ExplorationOptions exploration_;
  unsigned jobs_ = 1;
  const std::atomic<bool>& stop_;
  const ExplorationProgress& progress_;
  EntryReport original_;
  MutantReport report_;
  std::atomic<std::size_t> next_{0};
  std::size_t done_ = 0;
  std::mutex mutex_;
};

}  // namespace

std::string_view name_of(Fate fate) {
  switch (fate) {
    case Fate::killed:
      return "killed";
    case Fate::equivalent:
      return "equivalent";
    case Fate::same_states:
      return "same states";
    case Fate::survived:
      return "survived";
    case Fate::unclear:
      return "unclear";
    case Fate::not_judged:
      return "not judged";
  }
  return "";
}

std::size_t MutantReport::count(Fate fate) const {
  return static_cast<std::size_t>(
      std::count_if(mutants.begin(), mutants.end(), [=](const JudgedMutant& m) { return m.fate == fate; }));
}

MutantReport judge_mutants(const Entry& entry, std::span<const std::uint8_t> elf, const MutantOptions& options,
                           const std::atomic<bool>& stop, const ExplorationProgress& progress) {
  return MutantJudge(entry, elf, options, stop, progress).run();
}

}  // namespace framefold
