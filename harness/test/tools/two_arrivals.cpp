// Every scenario of at most two arrivals from plain registers, for one bucket of an entry: does any show it, and which
// is the smallest? By brute force, where minimising found none: all vectors, modes, stacks, masks, waiting events,
// masked ports and actions of the event handler, with all pairs of arrivals at all boundaries.
//
//   two_arrivals ENTRY BUCKET
//
// For kinds that the nested run shows by itself; only the scenarios that show the kind are judged. Exit status: 0 one
// shows it (its text is printed), 1 none does, 2 wrong use. Takes minutes to hours.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "report/scenario_parts.hpp"
#include "run/oracle.hpp"
#include "scenario/enumerate.hpp"
#include "scenario/toml.hpp"
#include "test/entries.hpp"

namespace framefold {
namespace {

/// The contexts of plain_contexts, with what a context and its handlers can add to the events of a run.
std::vector<Scenario> contexts_of(const Entry& entry) {
  std::vector<Scenario> contexts;
  for (const Scenario& plain : plain_contexts(entry)) {
    for (unsigned bits = 0; bits < 1U << 7; ++bits) {
      const auto has = [bits](unsigned bit) { return (bits >> bit & 1U) != 0; };
      Scenario scenario = plain;
      Context& context = scenario.context;
      context.mask = has(0) && context.mask != 0 ? 2 : context.mask;  // masked, but by no value that code tests for
      if (has(1)) {
        context.pending = entry.description.pending_values.front();
      }
      context.has_masked_port = has(2);
      context.masked_port = 1;
      context.nmi_masked = has(3);
      scenario.event_actions[0].unmask_port = has(2);
      scenario.event_actions[0].nested_event = has(4);
      scenario.event_actions[1].nested_event = has(5);
      scenario.event_actions[0].set_work_flag = scenario.event_actions[1].set_work_flag = has(6);
      add_once(contexts, scenario, entry);
    }
  }
  return contexts;
}

class Search {
 public:
  Search(const Entry& entry, ViolationKind kind, std::string bucket)
      : entry_(entry),
        kind_(kind),
        bucket_(std::move(bucket)),
        oracle_(entry),
        order_(entry),
        arrivals_(all_arrivals(entry)) {}

  std::optional<Scenario> run() {
    const std::vector<Scenario> contexts = contexts_of(entry_);
    for (std::size_t i = 0; i < contexts.size(); ++i) {
      judge(contexts[i]);
      extend(contexts[i], 0);
      std::fprintf(stderr, "two_arrivals: %zu of %zu contexts, %llu scenarios, %llu show it\n", i + 1, contexts.size(),
                   static_cast<unsigned long long>(run_), static_cast<unsigned long long>(shown_));
    }
    return smallest_;
  }

 private:
  /// Without an NMI, and none before, NMIs stay as they are.
  bool may_show(const Scenario& scenario) const {
    const auto* const end = scenario.arrivals.begin() + scenario.arrival_count;
    return kind_ != ViolationKind::nmi_masked || scenario.context.nmi_masked ||
           entry_.vectors[scenario.context.vector].description.kind == DeliveryKind::nmi ||
           std::any_of(scenario.arrivals.begin(), end, [](const Arrival& a) { return a.kind == ArrivalKind::nmi; });
  }

  /// Whether all its arrivals are taken.
  bool judge(const Scenario& scenario) {
    ++run_;
    oracle_.execution().run_nested(scenario, kMaxArrivals, outcome_);
    const bool all_taken = outcome_.reached == scenario.arrival_count;
    if (all_taken && outcome_.violations.contains(kind_)) {
      compare(scenario);
    }
    return all_taken;
  }

  void compare(const Scenario& scenario) {
    for (const Finding& finding : oracle_.judge(scenario).view()) {
      if (bucket_of(entry_, finding) == bucket_) {
        ++shown_;
        if (!smallest_ || order_.smaller(scenario, *smallest_)) {
          smallest_ = scenario;
        }
      }
    }
  }

  void extend(const Scenario& scenario, std::size_t i) {
    for (const Arrival& arrival : arrivals_) {
      Scenario longer = scenario;
      longer.arrival_count = static_cast<std::uint8_t>(i + 1);
      longer.arrivals[i] = arrival;
      if (i == 1 && !may_show(longer)) {
        continue;
      }
      for (std::uint16_t distance = 0; distance < UINT16_MAX; ++distance) {
        longer.arrivals[i].distance = distance;
        Scenario canonical = longer;
        canonicalise(canonical, entry_);
        if (!judge(canonical)) {
          break;
        }
        if (i == 0) {
          extend(canonical, 1);
        }
      }
    }
  }

  const Entry& entry_;
  ViolationKind kind_;
  std::string bucket_;
  Oracle oracle_;
  ScenarioOrder order_;
  std::vector<Arrival> arrivals_;
  Outcome outcome_;
  std::optional<Scenario> smallest_;
  std::uint64_t run_ = 0;
  std::uint64_t shown_ = 0;
};

}  // namespace
}  // namespace framefold

int main(int argc, char** argv) {
  using namespace framefold;
  const std::string bucket = argc == 3 ? argv[2] : "";
  const std::size_t begin = bucket.find(':');
  const std::size_t end = begin == std::string::npos ? begin : bucket.find(':', begin + 1);
  const std::optional<ViolationKind> kind =
      end == std::string::npos ? std::nullopt : violation_kind_from_name(bucket.substr(begin + 1, end - begin - 1));
  if (!kind) {
    std::fprintf(stderr, "two_arrivals: expected an entry and a bucket of it\n");
    return 2;
  }
  const Entry& entry = test::bundled_entry(argv[1]);
  const std::optional<Scenario> found = Search(entry, *kind, bucket).run();
  if (!found) {
    std::printf("none\n");
    return 1;
  }
  std::printf("%s", to_toml(*found, entry, {entry.name(), "", ""}).c_str());
  return 0;
}
