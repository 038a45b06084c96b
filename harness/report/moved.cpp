#include "report/moved.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>

namespace framefold {

namespace {

constexpr int kMostShift = 8;  // boundaries: what an edit of a few lines changes
constexpr std::size_t kShifted = 3;

class MovedSearch {
 public:
  MovedSearch(Oracle& oracle, const std::string& signature)
      : oracle_(oracle), signature_(signature), bucket_(signature.substr(0, signature.rfind('+'))) {}

  std::optional<Moved> run(const Scenario& scenario) {
    shift(scenario, 0, 0);
    return best_;
  }

 private:
  void shift(const Scenario& scenario, std::size_t i, int shifted) {
    if (i == std::min<std::size_t>(scenario.arrival_count, kShifted)) {
      judge(scenario, shifted);
      return;
    }
    for (int by = -kMostShift; by <= kMostShift; ++by) {
      const int distance = scenario.arrivals[i].distance + by;
      if (distance >= 0 && distance <= UINT16_MAX) {
        Scenario other = scenario;
        other.arrivals[i].distance = static_cast<std::uint16_t>(distance);
        shift(other, i + 1, shifted + std::abs(by));
      }
    }
  }

  void judge(const Scenario& scenario, int shifted) {
    for (const Finding& finding : oracle_.judge(scenario).view()) {
      if (bucket_of(oracle_.entry(), finding) != bucket_) {
        continue;
      }
      const std::string shown = signature_of(oracle_.entry(), finding);
      const auto rank = std::make_tuple(shown != signature_, shifted);
      if (!best_ || rank < rank_) {
        best_ = Moved{shown, scenario};
        rank_ = rank;
      }
    }
  }

  Oracle& oracle_;
  const std::string& signature_;
  std::string bucket_;
  std::optional<Moved> best_;
  std::tuple<bool, int> rank_;  // of the best one: another signature, boundaries
};

}  // namespace

std::optional<Moved> find_moved(Oracle& oracle, const Scenario& scenario, const std::string& signature) {
  return MovedSearch(oracle, signature).run(scenario);
}

std::string to_text(const Moved& moved) {
  std::string distances;
  for (std::size_t i = 0; i < moved.scenario.arrival_count; ++i) {
    distances +=
        fmt::format("{}{}", i == 0 ? ", with arrivals at distance " : ", ", moved.scenario.arrivals[i].distance);
  }
  return moved.signature + distances;
}

}  // namespace framefold
