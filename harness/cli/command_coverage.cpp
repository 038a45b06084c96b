// framefold coverage: what inputs reach of an entry, instruction by instruction.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/deliverable.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input_format.hpp"
#include "cli/progress.hpp"
#include "cli/reachable.hpp"
#include "scenario/codec.hpp"

namespace framefold {

namespace {

struct CoverageOptions {
  std::string entry;
  std::vector<std::string> folders;
  bool possible = false;
  bool json = false;
  bool summary = false;
  bool unchecked = false;
};

/// What became of arrivals of one kind at one boundary.
struct Fates {
  std::uint64_t arrived = 0;
  std::uint64_t delivered = 0;
};

struct BoundaryReport {
  GuestAddress address;
  std::string text;  // of the instruction
  bool executed = false;
  bool reachable = false;
  std::array<Fates, kArrivalKindCount> kinds;
  std::array<bool, kArrivalKindCount> possible{};          // something of that kind can be delivered here
  std::array<std::uint64_t, kDeliveryKindCount> folded{};  // of what was delivered here, those whose frame was folded
  std::array<bool, kDeliveryKindCount> foldable{};         // the frame of something of that kind can be
};

constexpr std::array kDeliveries = {DeliveryKind::event, DeliveryKind::exception, DeliveryKind::nmi};

/// As deliverable() counts: of the nested run, by the boundary at which an arrival came, even where Xen delivers it
/// later.
void add_run(const FeatureProbe& probe, const Scenario& scenario, std::vector<BoundaryReport>& boundaries) {
  for (std::size_t i = 0; i < boundaries.size(); ++i) {
    boundaries[i].executed = boundaries[i].executed || probe.coverage().executed_boundaries()[i] != 0;
    const auto& folded = probe.coverage().counts()[i].folded;
    std::transform(folded.begin(), folded.end(), boundaries[i].folded.begin(), boundaries[i].folded.begin(),
                   std::plus());
  }
  for (std::size_t i = 0; i < probe.nested().reached; ++i) {
    const ArrivalRecord& record = probe.nested().arrivals[i];
    if (const Instruction* instruction = find_instruction(probe.entry(), record.boundary)) {
      const auto index = static_cast<std::size_t>(instruction - probe.entry().instructions.data());
      Fates& fates = boundaries[index].kinds[static_cast<std::size_t>(scenario.arrivals[i].counted_as())];
      ++fates.arrived;
      fates.delivered += record.delivered ? 1 : 0;
    }
  }
}

/// The entry's own instructions; the page's stub and the handlers are not its code.
std::vector<BoundaryReport> replay(FeatureProbe& probe, const std::vector<std::string>& folders) {
  const Entry& entry = probe.entry();
  std::vector<BoundaryReport> boundaries;
  for (const Instruction& instruction : entry.instructions) {
    BoundaryReport& boundary = boundaries.emplace_back();
    boundary.address = instruction.address;
    boundary.text = instruction.text;
  }
  for (const std::string& folder : folders) {
    const auto [corpus, skipped] = read_inputs(folder);
    note_skipped(skipped);
    newer_formats(folder, corpus).note();
    Progress progress("inputs", corpus.size());
    std::size_t done = 0;
    for (const auto& [file, bytes] : corpus) {
      const Scenario scenario = decode(bytes, entry);
      probe.run(scenario);
      add_run(probe, scenario, boundaries);
      progress.show(++done);
    }
  }
  return boundaries;
}

/// What exploration reaches, and what is delivered behind longer paths with NMIs and exceptions than it takes there.
void mark_possible(const Entry& entry, std::vector<BoundaryReport>& boundaries) {
  const std::vector<ReachableBoundary> reached = reachable(entry);
  for (std::size_t i = 0; i < boundaries.size(); ++i) {
    boundaries[i].reachable = reached[i].executed;
    boundaries[i].possible = reached[i].delivered;
  }
  const Deliverable found = deliverable(entry);
  for (std::size_t i = 0; i < boundaries.size(); ++i) {
    std::transform(found.counts[i].folded.begin(), found.counts[i].folded.end(), boundaries[i].foldable.begin(),
                   [](std::uint64_t count) { return count > 0; });
  }
  for (const DeliveredAt& what : found.all) {
    if (const Instruction* instruction = find_instruction(entry, what.boundary)) {
      const auto index = static_cast<std::size_t>(instruction - entry.instructions.data());
      boundaries[index].possible[static_cast<std::size_t>(what.kind)] = true;
    }
  }
}

nlohmann::ordered_json to_json(const Entry& entry, const std::vector<BoundaryReport>& boundaries, bool possible) {
  auto list = nlohmann::ordered_json::array();
  for (const BoundaryReport& boundary : boundaries) {
    nlohmann::ordered_json json{{"address", boundary.address.value},
                                {"place", format_location(entry, boundary.address)},
                                {"text", boundary.text},
                                {"region", entry.critical.contains(boundary.address)},
                                {"executed", boundary.executed}};
    for (const DeliveryKind kind : kDeliveries) {
      json["folded"][std::string(name_of(kind))] = boundary.folded[static_cast<std::size_t>(kind)];
      if (possible) json["foldable"][std::string(name_of(kind))] = boundary.foldable[static_cast<std::size_t>(kind)];
    }
    if (possible) {
      json["reachable"] = boundary.reachable;
    }
    for (std::size_t k = 0; k < kArrivalKindCount; ++k) {
      nlohmann::ordered_json kind{{"arrived", boundary.kinds[k].arrived}, {"delivered", boundary.kinds[k].delivered}};
      if (possible) {
        kind["possible"] = boundary.possible[k];
      }
      json[std::string(name_of(static_cast<ArrivalKind>(k)))] = kind;
    }
    list.push_back(json);
  }
  return {{"format", 2}, {"entry", entry.name()}, {"boundaries", list}};
}

/// Pairs of a boundary and a kind whose frame can be folded there: of which it was, and all.
std::pair<std::size_t, std::size_t> count_folds(const std::vector<BoundaryReport>& boundaries) {
  std::size_t folded = 0;
  std::size_t foldable = 0;
  for (const BoundaryReport& boundary : boundaries) {
    for (std::size_t k = 0; k < kDeliveryKindCount; ++k) {
      folded += boundary.foldable[k] && boundary.folded[k] > 0 ? 1 : 0;
      foldable += boundary.foldable[k] ? 1 : 0;
    }
  }
  return {folded, foldable};
}

/// What of that which can be reached the inputs reach.
void print_summary(const Entry& entry, const std::vector<BoundaryReport>& boundaries) {
  std::size_t executed = 0;
  std::size_t reachable = 0;
  std::array<std::size_t, kArrivalKindCount> delivered{};
  std::array<std::size_t, kArrivalKindCount> possible{};
  for (const BoundaryReport& boundary : boundaries) {
    executed += boundary.executed && boundary.reachable ? 1 : 0;
    reachable += boundary.reachable ? 1 : 0;
    for (std::size_t k = 0; k < kArrivalKindCount; ++k) {
      delivered[k] += boundary.possible[k] && boundary.kinds[k].delivered > 0 ? 1 : 0;
      possible[k] += boundary.possible[k] ? 1 : 0;
    }
  }
  std::string kinds;
  for (std::size_t k = 0; k < kArrivalKindCount; ++k) {
    kinds += fmt::format(" {} {}/{}", name_of(static_cast<ArrivalKind>(k)), delivered[k], possible[k]);
  }
  const auto [folded, foldable] = count_folds(boundaries);
  fmt::print("{}: instructions {}/{}; boundaries by what is delivered there:{}; by what is folded there: {}/{}\n",
             entry.name(), executed, reachable, kinds, folded, foldable);
}

void print_text(const Entry& entry, const std::vector<BoundaryReport>& boundaries) {
  std::size_t executed = 0;
  for (const BoundaryReport& boundary : boundaries) {
    executed += boundary.executed ? 1 : 0;
    fmt::print("{} {:<28} {:<36}", boundary.executed ? ' ' : '-', format_location(entry, boundary.address),
               boundary.text);
    for (std::size_t k = 0; k < kArrivalKindCount; ++k) {
      if (boundary.kinds[k].arrived != 0) {
        fmt::print(" {} {}/{}", name_of(static_cast<ArrivalKind>(k)), boundary.kinds[k].delivered,
                   boundary.kinds[k].arrived);
      }
    }
    for (const DeliveryKind kind : kDeliveries) {
      if (const std::uint64_t count = boundary.folded[static_cast<std::size_t>(kind)]; count != 0) {
        fmt::print(" {} folded {}", name_of(kind), count);
      }
    }
    fmt::print("\n");
  }
  fmt::print("{}: {} of {} instructions\n", entry.name(), executed, boundaries.size());
}

int run(const CoverageOptions& options) {
  EntryStore store(options.unchecked);
  const Entry& entry = store.find(options.entry, "--entry");
  store.expect_an_oracle(entry);
  FeatureProbe probe(entry);
  std::vector<BoundaryReport> boundaries = replay(probe, options.folders);
  if (options.possible || options.summary) {
    mark_possible(entry, boundaries);
  }
  if (options.json) {
    fmt::print("{}\n", to_json(entry, boundaries, options.possible).dump());
  } else if (options.summary) {
    print_summary(entry, boundaries);
  } else {
    print_text(entry, boundaries);
  }
  return kExitClean;
}

constexpr const char* kCoverageFooter =
    R"(One line an instruction: "-" where none of the inputs executes it; behind it, by kind of arrival, how many were delivered
of those that came at its boundary, and how many of them were folded. A tick with a pending byte of its own counts as an event.

Example:
  framefold coverage -e minios-x86_64-table corpus/minios-x86_64-table

ci/coverage.sh makes a page of it, with the source, for all entries.

Exit status: 0 done; 2 bad use; 3 an error of framefold's own.)";

}  // namespace

Command coverage_command(Arguments parent) {
  auto options = std::make_shared<CoverageOptions>();
  Arguments app = parent.add_command("coverage", "Say what inputs reach of an entry, instruction by instruction");
  app.add_option("FOLDER", options->folders, "Folders of inputs").required().type_name("");
  app.add_option("-e,--entry", options->entry, "Name of a bundled entry, or path of an entry.toml")
      .required()
      .type_name("NAME|PATH");
  app.add_flag("--possible", options->possible,
               "With --json: also say what can be executed and delivered where, found by exploring; takes seconds");
  app.add_flag("--summary", options->summary,
               "One line instead: what is reached of what can be, as --possible finds it");
  app.add_unchecked(options->unchecked);
  app.add_flag("--json", options->json, "One JSON document instead of text");
  app.footer(kCoverageFooter);
  return {app, [options] { return run(*options); }};
}

}  // namespace framefold
