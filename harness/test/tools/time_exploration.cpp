// Prints for ci/time-to-find.py what exploration takes to each planted fault, or with --known to each known violation:
// a line each, with bars between: name, kind, milliseconds, transitions, and how far it had to look.
//
// A known violation is looked for in its entry without the rows that name its reproducer. What events alone do not show
// is looked for with an NMI and an exception in open windows, then anywhere.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string_view>

#include "explore/exploration.hpp"
#include "test/planted_faults.hpp"
#include "test/reproducers.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

using Clock = std::chrono::steady_clock;

struct Search {
  std::string name;
  std::string bucket;  // that is looked for; empty: whatever is not known
  std::unique_ptr<const Entry> entry;
};

struct Pass {
  const char* name;
  ExplorationOptions options;
};

std::array<Pass, 3> passes() {
  constexpr unsigned kFewChoices = 3;
  Pass events{"events", {}};
  events.options.second_values = false;
  events.options.stop_at_violation = true;
  Pass windows{"an NMI and an exception in windows", events.options};
  windows.options.bounds.nmis = windows.options.bounds.exceptions = 1;
  windows.options.bounds.in_windows_only = true;
  windows.options.bounds.choices = kFewChoices;
  windows.options.crossing = Crossing::none;
  Pass anywhere{"an NMI and an exception anywhere", windows.options};
  anywhere.options.bounds.in_windows_only = false;
  return {events, windows, anywhere};
}

std::string bucket_of(const std::string& signature) { return signature.substr(0, signature.rfind('+')); }

void search(const Search& wanted) {
  const Clock::time_point start = Clock::now();
  std::uint64_t transitions = 0;
  std::string kind = "-";
  std::string how;
  for (const Pass& pass : passes()) {
    const std::array<const Entry*, 1> entries{wanted.entry.get()};
    const EntryReport report =
        explore_entries(entries, pass.options, std::atomic<bool>{false}, [](std::size_t, std::size_t) {}).front();
    transitions += report.result.counts.transitions;
    how = pass.name;
    const auto& violations = report.result.violations;
    const auto found = std::find_if(violations.begin(), violations.end(), [&](const auto& violation) {
      return wanted.bucket.empty() || bucket_of(violation.first) == wanted.bucket;
    });
    if (found != violations.end()) {
      kind = name_of(found->second.kind);
      break;
    }
  }
  const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  fmt::print("{}|{}|{}|{}|{}\n", wanted.name, kind, taken.count(), transitions, how);
  std::fflush(stdout);
}

std::unique_ptr<const Entry> without_rows(const std::string& name, const std::string& reproducer) {
  const BundledEntry bundled = find_variant(name);
  Description description = parse_description(bundled.description, name + "/entry.toml");
  std::erase_if(description.known,
                [&](const KnownDescription& row) { return reproducer.empty() || row.reproducer == reproducer; });
  return load_entry(description, bundled.elf, name);
}

void search_planted(std::string_view only) {
  for (const PlantedFault& fault : planted_faults()) {
    if (fault.variant.find(only) == std::string::npos) {
      continue;
    }
    // One that is known is looked for where nothing is.
    search({fault.variant, bucket_of(fault.only),
            fault.only.empty() ? load_variant(fault.variant) : without_rows(fault.variant, "")});
  }
}

void search_known(std::string_view only) {
  for (const BundledEntry& bundled : bundled_entries()) {
    const std::string name(bundled.name);
    const auto entry = load_variant(name);
    for (const auto& [file, parsed] : read_reproducers(name, *entry)) {
      const std::string bucket = bucket_of(parsed.notes.signature);
      if (bucket.find(only) != std::string::npos) {
        search({bucket, bucket, without_rows(name, file)});
      }
    }
  }
}

}  // namespace
}  // namespace framefold::test

int main(int argc, char** argv) {
  const bool known = argc > 1 && std::string_view(argv[1]) == "--known";
  const std::string_view only = argc > (known ? 2 : 1) ? argv[argc - 1] : "";
  known ? framefold::test::search_known(only) : framefold::test::search_planted(only);
  return 0;
}
