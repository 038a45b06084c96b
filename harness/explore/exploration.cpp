#include "explore/exploration.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>

#include "scenario/context_places.hpp"

namespace framefold {

namespace {

/// Contexts that share states: explored one after the other by one thread.
struct Group {
  std::size_t entry = 0;
  std::size_t first = 0;  // among the entry's contexts
  std::size_t count = 0;
};

/// Groups that one thread explores one after the other.
struct Share {
  std::size_t first = 0;
  std::size_t count = 0;
};

struct GroupResult {
  ExploreResult result;
  std::vector<ContextReport> contexts;
  bool value_dependent = false;
  bool refined = false;
};

/// The contexts of an entry, with either values.
struct EntryContexts {
  std::vector<Scenario> first;
  std::vector<Scenario> second;
};

class Exploration {
 public:
  Exploration(std::span<const Entry* const> entries, const ExplorationOptions& options, const std::atomic<bool>& stop,
              const ExplorationProgress& progress)
      : entries_(entries), options_(options), stop_(stop), progress_(progress) {
    options_.bounds.memory = options_.memory / std::max(1U, options_.jobs);
    options_.bounds.stop_at_violation = options_.stop_at_violation;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      contexts_.push_back({enumerate_contexts(*entries[i], DataValues::first, options.crossing),
                           enumerate_contexts(*entries[i], DataValues::second, options.crossing)});
      add_groups(i);
    }
    results_.resize(groups_.size());
    add_shares();
  }

