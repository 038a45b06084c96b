#include "check/check_region.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>

#include "check/access_watch.hpp"
#include "check/complaint.hpp"
#include "survey/code_clues.hpp"

namespace framefold {

namespace {

/// Those of the region's instructions that its first one leads to without leaving the region.
std::set<GuestAddress> reached_in_region(const Entry& entry) {
  std::set<GuestAddress> reached;
  std::vector<GuestAddress> ahead = {entry.region.begin};
  while (!ahead.empty()) {
    const GuestAddress at = ahead.back();
    ahead.pop_back();
    const Instruction* const instruction = find_instruction(entry, at);
    if (instruction == nullptr || !entry.region.contains(at) || !reached.insert(at).second) continue;
    if (falls_through(*instruction)) ahead.push_back(instruction->next());
    if (instruction->target) ahead.push_back(*instruction->target);
  }
  return reached;
}

/// Whether the code compares with an address: with itself, or with how far it lies behind the region's start.
bool compares_with(const Entry& entry, GuestAddress address) {
  const std::vector<Comparison> all = comparisons(entry.instructions, entry.width());
  return std::any_of(all.begin(), all.end(), [&](const Comparison& c) {
    return c.constant == address.value || c.constant == address - entry.region.begin;
  });
}

/// What the code compares addresses with is the region's end, where it compares with its start; and nothing lies in it,
/// behind the last unmasked instruction, that its start does not lead to.
void check_region_end(const Entry& entry, GuestAddress last_unmasked) {
  const RegionDescription& region = entry.description.region;
  const auto fail = [&](const std::string& text) { throw description_error(entry.description, "region.end", text); };
  const std::vector<Comparison> all = comparisons(entry.instructions, entry.width());
  const auto compared = [&](std::uint64_t constant) {
    return std::any_of(all.begin(), all.end(), [&](const Comparison& c) { return c.constant == constant; });
  };
  const bool knows_end = compares_with(entry, entry.region.end);
  for (const Comparison& c : all) {
    const GuestAddress other{c.constant};
    if (!knows_end && compared(entry.region.begin.value) && other > last_unmasked && other <= entry.text.end) {
      fail(fmt::format("expected {}: the code compares addresses with {} and, at {}, with that, and never with {}",
                       format_location(entry, other), region.start, format_location(entry, c.at), region.end));
    }
  }
  const std::set<GuestAddress> reached = reached_in_region(entry);
  for (const Instruction& instruction : entry.instructions) {
    const bool padding = instruction.text.find("nop") != std::string::npos || instruction.text.starts_with("xchg") ||
                         instruction.text.starts_with("int3");
    const bool behind = entry.region.contains(instruction.address) && instruction.address > last_unmasked;
    if (behind && !padding && reached.count(instruction.address) == 0) {
      fail(fmt::format("expected a label before {}: nothing leads there from {}, and events are masked there",
                       format_location(entry, instruction.address), region.start));
    }
  }
}

/// Code that folds by a table reads it at an offset from the region's start, or from an address in the region.
void check_table(const Entry& entry) {
  if (!entry.table) return;
  const GuestAddress table = entry.table->begin;
  const bool read = mentions(entry.instructions, entry.width(), table.value) ||
                    mentions(entry.instructions, entry.width(), table - entry.region.begin);
  if (!read || entry.text.contains(table)) {
    throw description_error(entry.description, "region.table",
                            fmt::format("expected the table that the code reads: no instruction of it reads {}",
                                        entry.description.region.table));
  }
}

/// Collects the instructions of entry code that run in a window.
class WindowWatch : private TraceSink {
 public:
  explicit WindowWatch(const Entry& entry) : entry_(entry), execution_(entry) {}
  void run(const Scenario& scenario) {
    execution_.set_trace(this);
    Outcome outcome;
    execution_.run_nested(scenario, scenario.arrival_count, outcome);
    execution_.set_trace(nullptr);
  }
  const std::set<GuestAddress>& seen() const { return seen_; }

 private:
  void record(const TraceEvent& event) override {
    const ActivationStack& live = execution_.activations();
    const bool in_window = event.kind == TraceEvent::Kind::boundary && !live.empty() && live.youngest().window;
    if (in_window && entry_.text.contains(event.address)) seen_.insert(event.address);
  }

