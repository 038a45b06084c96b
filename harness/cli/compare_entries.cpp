#include "cli/compare_entries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/exit_status.hpp"
#include "cli/input.hpp"
#include "cli/progress.hpp"
#include "report/figures.hpp"

namespace framefold {

namespace {

namespace fs = std::filesystem;

constexpr const char* kAskedBy = "entries";

/// What replaying an entry's inputs has shown.
struct Replay {
  std::size_t inputs = 0;
  std::set<std::string> known;    // buckets, without the entry's name
  std::set<std::string> unknown;  // the same
};

struct Compared {
  const Entry* entry = nullptr;
  EntryFigures figures;
  Replay replay;
};

Replay replay_folders(EntryStore& store, const std::string& name, const std::vector<std::string>& folders) {
  Replay replay;
  const Entry& entry = store.find(name, kAskedBy);
  Oracle& oracle = store.oracle(entry);
  for (const std::string& folder : folders) {
    const fs::path own = fs::path(folder) / entry.name();
    if (!fs::is_directory(folder)) {
      throw InputError(fmt::format("--replay: {}: expected a directory with a directory for each entry", folder));
    }
    if (!fs::is_directory(own)) {
      continue;  // nothing known of it
    }
    for (const std::string& file : list_inputs({own.string()})) {
      ++replay.inputs;
      for (const Finding& finding : oracle.judge(read_input(file, name, store).scenario).view()) {
        const std::string bucket = bucket_of(entry, finding).substr(entry.name().size() + 1);
        (finding.known >= 0 ? replay.known : replay.unknown).insert(bucket);
      }
    }
  }
  return replay;
}

/// "kernel", "user": where both are there, each has instructions of its own.
std::string instructions_in(const EntryFigures& figures, std::string_view context) {
  const auto found = std::find_if(figures.upcalls.begin(), figures.upcalls.end(),
                                  [context](const UpcallFigures& upcall) { return upcall.context == context; });
  return found == figures.upcalls.end() ? "-" : std::to_string(found->instructions);
}

std::string verdict_of(const Replay& replay, std::string_view quote) {
  if (replay.inputs == 0) {
    return "not replayed";
  }
  std::string verdict;
  const auto list = [&](std::string_view title, const std::set<std::string>& buckets) {
    for (const std::string& bucket : buckets) {
      verdict += fmt::format("{}{}{}{}", &bucket == &*buckets.begin() ? title : ", ", quote, bucket, quote);
    }
  };
  list("VIOLATION: ", replay.unknown);
  list(verdict.empty() ? "known: " : "; known: ", replay.known);
  return verdict.empty() ? "clean" : verdict;
}

constexpr std::size_t kColumns = 12;
using Row = std::array<std::string, kColumns>;

const Row kHeader = {"entry", "family",  "width",   "code",   "table", "region",
                     "stack", "stack+1", "stack+2", "kernel", "user",  "verdict"};

constexpr const char* kLegend = R"(
code, table, region: bytes. stack: bytes in use at most during an upcall, with no further event, with one, with two;
what handlers use themselves is not counted. kernel, user: instructions from an upcall to the resumption of such a
context. verdict: what the inputs of --replay show, by bucket.
)";

Row row_of(const Compared& compared, std::string_view quote) {
  const EntryFigures& figures = compared.figures;
  const auto bytes = [](std::uint64_t count) { return count == 0 ? std::string("-") : std::to_string(count); };
  return {fmt::format("{}{}{}", quote, compared.entry->name(), quote),
          std::string(figures.family),
          compared.entry->width() == Width::k64 ? "64" : "32",
          bytes(figures.code_bytes),
          bytes(figures.table_bytes),
          bytes(figures.region_bytes),
          bytes(figures.worst_stack(0)),
          bytes(figures.worst_stack(1)),
          bytes(figures.worst_stack(2)),
          instructions_in(figures, "thread"),
          instructions_in(figures, "user"),
          verdict_of(compared.replay, quote)};
}

bool is_number(std::size_t column) { return 1 < column && column + 1 < kColumns; }

void print_text(const std::vector<Compared>& all) {
  std::vector<Row> rows{kHeader};
  std::transform(all.begin(), all.end(), std::back_inserter(rows), [](const Compared& c) { return row_of(c, ""); });
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < kColumns; ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < kColumns; ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      fmt::print("{}{}{}  ", is_number(i) ? padding : "", row[i], is_number(i) ? "" : padding);
    }
    fmt::print("{}\n", row.back());
  }
  fmt::print("{}", kLegend);
}

void print_markdown(const std::vector<Compared>& all) {
  const auto print = [](const Row& row) { fmt::print("| {} |\n", fmt::join(row, " | ")); };
  print(kHeader);
  for (std::size_t i = 0; i < kColumns; ++i) {
    fmt::print("{}", is_number(i) ? "| ---: " : "| --- ");
  }
  fmt::print("|\n");
  for (const Compared& compared : all) {
    print(row_of(compared, "`"));
  }
}

nlohmann::json json_of(const Compared& compared) {
  const EntryFigures& figures = compared.figures;
  nlohmann::json upcalls = nlohmann::json::object();
  for (const UpcallFigures& upcall : figures.upcalls) {
    upcalls[std::string(upcall.context)] = {{"instructions", upcall.instructions}, {"stack_bytes", upcall.stack}};
  }
  return {{"name", compared.entry->name()},
          {"family", figures.family},
          {"width", compared.entry->width() == Width::k64 ? 64 : 32},
          {"code_bytes", figures.code_bytes},
          {"table_bytes", figures.table_bytes},
          {"region_bytes", figures.region_bytes},
          {"upcalls", std::move(upcalls)},
          {"replayed", compared.replay.inputs},
          {"known", compared.replay.known},
          {"violations", compared.replay.unknown}};
}

void print_json(const std::vector<Compared>& all) {
  nlohmann::json json = nlohmann::json::array();
  std::transform(all.begin(), all.end(), std::back_inserter(json), json_of);
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

int compare_entries(EntryStore& store, const std::vector<std::string>& names, const std::vector<std::string>& folders,
                    ComparisonForm form) {
  std::vector<Compared> all;
  Progress progress("entries", names.size());
  for (const std::string& name : names) {
    const Entry& entry = store.find(name, kAskedBy);
    all.push_back({&entry, measure_entry(store.oracle(entry)), replay_folders(store, name, folders)});
    progress.show(all.size());
  }
  progress.clear();
  if (form == ComparisonForm::json) {
    print_json(all);
  } else if (form == ComparisonForm::markdown) {
    print_markdown(all);
  } else {
    print_text(all);
  }
  const bool clean = std::all_of(all.begin(), all.end(), [](const Compared& c) { return c.replay.unknown.empty(); });
  return clean ? kExitClean : kExitViolation;
}

}  // namespace framefold
