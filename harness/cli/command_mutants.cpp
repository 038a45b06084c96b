// framefold mutants: faults planted in an entry, one at a time, and what exploration says of each.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/interruption.hpp"
#include "cli/progress.hpp"
#include "mutant/judge.hpp"

namespace framefold {

namespace {

struct MutantsOptions {
  std::string entry;
  unsigned jobs = 0;
  std::size_t memory = 1024;  // MiB
  bool thorough = false;
  bool json = false;
  bool verbose = false;
  bool unchecked = false;
};

nlohmann::json to_json(const MutantReport& report) {
  nlohmann::json mutants = nlohmann::json::array();
  for (const JudgedMutant& judged : report.mutants) {
    nlohmann::json item = {{"place", format_location(*report.entry, judged.mutant.place)},
                           {"instruction", judged.mutant.text},
                           {"fault", judged.mutant.fault},
                           {"fate", name_of(judged.fate)},
                           {"seconds", judged.seconds}};
    const auto add = [&](const char* key, const std::string& value) {
      if (!value.empty()) {
        item[key] = value;
      }
    };
    add("becomes", judged.mutant.becomes);
    add("kind", judged.kind);
    add("signature", judged.signature);
    add("detail", judged.detail);
    if (judged.fate == Fate::survived) {
      item["same_graph"] = judged.same_graph;
    }
    if (judged.row >= 0) {
      item["argument"] = report.entry->description.equivalent_mutants[static_cast<std::size_t>(judged.row)].why;
    }
    mutants.push_back(std::move(item));
  }
  nlohmann::json counts;
  for (const Fate fate : {Fate::killed, Fate::equivalent, Fate::same_states, Fate::argued, Fate::survived,
                          Fate::unclear, Fate::not_judged}) {
    counts[std::string(name_of(fate))] = report.count(fate);
  }
  return {{"entry", report.entry->name()},
          {"original", name_of(report.original)},
          {"partial", interrupted.load()},
          {"counts", counts},
          {"wrong_arguments", report.wrong_arguments},
          {"mutants", mutants}};
}

/// "violation: number, median and longest seconds"
void print_kinds(const MutantReport& report) {
  std::map<std::string, std::vector<double>> times;
  for (const JudgedMutant& judged : report.mutants) {
    if (judged.fate == Fate::killed) {
      times[judged.kind].push_back(judged.seconds);
    }
  }
  for (auto& [kind, of_kind] : times) {
    std::sort(of_kind.begin(), of_kind.end());
    fmt::print("  {:<20} {:>5}   median {:.3f} s, longest {:.3f} s\n", kind, of_kind.size(),
               of_kind[of_kind.size() / 2], of_kind.back());
  }
}

void print_mutant(const MutantReport& report, const JudgedMutant& judged) {
  const Mutant& mutant = judged.mutant;
  fmt::print("  {:<28} {:<34} {}{}", format_location(*report.entry, mutant.place), mutant.text, mutant.fault,
             mutant.becomes.empty() ? "" : ": " + mutant.becomes);
  if (judged.fate == Fate::survived) {
    fmt::print(" ({})", judged.same_graph ? "the original's graph but for values" : "another graph");
  } else if (judged.fate == Fate::killed) {
    fmt::print(" -> {} in {:.3f} s", judged.signature.empty() ? judged.kind : judged.signature, judged.seconds);
  } else if (judged.fate == Fate::argued) {
    fmt::print(": {}", report.entry->description.equivalent_mutants[static_cast<std::size_t>(judged.row)].why);
  } else if (judged.fate == Fate::unclear) {
    fmt::print(": {}", judged.detail.substr(0, judged.detail.find('\n')));
  }
  fmt::print("\n");
}

void print_list(const MutantReport& report, Fate fate) {
  if (report.count(fate) == 0) {
    return;
  }
  fmt::print("\n{}:\n", name_of(fate));
  for (const JudgedMutant& judged : report.mutants) {
    if (judged.fate == fate) {
      print_mutant(report, judged);
    }
  }
}

void print(const MutantReport& report, bool verbose) {
  fmt::print(
      "{}: {} without a fault; {} mutants: {} killed, {} equivalent by execution, {} with the same states, "
      "{} argued equivalent, {} survived, {} unclear",
      report.entry->name(), name_of(report.original), report.mutants.size(), report.count(Fate::killed),
      report.count(Fate::equivalent), report.count(Fate::same_states), report.count(Fate::argued),
      report.count(Fate::survived), report.count(Fate::unclear));
  fmt::print("{}\n", interrupted ? fmt::format(", {} not judged: partial", report.count(Fate::not_judged)) : "");
  print_kinds(report);
  print_list(report, Fate::survived);
  print_list(report, Fate::unclear);
  if (verbose) {
    print_list(report, Fate::killed);
    print_list(report, Fate::equivalent);
    print_list(report, Fate::same_states);
    print_list(report, Fate::argued);
  }
}

int run_mutants(const MutantsOptions& options) {
  EntryStore store(options.unchecked);
  const Entry& entry = store.find(options.entry, "mutants");
  store.expect_an_oracle(entry);
  MutantOptions judging;
  judging.bounds.nmis = judging.bounds.exceptions = options.thorough ? 1 : 0;
  judging.jobs = options.jobs != 0 ? options.jobs : std::max(1U, std::thread::hardware_concurrency());
  judging.memory = options.memory << 20;
  MutantReport report;
  {
    const InterruptionGuard guard;
    std::unique_ptr<Progress> progress;
    report = judge_mutants(entry, store.image(entry), judging, interrupted, [&](std::size_t done, std::size_t total) {
      if (!progress) {
        progress = std::make_unique<Progress>("mutants", total);
      }
      progress->show(done);
    });
  }
  if (options.json) {
    fmt::print("{}\n", to_json(report).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    print(report, options.verbose);
  }
  if (interrupted) {
    fmt::print(stderr, "framefold: interrupted: what is reported is partial\n");
    return kExitInterrupted;
  }
  for (const std::string& line : report.wrong_arguments) {
    fmt::print(stderr, "framefold: {}\n", line);
  }
  if (!report.wrong_arguments.empty()) {
    return kExitBadUse;
  }
  return report.count(Fate::survived) + report.count(Fate::unclear) == 0 ? kExitClean : kExitViolation;
}

constexpr const char* kMutantsFooter =
    R"(Plants one fault at a time in the image: each byte of the fixup table off by 8, 0 and 0xff; each instruction removed, its
condition inverted, its displacement or immediate off by 8, with another register or width; the region's labels one
instruction off wherever the code uses them. No fault changes a length. Each is explored as `framefold explore` does, without
its second pass, up to the first violation that the description does not know.

What shows nothing is explored again with other values of data, and with an NMI and an exception in open windows.

killed: by that violation, or since it looks at a value that nobody says; equivalent: no explored state of the original executes, or is interrupted at, what was changed;
same states: explored, and every state that was looked at is one of the original's, values included (within the bounds:
--thorough looks at more); argued equivalent: the description says why (`equivalent_mutants`), and the mutant's graph is the
original's in all that handlers and the resumed context see (`same = "ends"`: but for the ways between); survived: listed,
with whether its graph is the original's but for values; unclear: exploration gave no verdict.

Examples:
  framefold mutants minios-x86_64-fixed
  framefold mutants --json --jobs 1 my/entry.toml

Exit status: 0 no mutant survived, or is unclear; 1 some did; 2 bad use, or an argument that does not hold; 3 an error of framefold's own; 130 interrupted.)";

}  // namespace

Command mutants_command(Arguments parent) {
  auto options = std::make_shared<MutantsOptions>();
  Arguments app = parent.add_command("mutants", "Plant faults in an entry and count those that exploration sees");
  app.add_option("ENTRY,-e,--entry", options->entry, "Name of a bundled entry, or path of an entry.toml file")
      .required()
      .type_name("");
  app.add_flag("--thorough", options->thorough, "One NMI and one exception on a path");
  app.add_option("-j,--jobs", options->jobs, "Threads (default: one a processor)").range(1U, 256U).type_name("N");
  app.add_option("--memory", options->memory, "MiB at which an exploration ends, unclear")
      .range(std::size_t{16}, std::size_t{1} << 20)
      .type_name("MIB")
      .shows_default();
  app.add_unchecked(options->unchecked);
  app.add_flag("--json", options->json, "One JSON document instead of text");
  app.add_flag("-v,--verbose", options->verbose, "List those that did not survive, too");
  app.footer(kMutantsFooter);
  return {app, [options] { return run_mutants(*options); }};
}

}  // namespace framefold
