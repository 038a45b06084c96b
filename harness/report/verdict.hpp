// A verdict for people and for programs.
//
// describe() takes out of the oracle, right after judge(), all that a report says; the rest is text.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "report/style.hpp"
#include "run/oracle.hpp"

namespace framefold {

struct KnownReport {
  std::string why;
  std::string reproducer;  // below reproducers/<entry>/; may be empty
};

struct FindingReport {
  ViolationKind kind = ViolationKind::runaway;
  Width width = Width::k64;  // of the entry
  std::string signature;
  std::string bucket;
  std::string cause;        // "scrit+0x84"
  std::string instruction;  // there; empty where the cause is no instruction of the entry
  std::vector<std::string> conditions;
  unsigned arrivals = 0;  // it shows in the scenario cut after this many
  std::string arrival;    // the last of them: "event"; empty where no arrival is needed
  ViolationSource source = ViolationSource::nested;
  bool cause_is_arrival = false;  // rather than the instruction that was judged
  std::string what;               // "rip"; empty where there is nothing to tell
  bool has_values = false;
  std::uint64_t expected = 0;
  std::uint64_t found = 0;
  std::string expected_place;  // where the values mean an address; else empty
  std::string found_place;
  std::string rests_on;  // lines of the description that no code shows; empty: nothing but the code
  std::optional<KnownReport> known;
};

/// "rip: expected 0x1, found 0x2"; empty where there is nothing to tell.
std::string difference_text(const FindingReport& finding);
/// "the nested run"
std::string_view text_of(ViolationSource source);

enum class FileStatus : std::uint8_t { clean, known, violation };
std::string_view name_of(FileStatus status);

/// Whether a file that says what it shows still does.
enum class Reproduction : std::uint8_t {
  not_asked,  // it names no signature
  yes,
  moved,  // its bucket, at another place or with arrivals a few boundaries off
  no,
};
std::string_view name_of(Reproduction reproduction);

/// What came of one input.
struct FileReport {
  std::string file;
  std::string entry;         // name, for reports
  std::string entry_option;  // what --entry needs to say; empty where the file says it itself
  bool unchecked = false;    // --unchecked was said
  FileStatus status = FileStatus::clean;
  std::vector<FindingReport> findings;   // in guest time
  std::optional<std::size_t> violation;  // index of the one that decides the status
  std::string expected_signature;        // what the file says that it shows
  Reproduction reproduced = Reproduction::not_asked;
  std::string moved;  // what it shows instead, and how, where it has moved
  unsigned arrivals = 0;
  unsigned reached = 0;
  std::uint32_t folds = 0;
  std::uint32_t deliveries = 0;
  std::uint32_t handler_calls = 0;
  std::uint32_t boundaries = 0;
  std::string timeline;  // where it was asked for
};

/// With `report_known`, a known violation is one like any other.
FileReport describe(Oracle& oracle, const Scenario& scenario, const Verdict& verdict, bool report_known);

/// The command that tells the story of what `report` shows, something known or not.
std::string replay_command(const FileReport& report, bool known);

/// Says whether `report` shows `signature`, or another of its bucket. Where it does, and no other finding is newer, it
/// is the one to tell about.
void expect_signature(FileReport& report, const std::string& signature);

struct Summary {
  std::size_t files = 0;
  std::size_t clean = 0;
  std::size_t known = 0;
  std::size_t violations = 0;
  std::size_t reproduced = 0;      // of those that name a signature
  std::size_t not_reproduced = 0;  // moved ones among them
};
void count(Summary& summary, const FileReport& report);

/// The text of one input: a line where there is nothing new, else the violation, what it means and how to replay it.
std::string to_text(const FileReport& report, const Style& style = {});
/// One line.
std::string to_text(const Summary& summary);

/// {"format": 1, "results": [...], "summary": {...}}. Addresses and register values are strings, "0x...".
nlohmann::json to_json(std::span<const FileReport> reports, const Summary& summary);

}  // namespace framefold