  std::vector<EntryReport> run() {
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < options_.jobs; ++i) {
      threads.emplace_back([this] { work(); });
    }
    work();
    for (std::thread& thread : threads) {
      thread.join();
    }
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    std::vector<EntryReport> reports;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      reports.push_back(report_on(i));
    }
    return reports;
  }

 private:
  void add_groups(std::size_t entry) {
    const std::vector<Scenario>& contexts = contexts_[entry].first;
    for (std::size_t i = 0; i < contexts.size(); ++i) {
      if (i == 0 || !resume_alike(class_of(contexts[i - 1]), class_of(contexts[i]))) {
        groups_.push_back({entry, i, 0});
      }
      ++groups_.back().count;
    }
  }

  /// Groups by themselves; but where what chains lead to is kept for those that follow, two shares an entry: so that
  /// what is reported does not depend on the number of jobs.
  void add_shares() {
    const bool kept = options_.bounds.nmis + options_.bounds.exceptions > 0;
    for (std::size_t i = 0; i < groups_.size();) {
      const std::size_t count = kept ? share_from(i) : 1;
      shares_.push_back({i, count});
      i += count;
    }
  }

  /// What interrupts user mode, or where there is none, what comes on the interrupt stack, meets other states than the
  /// rest: little is explored twice.
  std::size_t share_from(std::size_t first) const {
    const auto context = [&](std::size_t group) {
      return class_of(contexts_[groups_[group].entry].first[groups_[group].first]);
    };
    std::size_t end = first;
    while (end < groups_.size() && groups_[end].entry == groups_[first].entry) {
      ++end;
    }
    const auto splits = [&](auto field) {
      std::size_t i = first;
      while (i < end && context(i).*field == context(first).*field) {
        ++i;
      }
      return i;
    };
    const std::size_t by_mode = splits(&ContextClass::mode);
    const bool second = first > 0 && groups_[first - 1].entry == groups_[first].entry;
    return (second ? end : by_mode < end ? by_mode : splits(&ContextClass::stack)) - first;
  }

  void work() {
    std::unique_ptr<Explorer> explorer;
    try {
      for (std::size_t i = next_++; i < shares_.size(); i = next_++) {
        const Entry& entry = *entries_[groups_[shares_[i].first].entry];
        if (!explorer || &explorer->entry() != &entry) {
          static std::mutex making;  // engines are made one at a time, by all explorations
          const std::lock_guard lock(making);
          explorer.reset();
          explorer = std::make_unique<Explorer>(entry, options_.bounds);
        }
        explorer->set_chains(options_.bounds.chains);
        explore_share(*explorer, shares_[i]);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failed_ = true;
      failure_ = failure_ ? failure_ : std::current_exception();
    }
  }

  void explore_share(Explorer& explorer, const Share& share) {
    for (std::size_t i = share.first; i < share.first + share.count && !stop_ && !failed_ && !enough_; ++i) {
      explore_group(explorer, groups_[i], results_[i]);
      enough_ = enough_ || (options_.stop_at_violation && !results_[i].result.violations.empty());
      const std::lock_guard lock(mutex_);
      progress_(++done_, groups_.size());
    }
  }

  /// A user's RIP in the region varies only what one comparison sees: those contexts get no second pass.
  void explore_group(Explorer& explorer, const Group& group, GroupResult& result) {
    const EntryContexts& contexts = contexts_[group.entry];
    const auto of_group = [&group](const std::vector<Scenario>& all) {
      return std::span(all).subspan(group.first, group.count);
    };
    const auto first = of_group(options_.values == DataValues::first ? contexts.first : contexts.second);
    explore_contexts(explorer, first, options_.values, result);
    if (!result.result.unlike.empty() && !stop_) {  // and so from here on
      explorer.set_chains(false);
      result = {};
      result.refined = true;
      explore_contexts(explorer, first, options_.values, result);
    }
    const bool in_region = result.contexts.front().context.region_offset >= 0;
    if (in_region || !options_.second_values || !result.result.closed() || result.result.cut_short) {
      return;
    }
    GroupResult second;
    explore_contexts(explorer, of_group(contexts.second), DataValues::second, second);
    const ExploreCounts& a = result.result.counts;
    const ExploreCounts& b = second.result.counts;
    result.value_dependent = second.result.closed() && (a.states != b.states || a.transitions != b.transitions ||
                                                        a.folds != b.folds || a.shape != b.shape);
    add_uncounted(second.result, result);
    explore_below(explorer, of_group(contexts.first), result);
  }

  /// The same again: what it shows, but no state of it.
  static void add_uncounted(ExploreResult& again, GroupResult& result) {
    again.counts = {};
    again.boundaries.clear();
    result.result.add(again);
  }

  /// Kernel contexts below the image, which code that compares RIP with one end of its region alone takes for its own.
  /// What interrupts them otherwise than an event is not folded.
  void explore_below(Explorer& explorer, std::span<const Scenario> group, GroupResult& result) {
    const Entry& entry = explorer.entry();
    if (!has_low_page(entry)) return;
    std::vector<Scenario> contexts;
    for (Scenario context : group) {
      const ContextClass of_it = class_of(context);
      const bool event = entry.vectors[of_it.vector].description.kind == DeliveryKind::event;
      if (of_it != base_of(of_it) || of_it.mode != GuestMode::kernel || !event) continue;
      context.context.place_offset = kContextPlaces - 1;
      contexts.push_back(context);
    }
    GroupResult below;
    explore_contexts(explorer, contexts, DataValues::first, below);
    add_uncounted(below.result, result);
  }

  /// Contexts that share states. From the start once more, where one of them has shown that states are to be told apart
  /// by more: so that what is counted does not depend on which.
  void explore_contexts(Explorer& explorer, std::span<const Scenario> contexts, DataValues values,
                        GroupResult& result) {
    while (!explore_contexts_once(explorer, contexts, values, result)) {
      result.contexts.clear();
      result.result = {};
    }
  }

  /// False where one of them has. Variations, and contexts with RIP in the region, are explored with handlers that only
  /// acknowledge: those that do more are a variation themselves.
  bool explore_contexts_once(Explorer& explorer, std::span<const Scenario> contexts, DataValues values,
                             GroupResult& result) {
    explorer.forget(values);
    for (const Scenario& context : contexts) {
      ContextReport report;
      report.context = class_of(context);
      const bool base = report.context == base_of(report.context) && report.context.region_offset < 0;
      explorer.set_actions(options_.bounds.actions && (base || options_.crossing == Crossing::all));
      ExploreResult of_context;
      if (!explorer.explore(context, of_context, &stop_)) {
        return false;
      }
      const bool enough = options_.stop_at_violation && !of_context.violations.empty();
      report.counts = of_context.counts;
      report.known = of_context.known.size();
      report.violations = of_context.violations.size();
      report.explored = of_context.closed() && !of_context.cut_short;
      result.contexts.push_back(report);
      result.result.add(of_context);
      if (enough) {
        break;
      }
    }
    return true;
  }

  EntryReport report_on(std::size_t index) {
    EntryReport report;
    report.entry = entries_[index];
    report.result.covered.resize(boundary_count(*report.entry));
    report.result.unmasked.resize(boundary_count(*report.entry));
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      if (groups_[i].entry != index) {
        continue;
      }
      GroupResult& group = results_[i];
      if (group.contexts.size() < groups_[i].count) {
        report.result.interrupted = true;  // it was not begun
      }
      report.result.add(group.result);
      if (!group.contexts.empty()) {
        report.groups.push_back(report_on_group(group, groups_[i].count));
      }
      report.contexts.insert(report.contexts.end(), group.contexts.begin(), group.contexts.end());
      report.refined_groups += group.refined ? 1 : 0;
      if (group.value_dependent) {
        report.value_dependent.push_back(group.contexts.front().context);
      }
    }
    for (const auto& [key, counts] : report.result.chains) {
      report.result.counts.add(counts);
    }
    add_coverage(report);
    add_rows(report);
    report.verdict = verdict_of(report);
    return report;
  }

  static GroupReport report_on_group(const GroupResult& group, std::size_t contexts) {
    GroupReport report;
    report.first = group.contexts.front().context;
    report.contexts = contexts;
    report.counts = group.result.counts;
    report.boundaries = group.result.boundaries;
    for (const auto& [row, address] : group.result.known) {
      report.known.insert(address);
    }
    for (const auto& [signature, violation] : group.result.violations) {
      report.violated.insert(violation.cause);
    }
    report.explored = group.contexts.size() == contexts && group.result.closed() && !group.result.cut_short;
    return report;
  }

  static void add_coverage(EntryReport& report) {
    const Entry& entry = *report.entry;
    for (std::size_t i = 0; i < entry.instructions.size(); ++i) {
      if (entry.critical.contains(entry.instructions[i].address)) {
        ++report.region_boundaries;
        report.region_covered += report.result.covered[i];
      }
      if (report.result.unmasked[i] != 0) {
        report.unmasked.push_back(entry.instructions[i].address);
      }
    }
    const Guest guest(entry);
    for (std::size_t i = 0; i < guest.stub().size(); ++i) {
      if (report.result.unmasked[entry.instructions.size() + i] != 0) {
        report.unmasked_on_page.push_back(guest.stub()[i].address);
      }
    }
  }

  static void add_rows(EntryReport& report) {
    const Entry& entry = *report.entry;
    const Guest guest(entry);
    for (std::size_t row = 0; row < entry.known.size(); ++row) {
      const KnownRow& known = entry.known[row];
      RowReport of_row{row, {}, {}};
      for (const std::span<const Instruction> code : {std::span(entry.instructions), guest.stub()}) {
        for (const Instruction& instruction : code) {
          if (known.first <= instruction.address && instruction.address <= known.last) {
            const bool seen = report.result.known.count({row, instruction.address}) != 0;
            (seen ? of_row.seen : of_row.unseen).push_back(instruction.address);
          }
        }
      }
      report.rows.push_back(std::move(of_row));
    }
  }

  static ExploreVerdict verdict_of(const EntryReport& report) {
    const ExploreResult& result = report.result;
    if (!result.violations.empty()) {
      return ExploreVerdict::violated;
    }
    if (!result.closed() || !result.inexpressible.empty()) {
      return ExploreVerdict::not_closed;
    }
    return result.known.empty() ? ExploreVerdict::proved : ExploreVerdict::proved_except_known;
  }

  std::span<const Entry* const> entries_;
  ExplorationOptions options_;
  const std::atomic<bool>& stop_;
  const ExplorationProgress& progress_;
  std::vector<EntryContexts> contexts_;
  std::vector<Group> groups_;
  std::vector<Share> shares_;
  std::vector<GroupResult> results_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::atomic<bool> enough_{false};  // found what stop_at_violation asks for
  std::size_t done_ = 0;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace

std::string_view name_of(ExploreVerdict verdict) {
  switch (verdict) {
    case ExploreVerdict::proved:
      return "proved";
    case ExploreVerdict::proved_except_known:
      return "proved except known";
    case ExploreVerdict::violated:
      return "violated";
    case ExploreVerdict::not_closed:
      return "not closed";
  }
  return "";
}

std::vector<EntryReport> explore_entries(std::span<const Entry* const> entries, const ExplorationOptions& options,
                                         const std::atomic<bool>& stop, const ExplorationProgress& progress) {
  return Exploration(entries, options, stop, progress).run();
}

}  // namespace framefold
