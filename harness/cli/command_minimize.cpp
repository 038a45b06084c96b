// framefold minimize: the smallest scenario with the same signature.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "cli/commands.hpp"
#include "cli/entry_store.hpp"
#include "cli/exit_status.hpp"
#include "cli/input_format.hpp"
#include "cli/output_file.hpp"
#include "cli/progress.hpp"
#include "report/minimize.hpp"
#include "report/moved.hpp"

namespace framefold {

namespace {

struct MinimizeOptions {
  std::string file;
  std::string entry;
  std::string signature;
  std::string output;  // empty: standard output
  bool moved = false;
  bool force = false;
  bool unchecked = false;
};

std::vector<std::string> signatures_of(const Entry& entry, const Verdict& verdict) {
  std::vector<std::string> all;
  for (const Finding& finding : verdict.view()) {
    std::string signature = signature_of(entry, finding);
    if (std::find(all.begin(), all.end(), signature) == all.end()) {
      all.push_back(std::move(signature));
    }
  }
  return all;
}

/// Findings by signature, or by bucket.
std::vector<const Finding*> find_all(const Entry& entry, const Verdict& verdict, const std::string& wanted,
                                     std::string (*name_of)(const Entry&, const Finding&)) {
  std::vector<const Finding*> all;
  for (const Finding& finding : verdict.view()) {
    if (name_of(entry, finding) == wanted) {
      all.push_back(&finding);
    }
  }
  return all;
}

/// What --signature asks for: that signature, or the only one of that bucket; nullptr where none shows.
const Finding* find_asked(const Input& input, const Verdict& verdict, const std::string& asked) {
  const Entry& entry = *input.entry;
  if (const auto exactly = find_all(entry, verdict, asked, signature_of); !exactly.empty()) {
    return exactly.front();
  }
  const std::vector<const Finding*> bucket = find_all(entry, verdict, asked, bucket_of);
  const auto other = [&](const Finding* f) { return signature_of(entry, *f) != signature_of(entry, *bucket.front()); };
  if (std::any_of(bucket.begin(), bucket.end(), other)) {
    throw InputError(fmt::format("{}: --signature: expected one signature, {} is the bucket of several; it shows {}",
                                 input.file, asked, fmt::join(signatures_of(entry, verdict), ", ")));
  }
  return bucket.empty() ? nullptr : bucket.front();
}

/// What is minimised, and for what.
struct Start {
  Scenario scenario;
  MinimizeTarget target;
  std::optional<Moved> moved;  // where the file's bug shows now
};

/// What was asked for; else what the file says that it shows, with --moved where it shows now; else the violation; else
/// what is known.
Start start_of(const MinimizeOptions& options, const Input& input, Oracle& oracle) {
  const Entry& entry = *input.entry;
  const Verdict& verdict = oracle.judge(input.scenario);
  const std::vector<std::string> shown = signatures_of(entry, verdict);
  const std::string& wanted = options.signature.empty() ? input.notes.signature : options.signature;
  Start start{input.scenario, {}, {}};
  const Finding* finding = verdict.violation() != nullptr ? verdict.violation() : verdict.violation(true);
  if (!options.signature.empty()) {
    finding = find_asked(input, verdict, wanted);
  } else if (!wanted.empty()) {
    if (options.moved && std::find(shown.begin(), shown.end(), wanted) == shown.end()) {
      start.moved = find_moved(oracle, input.scenario, wanted);
    }
    start.scenario = start.moved ? start.moved->scenario : input.scenario;
    oracle.judge(start.scenario);
    const std::vector<const Finding*> said =
        find_all(entry, verdict, start.moved ? start.moved->signature : wanted, signature_of);
    finding = said.empty() ? nullptr : said.front();
  }
  if (finding == nullptr) {
    throw InputError(
        fmt::format("{}: expected a scenario that shows {}{}; {}", input.file, wanted.empty() ? "a violation" : wanted,
                    options.signature.empty() && !wanted.empty() ? ", as it says" : "",
                    shown.empty() ? "nothing is wrong in it" : fmt::format("it shows {}", fmt::join(shown, ", "))));
  }
  start.target = {signature_of(entry, *finding), finding->known >= 0};
  if (find_target(entry, verdict, start.target) == nullptr) {
    throw InputError(fmt::format("{}: expected a scenario that shows {} before {}, which is new", input.file,
                                 start.target.signature, signature_of(entry, *verdict.violation())));
  }
  return start;
}

int minimize_file(const MinimizeOptions& options) {
  EntryStore store(options.unchecked);
  const Input input = read_input(options.file, options.entry, store);
  note_newer_formats({&input, 1});
  if (!options.output.empty()) {
    expect_no_input(options.output, std::span(&options.file, 1));
    expect_no_input(options.output, store.files());
  }
  Oracle& oracle = store.oracle(*input.entry);
  const auto [scenario, target, moved] = start_of(options, input, oracle);
  Progress progress("scenarios tried");
  const Minimized smallest =
      minimize(oracle, scenario, target, [&progress](std::uint64_t judged) { progress.show(judged); });
  progress.clear();
  const bool same = moved || input.notes.signature == target.signature;
  const std::string explanation = same ? input.notes.explanation : std::string();
  if (moved) {
    fmt::print(stderr, "framefold: {}: moved: {}\n", options.file, to_text(*moved));
  }
  const std::string text = annotated_toml(oracle, smallest.scenario, target, explanation);
  if (options.output.empty()) {
    fmt::print("{}", text);
  } else {
    write_output_file(options.output, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, options.force);
    fmt::print("{}: {} arrival{}, {}\n", options.output, smallest.scenario.arrival_count,
               smallest.scenario.arrival_count == 1 ? "" : "s", target.signature);
  }
  return kExitClean;
}

constexpr const char* kMinimizeFooter =
    R"(Fewest arrivals first, then the plainest context, then the earliest arrivals; the same result every time, and for nearly
every input that shows the signature. Which signature: --signature, else what the file itself says that it shows, else the
violation that `framefold run` reports. The text says what each of its lines is there for.

Examples:
  framefold minimize --entry minios-x86_64-table artifacts/minios-x86_64-table/crash-0123
  framefold minimize big.toml -o small.toml)";

}  // namespace

Command minimize_command(Arguments parent) {
  auto options = std::make_shared<MinimizeOptions>();
  Arguments app = parent.add_command("minimize", "Print the smallest scenario that shows the same violation");
  app.add_option("FILE", options->file, "A fuzzer's input, or a scenario in text").required().type_name("");
  app.add_option("-e,--entry", options->entry,
                 "Name of a bundled entry, or path of an entry.toml; wins over what a file says")
      .type_name("NAME|PATH");
  app.add_option("--signature", options->signature,
                 "Which of the violations that it shows; a bucket where only one of it does")
      .type_name("SIGNATURE");
  app.add_option("-o,--output", options->output, "File to write instead of standard output").type_name("OUT");
  app.add_flag("--moved", options->moved,
               "Where what the file says has moved, as `framefold run` finds it, minimise that instead");
  app.add_unchecked(options->unchecked);
  app.add_flag("-f,--force", options->force, "Overwrite a file with other contents");
  app.footer(kMinimizeFooter);
  return {app, [options] { return minimize_file(*options); }};
}

}  // namespace framefold
