#include "check/check_calls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "check/longest_run.hpp"
#include "run/execution.hpp"

namespace framefold {

namespace {

/// A run: the last function of `calls` that it reached, and what the words to which they store hold before and behind.
struct CallRun : private TraceSink {
  CallRun(const Entry& run_of, const Scenario& scenario) : entry(run_of), execution(run_of) {
    ExecutionOptions options;
    options.runaway_limit = kLongestRun;
    execution.set_options(options);
    execution.set_trace(this);
    before = words();
    execution.run_nested(scenario, 0, outcome);
    behind = words();
  }

  const Entry& entry;
  Execution execution;
  std::optional<std::size_t> called;
  Outcome outcome;
  std::vector<std::uint64_t> before;
  std::vector<std::uint64_t> behind;

 private:
  std::vector<std::uint64_t> words() {
    std::vector<std::uint64_t> found;
    for (const Call& call : entry.calls) {
      constexpr std::size_t kSize = sizeof call.description.to;
      const std::uint8_t* const word = call.sets ? execution.guest().memory().find(*call.sets, kSize) : nullptr;
      found.push_back(word == nullptr ? 0 : load_word(word, kSize));
    }
    return found;
  }

  void record(const TraceEvent& event) override {
    if (event.kind != TraceEvent::Kind::boundary) return;
    for (std::size_t i = 0; i < entry.calls.size(); ++i) {
      if (entry.calls[i].address == event.address) called = i;
    }
  }
};

bool is_counter(const Entry& entry, GuestAddress at) {
  return std::any_of(entry.counters.begin(), entry.counters.end(), [at](GuestRange each) { return each.contains(at); });
}

bool stores(const Call& call, GuestAddress at) {
  return call.sets && GuestRange{*call.sets, *call.sets + sizeof call.description.to}.contains(at);
}

std::string key_of(std::size_t row, std::string_view key) { return fmt::format("calls[{}].{}", row, key); }

}  // namespace

bool is_stored_by_call(const Entry& entry, GuestAddress at) {
  return std::any_of(entry.calls.begin(), entry.calls.end(), [at](const Call& call) { return stores(call, at); });
}

void check_not_stored(const Entry& entry, GuestAddress at, std::string_view where) {
  for (std::size_t row = 0; row < entry.calls.size(); ++row) {
    if (!stores(entry.calls[row], at)) continue;
    const CallDescription& call = entry.calls[row].description;
    throw description_error(entry.description, key_of(row, "to"),
                            fmt::format("expected what {} holds without {}, or code that puts that back: {} leaves it "
                                        "{:#x}",
                                        call.sets, call.symbol, where, call.to));
  }
}

void check_work_done(const Entry& entry, const Scenario& user) {
  if (!entry.work_flag || entry.calls.empty()) return;
  Scenario asked = user;
  asked.event_actions[0].set_work_flag = true;
  const CallRun run(entry, asked);
  if (!run.called) return;
  const std::string& flag = entry.description.work_flag->symbol;
  if (!run.outcome.resumed) {
    const CallDescription& call = entry.calls[*run.called].description;
    throw description_error(
        entry.description, key_of(*run.called, call.sets.empty() ? "symbol" : "sets"),
        fmt::format("expected what {} does with {}, or with what else asked for work: it is called where a handler has "
                    "set {:#x} there, and the user does not resume",
                    call.symbol, flag, entry.description.work_flag->mask));
  }
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    if (run.before[i] == run.behind[i] || is_counter(entry, *entry.calls[i].sets)) continue;
    check_not_stored(entry, *entry.calls[i].sets, "a user for whom a handler has asked for work");
  }
}

}  // namespace framefold
