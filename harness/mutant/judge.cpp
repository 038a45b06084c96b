#include "mutant/judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>

#include "image/patch.hpp"
#include "machine/internal_error.hpp"
#include "run/coverage.hpp"

namespace framefold {

namespace {

constexpr const char* kUnsaidValue = "unsaid value";

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
    for (Mutant& mutant : plan_mutants(entry_)) {
      report_.mutants.emplace_back();
      report_.mutants.back().mutant = std::move(mutant);
    }
    assign_arguments();
    explore_original();
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < jobs_; ++i) {
      threads.emplace_back([this] { work(); });
    }
    work();
    for (std::thread& thread : threads) {
      thread.join();
    }
    check_arguments();
    return std::move(report_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// What exploration looks at, one pass after the other while nothing shows.
  enum Pass : std::size_t { kFirstValues, kSecondValues, kInterrupted, kPasses };
  /// Choices on a path of kInterrupted: an exception, an event behind it, and what that one's handler does.
  static constexpr unsigned kFewChoices = 3;

  ExplorationOptions options_of(std::size_t pass) const {
    ExplorationOptions options = exploration_;
    if (pass == kSecondValues) {
      options.values = DataValues::second;
    } else if (pass == kInterrupted) {
      options.bounds.nmis = std::max(1U, options.bounds.nmis);
      options.bounds.exceptions = std::max(1U, options.bounds.exceptions);
      options.bounds.in_windows_only = true;
      options.bounds.choices = kFewChoices;
      options.crossing = Crossing::none;
    }
    return options;
  }

  void explore_original() {
    exploration_.bounds.outline = !entry_.equivalent_mutants.empty();
    for (std::size_t pass = 0; pass < kPasses; ++pass) {
      originals_[pass] = explore(entry_, options_of(pass));
      if (originals_[pass].result.unsaid) fail_with_unsaid_value(entry_, *originals_[pass].result.unsaid);
      exploration_.bounds.outline = false;
    }
    report_.original = originals_[kFirstValues].verdict;
    exploration_.stop_at_violation = true;
  }

  /// Finds the mutant of each argument.
  void assign_arguments() {
    for (const EquivalentRow& at : entry_.equivalent_mutants) {
      const std::vector<std::string>& faults = entry_.description.equivalent_mutants[at.row].faults;
      for (std::size_t i = 0; i < faults.size(); ++i) {
        const auto found =
            std::find_if(report_.mutants.begin(), report_.mutants.end(), [&](const JudgedMutant& judged) {
              return judged.mutant.place == at.address && judged.mutant.fault == faults[i];
            });
        if (found == report_.mutants.end()) {
          throw description_error(entry_.description, fmt::format("equivalent_mutants[{}].faults[{}]", at.row, i),
                                  fmt::format("expected a fault that is planted at {}, found \"{}\"",
                                              entry_.description.equivalent_mutants[at.row].at[at.at], faults[i]));
        }
        found->row = static_cast<int>(at.row);
      }
    }
  }

  void check_arguments() {
    for (const JudgedMutant& judged : report_.mutants) {
      if (judged.row < 0 || judged.fate == Fate::argued || judged.fate == Fate::not_judged) {
        continue;
      }
      const std::string is = judged.fate == Fate::survived ? "what is seen of it is not the original's"
                             : judged.fate == Fate::killed ? "it is killed: " + judged.kind
                                                           : std::string(name_of(judged.fate));
      report_.wrong_arguments.push_back(
          description_error(
              entry_.description, fmt::format("equivalent_mutants[{}]", judged.row),
              fmt::format("expected only faults that survive and change nothing that is seen, found \"{}\" "
                          "at {}: {}",
                          judged.mutant.fault, format_location(entry_, judged.mutant.place), is))
              .what());
    }
  }

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
      const std::unique_ptr<const Entry> mutated = load_alike(elf);
      for (std::size_t pass = 0; pass < kPasses && !stop_; ++pass) {
        conclude(explore(*mutated, options_of(pass)), originals_[pass], judged);
        if (judged.fate != Fate::survived && judged.fate != Fate::same_states) {
          break;
        }
      }
      if (judged.fate == Fate::survived && judged.row >= 0 && looks_the_same(*mutated, judged.row)) {
        judged.fate = Fate::argued;
      }
    } catch (const InternalError& error) {  // code that goes where no entry code goes may bring the emulator there
      judged.fate = Fate::unclear;
      judged.detail = error.what();
    }
    judged.fate = stop_ && judged.fate != Fate::killed ? Fate::not_judged : judged.fate;
    judged.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }

  /// With the contexts of the original, also where its region was seen and is not described.
  std::unique_ptr<const Entry> load_alike(std::span<const std::uint8_t> elf) const {
    std::unique_ptr<Entry> mutated = load_entry(entry_.description, elf, entry_.description.image);
    mutated->critical = entry_.critical;
    return mutated;
  }

  /// An instruction is not executed where exploration does not cover it. A byte of the table is read of a nested frame
  /// whose RIP is its boundary: one that is executed, or a user's RIP where the code does not look at CS.
  bool never_reached(const Mutant& mutant) const {
    const ExploreResult& original = originals_[kFirstValues].result;
    if (!original.closed() || (mutant.table && entry_.description.user_mode)) {
      return false;
    }
    const auto covered = [&](GuestAddress address) {
      const Instruction* instruction = find_instruction(entry_, address);
      return instruction == nullptr ||
             original.covered[static_cast<std::size_t>(instruction - entry_.instructions.data())] != 0;
    };
    if (mutant.table) {
      return !covered(mutant.place);
    }
    return std::none_of(mutant.patches.begin(), mutant.patches.end(),
                        [&](const BytePatch& patch) { return covered(patch.address); });
  }

  /// The same ways between calls, returns of handlers and resumptions, or the same of these, as the row says.
  bool looks_the_same(const Entry& mutated, int row) const {
    ExplorationOptions options = options_of(kFirstValues);
    options.bounds.outline = true;
    const Outline outline = explore(mutated, options).result.outline;
    const Outline& original = originals_[kFirstValues].result.outline;
    const auto same = entry_.description.equivalent_mutants[static_cast<std::size_t>(row)].same;
    return same == EquivalentDescription::Same::ends ? outline.joints() == original.joints()
                                                     : outline.ways() == original.ways();
  }

  void conclude(const EntryReport& report, const EntryReport& original, JudgedMutant& judged) const {
    const ExploreResult& result = report.result;
    if (!original.result.violations.empty()) {
      return;  // nothing can be said by a pass in which the original itself shows something
    }
    if (!result.violations.empty()) {
      const auto shortest = std::min_element(result.violations.begin(), result.violations.end(),
                                             [](const auto& a, const auto& b) { return shorter(a.second, b.second); });
      judged.fate = Fate::killed;
      judged.kind = name_of(shortest->second.kind);
      judged.signature = shortest->first;
    } else if (!result.inexpressible.empty()) {
      judged.fate = Fate::killed;  // on a path with more arrivals than a scenario has
      judged.kind = *result.inexpressible.begin();
    } else if (result.unsaid) {  // exploring it ends with a message that names the place
      judged.fate = Fate::killed;
      judged.kind = kUnsaidValue;
    } else if (!result.disagreements.empty()) {
      judged.fate = Fate::unclear;
      judged.detail = "exploration and run disagree: " + result.disagreements.front();
    } else if (result.out_of_memory || result.cut_short) {
      judged.fate = Fate::unclear;
      judged.detail = result.out_of_memory ? "the memory limit" : "cut short";
    } else if (!result.interrupted) {
      const ExploreCounts& a = result.counts;
      const ExploreCounts& b = original.result.counts;
      const bool first = judged.fate == Fate::not_judged;
      const bool same_graph =
          a.states == b.states && a.transitions == b.transitions && a.folds == b.folds && a.shape == b.shape;
      const bool same = same_graph && a.identity == b.identity && (first || judged.fate == Fate::same_states);
      judged.same_graph = same_graph && (first || judged.same_graph);
      judged.fate = same ? Fate::same_states : Fate::survived;
    }
  }

  const Entry& entry_;
  const std::vector<std::uint8_t> elf_;
  ExplorationOptions exploration_;
  unsigned jobs_ = 1;
  const std::atomic<bool>& stop_;
  const ExplorationProgress& progress_;
  std::array<EntryReport, kPasses> originals_;
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
    case Fate::argued:
      return "argued equivalent";
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
