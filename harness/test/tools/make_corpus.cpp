// framefold_corpus ENTRY FOLDER: builds the regression corpus of a bundled entry, the same on each machine.
//
// Inputs are built arrival by arrival, in a fixed order of kinds: the next one comes at the boundary where it reaches
// the most guest features that nothing has reached before. Each begins with an event that is folded, as long as that
// leads to something new: what a fuzzer starts from should be what the entry code is about. What shows a violation that
// is not known is left out. At the end, inputs go whose features others have as well.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>

#include "cli/sha1.hpp"
#include "scenario/codec.hpp"
#include "test/entries.hpp"
#include "test/guest_features.hpp"

namespace {

using namespace framefold;
namespace fs = std::filesystem;

constexpr std::size_t kArrivals = 8;  // of one input: it is 96 bytes then

struct Input {
  Scenario scenario;
  std::vector<std::uint32_t> features;
};

class Builder {
 public:
  explicit Builder(const Entry& entry)
      : probe_(entry), seen_(Coverage::counters_wanted(entry)), arrivals_(test::all_arrivals(entry)) {}

  std::vector<Input> build() {
    for (const Scenario& context : test::all_contexts(probe_.entry())) {
      add_inputs(context, true);
    }
    const test::Deliverable deliverable = test::deliverable(probe_.entry());
    for (const Scenario& prefix : deliverable.prefixes) {
      add_inputs(prefix, false);
    }
    for (const Scenario& fold : deliverable.folds) {
      if (good(fold) && new_features() > 0) {  // as it is: what comes behind it may be in its way
        keep(fold);
      }
    }
    drop_redundant();
    return inputs_;
  }

 private:
  /// Whether the scenario is one to keep: no violation that is not known, and every arrival reached.
  bool good(const Scenario& scenario) {
    return probe_.run(scenario).violation() == nullptr && probe_.nested().reached == scenario.arrival_count;
  }

  std::size_t new_features() const {
    const auto features = probe_.features();
    return static_cast<std::size_t>(
        std::count_if(features.begin(), features.end(), [this](std::uint32_t f) { return !seen_[f]; }));
  }

  void add_inputs(const Scenario& prefix, bool fold_first) {
    while (add_input(prefix, fold_first)) {
    }
  }

  /// False where that would reach nothing new.
  bool add_input(const Scenario& prefix, bool fold_first) {
    Scenario scenario = prefix;
    if ((fold_first && !append_fold(scenario)) || !good(scenario)) {
      return false;
    }
    const std::vector<bool> before = seen_;
    note();
    while (scenario.arrival_count < kArrivals && append_new(scenario)) {
    }
    good(scenario);
    seen_ = before;  // an arrival at the same boundary may have taken the place of one before it
    if (new_features() == 0) {
      return false;
    }
    keep(scenario);
    return true;
  }

  /// The scenario of the last run.
  void keep(const Scenario& scenario) {
    note();
    inputs_.push_back({scenario, {probe_.features().begin(), probe_.features().end()}});
  }

  void note() {
    for (const std::uint32_t feature : probe_.features()) {
      seen_[feature] = true;
    }
  }

  /// The next event that is folded, round and round the places where one is.
  bool append_fold(Scenario& scenario) {
    probe_.run(scenario);
    const std::uint32_t before = probe_.nested().folds;
    std::vector<Scenario> candidates;
    for (std::uint16_t distance = 0;; ++distance) {
      const Scenario longer = test::with_arrival(scenario, arrivals_.front(), distance);
      const bool clean = good(longer);
      if (probe_.nested().reached < longer.arrival_count) {
        break;
      }
      if (clean && probe_.nested().folds > before && probe_.nested().arrivals[scenario.arrival_count].delivered) {
        candidates.push_back(longer);
      }
    }
    if (candidates.empty()) {
      return false;
    }
    scenario = candidates[turn_++ % candidates.size()];
    return true;
  }

  /// The arrival that reaches most that is new, of the kind that did so last where there is one. Notes it, so that the
  /// one behind it has to reach something else.
  bool append_new(Scenario& scenario) {
    std::size_t most = 0;
    Scenario best;
    for (std::size_t tried = 0; most == 0 && tried < arrivals_.size(); ++tried, ++kind_) {
      for (std::uint16_t distance = 0;; ++distance) {
        const Scenario longer = test::with_arrival(scenario, arrivals_[kind_ % arrivals_.size()], distance);
        const bool clean = good(longer);
        if (probe_.nested().reached < longer.arrival_count) {
          break;
        }
        if (const std::size_t count = new_features(); clean && count > most) {
          most = count;
          best = longer;
        }
      }
    }
    if (most == 0) {
      return false;
    }
    --kind_;
    scenario = best;
    good(scenario);
    note();
    return true;
  }

  void drop_redundant() {
    std::vector<std::size_t> reached_by(seen_.size());
    for (const Input& input : inputs_) {
      for (const std::uint32_t feature : input.features) {
        ++reached_by[feature];
      }
    }
    std::erase_if(inputs_, [&](const Input& input) {
      if (std::any_of(input.features.begin(), input.features.end(),
                      [&](std::uint32_t feature) { return reached_by[feature] == 1; })) {
        return false;
      }
      for (const std::uint32_t feature : input.features) {
        --reached_by[feature];
      }
      return true;
    });
  }

  test::FeatureProbe probe_;
  std::vector<bool> seen_;
  std::vector<Arrival> arrivals_;
  std::vector<Input> inputs_;
  std::size_t turn_ = 0;  // of append_fold
  std::size_t kind_ = 0;  // of append_new
};

void remove_old(const fs::path& folder) {
  constexpr std::size_t kNameLength = 40;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    if (file.is_regular_file() && file.path().filename().string().size() == kNameLength) {
      fs::remove(file.path());
    }
  }
}

void run(const std::string& name, const fs::path& folder) {
  const Entry& entry = test::bundled_entry(name);
  const std::vector<Input> inputs = Builder(entry).build();
  fs::create_directories(folder);
  remove_old(folder);
  std::size_t bytes = 0;
  for (const Input& input : inputs) {
    const Encoded encoded = encode(input.scenario, entry);
    const std::span<const std::uint8_t> view = encoded.view();
    std::ofstream file(folder / sha1_name(view), std::ios::binary);
    file.write(reinterpret_cast<const char*>(view.data()), static_cast<std::streamsize>(view.size()));
    if (!file.flush()) {
      throw InputError(fmt::format("{}: cannot write", folder.string()));
    }
    bytes += view.size();
  }
  fmt::print("{}: {} inputs, {} bytes\n", name, inputs.size(), bytes);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: framefold_corpus ENTRY FOLDER\n", stderr);
    return 2;
  }
  try {
    run(argv[1], argv[2]);
  } catch (const InputError& error) {
    std::fprintf(stderr, "framefold_corpus: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "framefold_corpus: %s\n", error.what());
    return 3;
  }
  return 0;
}