  const Entry& entry_;
  Execution execution_;
  std::set<GuestAddress> seen_;
};

}  // namespace

void check_windows(const Entry& entry, std::span<const PlainRun> plain) {
  if (entry.region.size() == 0 || compares_with(entry, entry.region.end)) return;
  WindowWatch watch(entry);
  for (const PlainRun& run : plain) {
    visit_events(run, entry, [&](const Scenario& scenario) { watch.run(scenario); });
  }
  if (watch.seen().empty() || *watch.seen().rbegin() < entry.region.end) return;
  throw description_error(
      entry.description, "region.end",
      fmt::format(
          "expected a label behind {}: where an event is pending, events are unmasked there as well, and the code "
          "never compares addresses with {}",
          format_location(entry, *watch.seen().rbegin()), entry.description.region.end));
}

void check_table_is_read(const Entry& entry, std::span<const PlainRun> plain) {
  if (!entry.table) return;
  AccessWatch watch(entry);
  bool read = false;
  for (const PlainRun& run : plain) {
    visit_events(run, entry, [&](const Scenario& scenario) {
      if (read) return;
      watch.run(scenario);
      read = watch.touches(*entry.table);
    });
    if (read) return;
  }
  throw description_error(entry.description, "region.table",
                          fmt::format("expected the table that the code reads to fold: where an event interrupts the "
                                      "region, nothing that runs reads {}",
                                      entry.description.region.table));
}

void check_callback(const Entry& entry, const std::set<GuestAddress>& way_in) {
  if (entry.region.size() == 0) return;
  std::vector<Comparison> all = comparisons(entry.instructions, entry.width());
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const Comparison& c) { return c.constant != entry.region.begin.value; }),
            all.end());
  const auto passed = [&](const Comparison& c) { return way_in.count(c.at) != 0; };
  if (all.empty() || std::any_of(all.begin(), all.end(), passed)) return;
  throw description_error(
      entry.description, entry.event().description.key + ".symbol",
      fmt::format("expected where Xen enters: the code compares addresses with {} at {}, which {} does not lead to",
                  entry.description.region.start, format_location(entry, all.front().at),
                  entry.event().description.symbol));
}

void check_region(const Entry& entry, const std::vector<GuestAddress>& unmasked, std::optional<GuestAddress> restored) {
  if (entry.region.size() == 0) return;
  const RegionDescription& region = entry.description.region;
  const auto fail = [&](std::string_view key, const std::string& text) {
    throw description_error(entry.description, key, text);
  };
  const auto check_label = [&](std::string_view key, GuestAddress address, const std::string& symbol) {
    if (find_instruction(entry, address) != nullptr) return;
    throw WrongByItself(
        description_error(entry.description, key, fmt::format("expected an instruction at {}", symbol)));
  };
  check_label("region.start", entry.region.begin, region.start);
  if (entry.restore_end) check_label("region.restore_end", *entry.restore_end, region.restore_end);
  if (unmasked.empty()) {
    fail("region.start", "expected no region: events are unmasked at no instruction of the way out");
  }
  const auto list = [&] {
    return fmt::format("{} to {}", format_location(entry, unmasked.front()), format_location(entry, unmasked.back()));
  };
  if (!std::binary_search(unmasked.begin(), unmasked.end(), entry.region.begin)) {
    fail("region.start", fmt::format("expected a label where events are unmasked: they are at {}, and not at {}",
                                     list(), region.start));
  }
  if (unmasked.front() < entry.region.begin) {
    fail("region.start", fmt::format("expected the first instruction behind the unmask: events are unmasked at {}, and "
                                     "{} lies behind",
                                     format_location(entry, unmasked.front()), region.start));
  }
  if (entry.restore_end && !std::binary_search(unmasked.begin(), unmasked.end(), *entry.restore_end)) {
    fail("region.restore_end",
         fmt::format("expected an instruction of the way out with events unmasked: {} is none", region.restore_end));
  }
  if (entry.restore_end && restored && *restored != *entry.restore_end && !compares_with(entry, *entry.restore_end)) {
    fail("region.restore_end",
         fmt::format(
             "expected a label at {}: there all registers are back, and the code never compares addresses with {}",
             format_location(entry, *restored), region.restore_end));
  }
  check_table(entry);
  check_region_end(entry, unmasked.back());
  if (unmasked.back() >= entry.region.end) {
    fail("region.end",
         fmt::format("expected a label behind the last instruction with events unmasked: they still are at "
                     "{}, and {} is not behind it",
                     format_location(entry, unmasked.back()), region.end));
  }
}

}  // namespace framefold
