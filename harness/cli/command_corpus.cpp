// framefold corpus: makes seeds and dictionaries, and keeps corpora small, sound and in the current format.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/corpus_guard.hpp"
#include "cli/corpus_merge.hpp"
#include "cli/corpus_place.hpp"
#include "cli/deliverable.hpp"
#include "cli/dictionary.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input_format.hpp"
#include "cli/output_file.hpp"
#include "cli/seeds.hpp"
#include "scenario/codec.hpp"

namespace framefold {

namespace {

struct CorpusOptions {
  std::string entry;
  std::string folder;
  std::vector<std::string> from;
  std::string output;
  bool json = false;
  bool force = false;
  bool unchecked = false;
};

/// What a command is about to write over.
std::map<std::string, InputBytes> read_old(const CorpusOptions& options, bool may_lack = false) {
  CorpusContents corpus = read_corpus(options.folder, may_lack);
  if (!may_lack) expect_not_all_skipped(corpus.inputs.size(), corpus.skipped);
  const NewerFormats newer = newer_formats(options.folder, corpus.inputs);
  if (!options.force) newer.refuse();
  newer.note();
  note_skipped(corpus.skipped);
  return std::move(corpus.inputs);
}

struct Fresh {
  std::map<std::string, InputBytes> inputs;  // by path
  std::size_t skipped = 0;
};

Fresh read_fresh(const std::vector<std::string>& folders) {
  Fresh fresh;
  for (const std::string& folder : folders) {
    CorpusContents corpus = read_corpus(folder);
    expect_not_all_skipped(corpus.inputs.size(), corpus.skipped);
    newer_formats(folder, corpus.inputs).note();
    note_skipped(corpus.skipped);
    fresh.skipped += corpus.skipped.size();
    for (auto& [file, bytes] : corpus.inputs) {
      fresh.inputs.insert_or_assign(fmt::format("{}/{}", folder, file), std::move(bytes));
    }
  }
  return fresh;
}

/// Of a command that changes options.folder.
const Entry& find_owner(const CorpusOptions& options, EntryStore& store) {
  const Entry& entry = store.find(options.entry, "--entry");
  if (!options.force) expect_no_other_entry(options.folder, entry);
  return entry;
}

int merge(const CorpusOptions& options) {
  EntryStore store(options.unchecked);
  const Entry& entry = find_owner(options, store);
  FeatureProbe probe(entry);
  expect_no_input(options.folder, options.from);
  const FolderLock lock(options.folder);
  const std::map<std::string, InputBytes> corpus = read_old(options, !options.from.empty());
  const Fresh fresh = read_fresh(options.from);
  const MergeResult result = merge_corpus(probe, corpus, fresh.inputs);
  replace_corpus(options.folder, corpus, encode_all(result.kept, entry));
  for (const Rejected& rejected : result.rejected) {
    fmt::print("{}: rejected: {}\n", rejected.file, rejected.signature);
  }
  fmt::print("{}: {} inputs, were {}; {} added of {} new; {} guest features, were {}; {} rejected{}\n", options.folder,
             result.kept.size(), corpus.size(), result.added, fresh.inputs.size(), result.features,
             result.features_before, result.rejected.size(),
             fresh.skipped > 0 ? fmt::format("; {} skipped", fresh.skipped) : "");
  if (result.lost > 0) {
    fmt::print("{}: {} guest features are not reached anymore: a corpus has at most {} inputs\n", options.folder,
               result.lost, kMaxCorpusInputs);
  }
  return result.rejected.empty() ? kExitClean : kExitViolation;
}

struct Reached {
  std::set<std::uint32_t> features;
  std::set<DeliveredAt> delivered;
  std::vector<bool> executed;
  std::size_t violating = 0;
};

Reached replay(FeatureProbe& probe, const std::map<std::string, InputBytes>& corpus) {
  Reached reached;
  reached.executed.resize(probe.entry().instructions.size());
  for (const auto& [file, bytes] : corpus) {
    const Scenario scenario = decode(bytes, probe.entry());
    reached.violating += probe.run(scenario).violation() != nullptr ? 1 : 0;
    reached.features.insert(probe.features().begin(), probe.features().end());
    add_delivered(probe, scenario, reached.delivered);
    for (std::size_t i = 0; i < reached.executed.size(); ++i) {
      reached.executed[i] = reached.executed[i] || probe.coverage().executed_boundaries()[i] != 0;
    }
  }
  return reached;
}

int stats(const CorpusOptions& options) {
  EntryStore store(options.unchecked);
  const Entry& entry = store.find(options.entry, "--entry");
  FeatureProbe probe(entry);
  const auto [corpus, skipped] = read_inputs(options.folder);
  note_skipped(skipped);
  std::size_t bytes = 0;
  std::size_t largest = 0;
  std::size_t old_format = 0;
  for (const auto& [file, input] : corpus) {
    bytes += input.size();
    largest = std::max(largest, input.size());
    old_format += format_version(input) == kCodecVersion ? 0 : 1;
  }
  const Reached reached = replay(probe, corpus);
  const auto executed = std::count(reached.executed.begin(), reached.executed.end(), true);
  if (options.json) {
    const nlohmann::ordered_json json{{"entry", entry.name()},
                                      {"folder", options.folder},
                                      {"inputs", corpus.size()},
                                      {"inputs_most", kMaxCorpusInputs},
                                      {"bytes", bytes},
                                      {"largest", largest},
                                      {"largest_most", kMaxEncodedSize},
                                      {"other_format", old_format},
                                      {"violating", reached.violating},
                                      {"features", reached.features.size()},
                                      {"instructions", executed},
                                      {"instructions_total", entry.instructions.size()},
                                      {"delivered", reached.delivered.size()}};
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print(
        "{}: {} inputs (at most {}), {} bytes, the largest {} (at most {}); {} not in format version {}; {} violating\n"
        "{}: {} guest features; {} of {} instructions; {} boundaries x kinds at which something was delivered\n",
        options.folder, corpus.size(), kMaxCorpusInputs, bytes, largest, kMaxEncodedSize, old_format, kCodecVersion,
        reached.violating, options.folder, reached.features.size(), executed, entry.instructions.size(),
        reached.delivered.size());
  }
  return kExitClean;
}

int upgrade(const CorpusOptions& options) {
  EntryStore store(options.unchecked);
  const Entry& entry = find_owner(options, store);
  const FolderLock lock(options.folder);
  const std::map<std::string, InputBytes> corpus = read_old(options);
  std::vector<InputBytes> inputs;
  for (const auto& [file, bytes] : corpus) {
    const Encoded encoded = encode(decode(bytes, entry), entry);
    inputs.emplace_back(encoded.view().begin(), encoded.view().end());
  }
  replace_corpus(options.folder, corpus, inputs);
  fmt::print("{}: {} inputs in format version {}\n", options.folder, inputs.size(), kCodecVersion);
  return kExitClean;
}

int seeds(const CorpusOptions& options) {
  EntryStore store(options.unchecked);
  const Entry& entry = find_owner(options, store);
  store.expect_an_oracle(entry);
  const FolderLock lock(options.folder);
  const CorpusContents old = read_corpus(options.folder, true);
  expect_only_inputs(old, options.folder);
  std::vector<InputBytes> inputs;
  for (const Scenario& seed : make_seeds(entry)) {
    const Encoded encoded = encode(seed, entry);
    inputs.emplace_back(encoded.view().begin(), encoded.view().end());
  }
  if (!options.force) expect_no_others(old, options.folder, inputs);
  replace_corpus(options.folder, old.inputs, inputs);
  fmt::print("{}: {} inputs\n", options.folder, inputs.size());
  return kExitClean;
}

int dictionary(const CorpusOptions& options) {
  EntryStore store(options.unchecked);
  const Entry& entry = store.find(options.entry, "--entry");
  store.expect_an_oracle(entry);
  const std::string text = make_dictionary(entry);
  if (options.output.empty()) {
    fmt::print("{}", text);
  } else {
    expect_no_input(options.output, store.files());
    write_output_file(options.output, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, options.force);
  }
  return kExitClean;
}

constexpr const char* kCorpusFooter =
    R"(A corpus is a folder with one input a file. Commands that change it replace it as a whole: who interrupts one finds the
old corpus or the new one. A corpus has at most 512 inputs; where more are needed, those are kept that reach most.
Coverage is the guest's: blocks with the depth of nesting, arrivals by boundary and kind, folds.
Hidden files and *.md are no inputs, and stay; what else cannot be one, a log or a file above 1 MiB, stays with a line that
says so. A format version that is not known is read as the current one, as fuzz binaries do.

Without -f, no command changes a folder that has the name of another bundled entry or lies in one that has; none writes an
input over that may be of a newer framefold's format, but for those with names that AFL++ gives (id:...), which has any
byte there: of them a line tells; and seeds replaces no other inputs. With -f, it still replaces nothing that is not named by its SHA-1.

Examples:
  framefold corpus stats -e minios-x86_64-table corpus/minios-x86_64-table
  framefold corpus merge -e minios-x86_64-table corpus/minios-x86_64-table build/fuzz/runs/minios-x86_64-table/corpus
  framefold corpus seeds -e my/entry.toml seeds/
  framefold corpus dictionary -e my/entry.toml -o my_fuzzer.dict

Exit status: 0 done; 1 done, and inputs were rejected since they show a violation; 2 bad use; 3 an error of framefold's own.)";

using Action = int (*)(const CorpusOptions&);

struct ActionInfo {
  const char* name;
  const char* help;
  Action run;
};

constexpr std::array kActions = {
    ActionInfo{"merge", "Add the inputs of other folders that reach something new, and drop what has become redundant",
               merge},
    ActionInfo{"prune", "Drop inputs that reach nothing that others do not reach", merge},
    ActionInfo{"stats", "Say how large a corpus is and what it reaches", stats},
    ActionInfo{"upgrade", "Write every input anew in the current version of the format", upgrade},
    ActionInfo{"seeds", "Make the seeds of an entry, from its description", seeds},
    ActionInfo{"dictionary", "Make a dictionary for fuzzers that mutate bytes", dictionary},
};

void add_options(Arguments app, std::string_view name, CorpusOptions& options) {
  app.add_option("-e,--entry", options.entry, "Name of a bundled entry, or path of an entry.toml")
      .required()
      .type_name("NAME|PATH");
  app.add_unchecked(options.unchecked);
  if (name == "dictionary") {
    app.add_option("-o,--output", options.output, "File to write instead of standard output").type_name("FILE");
    app.add_flag("-f,--force", options.force, "Overwrite a file with other contents");
    return;
  }
  app.add_option("FOLDER", options.folder, "The corpus").required().type_name("");
  if (name == "merge") {
    app.add_option("FROM", options.from, "Folders with new inputs").required().type_name("");
  }
  if (name == "stats") {
    app.add_flag("--json", options.json, "One JSON document instead of text");
  } else {
    app.add_flag("-f,--force", options.force,
                 name == "seeds" ? "Overwrite other inputs, also in a folder named after another entry"
                                 : "Also a folder that is named after another entry, or inputs of a newer format");
  }
}

}  // namespace

Command corpus_command(Arguments parent) {
  auto options = std::make_shared<CorpusOptions>();
  Arguments app = parent.add_command("corpus", "Make and care for corpora");
  app.require_command();
  app.footer(kCorpusFooter);
  std::vector<std::pair<Arguments, Action>> actions;
  for (const ActionInfo& action : kActions) {
    Arguments sub = app.add_command(action.name, action.help);
    add_options(sub, action.name, *options);
    actions.emplace_back(sub, action.run);
  }
  return {app, [options, actions] {
            const auto chosen =
                std::find_if(actions.begin(), actions.end(), [](const auto& action) { return action.first.chosen(); });
            return chosen->second(*options);
          }};
}

}  // namespace framefold
