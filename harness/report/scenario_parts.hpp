// A scenario as a list of parts, each of which can be plain: what minimising leaves out, weighs and explains.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "scenario/scenario.hpp"

namespace framefold {

/// One thing that a scenario says. Several may stand on one line of its text (flags, calls of a handler).
struct ScenarioPart {
  std::string section;  // of the text: "context", "context.registers", "handler", "arrival"
  std::string key;      // there
  std::size_t arrival = 0;
  std::function<std::uint64_t(const Scenario&)> get;
  std::function<void(Scenario&, std::uint64_t)> set;
  /// The value that says nothing special, given the rest.
  std::function<std::uint64_t(const Scenario&)> plain;
  std::uint64_t choices = 0;  // values below it are worth trying in order; 0: only the plain one is
};

/// Every part of a scenario with as many arrivals, but for the distances of arrivals. Those of arrivals come last, in
/// order.
std::vector<ScenarioPart> scenario_parts(const Entry& entry, std::size_t arrivals);

inline bool is_plain(const ScenarioPart& part, const Scenario& scenario) {
  return part.get(scenario) == part.plain(scenario);
}

/// Which of two scenarios is the smaller one, in this order: arrivals beyond the second (two are easily followed, in a
/// third one is lost); arrivals, with the events that handlers bring about themselves; parts that are not plain; the
/// context's vector; kinds of arrivals; their distances together, then each from the last one on; values of parts.
class ScenarioOrder {
 public:
  explicit ScenarioOrder(const Entry& entry) : parts_(scenario_parts(entry, kMaxArrivals)) {}
  bool smaller(const Scenario& a, const Scenario& b) const { return size_of(a) < size_of(b); }
  /// Arrivals, and the events that handlers bring about themselves.
  static std::uint64_t brought_about(const Scenario& scenario);

 private:
  std::vector<std::uint64_t> size_of(const Scenario& scenario) const;

  std::vector<ScenarioPart> parts_;
};

}  // namespace framefold
