// Scenarios of bundled entries, by the places at which something arrives.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "run/oracle.hpp"
#include "scenario/codec.hpp"

namespace framefold::test {

/// No arrivals, and every register with its tag.
inline Scenario plain(const Entry& entry) { return decode({}, entry); }

inline void add(Scenario& scenario, ArrivalKind kind, std::uint16_t distance, std::uint8_t port = 9) {
  Arrival& arrival = scenario.arrivals[scenario.arrival_count++];
  arrival.kind = kind;
  arrival.distance = distance;
  arrival.port = kind == ArrivalKind::event ? port : std::uint8_t{0};
}

inline std::uint8_t vector_index(const Entry& entry, std::string_view name) {
  for (std::size_t i = 0; i < entry.vectors.size(); ++i) {
    if (entry.vectors[i].description.name == name) {
      return static_cast<std::uint8_t>(i);
    }
  }
  throw std::out_of_range("no vector " + std::string(name));
}

/// Boundaries from the entry vector to the first instruction at `place`, measured.
inline std::uint16_t distance_to(const Entry& entry, std::string_view place) {
  struct Finder : TraceSink {
    GuestAddress wanted;
    std::optional<std::uint32_t> found;
    void record(const TraceEvent& event) override {
      if (!found && event.kind == TraceEvent::Kind::boundary && event.address == wanted && !event.reference) {
        found = event.step - 1;
      }
    }
  } finder;
  finder.wanted = *parse_location(entry, place);
  Oracle oracle(entry);
  oracle.execution().set_trace(&finder);
  oracle.judge(plain(entry));
  return static_cast<std::uint16_t>(finder.found.value());
}

inline bool only_known(const Verdict& verdict) { return verdict.violation() == nullptr; }

}  // namespace framefold::test
