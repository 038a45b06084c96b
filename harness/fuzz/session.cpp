#include "fuzz/session.hpp"

#include <algorithm>

#include "check/check_entry.hpp"
#include "check/find_window.hpp"
#include "fuzz/guest_counters.hpp"
#include "machine/self_test.hpp"

namespace framefold {

namespace {

std::unique_ptr<const Entry> load(const BundledEntry& bundled) {
  const std::string name(bundled.name);
  std::unique_ptr<const Entry> entry =
      load_entry(parse_description(bundled.description, name + "/entry.toml"), bundled.elf, name);
  run_self_test(entry->width());
  return entry;
}

std::unique_ptr<const Entry> load(const std::string& path) {
  std::unique_ptr<Entry> loaded = load_entry_file(path);
  run_self_test(loaded->width());
  std::unique_ptr<const Entry> entry = with_window(std::move(loaded));
  try {
    check_entry(*entry);
  } catch (const WrongCode&) {  // which is a result
  } catch (const Mismatch& mismatch) {
    throw mismatch.judged_by(kJudgesAllTheSame);
  }
  return entry;
}

}  // namespace

FuzzSession::FuzzSession(const BundledEntry& bundled, const char* known, const char* only)
    : FuzzSession(load(bundled), std::string(bundled.name), known, only) {}

FuzzSession::FuzzSession(const std::string& path, const char* known, const char* only)
    : FuzzSession(load(path), path, known, only) {}

FuzzSession::FuzzSession(std::unique_ptr<const Entry> entry, std::string entry_option, const char* known,
                         const char* only)
    : entry_(std::move(entry)),
      entry_option_(std::move(entry_option)),
      settings_(parse_settings(known, only, *entry_)),
      oracle_(*entry_),
      aim_(oracle_),
      coverage_(*entry_, framefold_guest_counters),
      statistics_(*entry_),
      last_(decode({}, *entry_)) {
  oracle_.set_coverage(&coverage_);
}

const Finding* FuzzSession::run(std::span<const std::uint8_t> input) {
  scenario_ = decoded(input);
  const Verdict& verdict = oracle_.judge(scenario_);
  statistics_.add(oracle_.nested(), verdict);
  return finding_to_report(verdict, settings_);
}

std::span<const std::uint8_t> FuzzSession::encoded(const Scenario& scenario) {
  last_ = scenario;
  encoded_ = encode(scenario, *entry_);
  return encoded_.view();
}

Scenario FuzzSession::decoded(std::span<const std::uint8_t> input) const {
  const std::span<const std::uint8_t> known = encoded_.view();
  return std::equal(input.begin(), input.end(), known.begin(), known.end()) ? last_ : decode(input, *entry_);
}

void FuzzSession::keep_to_bucket_of(std::span<const std::uint8_t> input) {
  if (settings_.only) return;  // which is as much, or narrower: what was asked for
  if (const Finding* finding = run(input)) {
    settings_.only = bucket_pattern(*entry_, *finding);
  }
}

}  // namespace framefold
