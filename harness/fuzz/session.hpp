// Everything that a fuzz binary holds from start-up to its end.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "common/bundled.hpp"
#include "fuzz/settings.hpp"
#include "fuzz/statistics.hpp"
#include "fuzz/window_aim.hpp"
#include "run/coverage.hpp"
#include "run/oracle.hpp"
#include "scenario/codec.hpp"

namespace framefold {

class FuzzSession {
 public:
  /// Loads the entry, tests the emulator, and measures the entry's longest run. `known` and `only`: parse_settings().
  /// Throws InputError or InternalError.
  FuzzSession(const BundledEntry& bundled, const char* known, const char* only);
  /// The same for the entry of one's own at `path`, whose description is checked first.
  FuzzSession(const std::string& path, const char* known, const char* only);

  /// Judges one input, and counts it. The finding to report, good until the next call, or nullptr. Does not allocate.
  /// Throws InternalError.
  const Finding* run(std::span<const std::uint8_t> input);

  /// The bytes of a canonical scenario, good until the next call.
  std::span<const std::uint8_t> encoded(const Scenario& scenario);
  /// The scenario of an input. What `encoded` gave last is not decoded again: most inputs are what a mutator made a
  /// moment ago, and so is most of what it is given to change.
  Scenario decoded(std::span<const std::uint8_t> input) const;

  /// From here on, reports nothing but the bucket of what this input shows; nothing changes where it shows nothing, or
  /// where FRAMEFOLD_ONLY says what to report. For minimising: libFuzzer takes whatever crashes for the same bug, all
  /// aborts being alike to it.
  void keep_to_bucket_of(std::span<const std::uint8_t> input);

  /// Whether FRAMEFOLD_ONLY, or what is minimised, says which finding to report.
  bool seeks_one() const { return settings_.only.has_value(); }

  const Entry& entry() const { return *entry_; }
  /// What `framefold --entry` takes for it.
  const std::string& entry_option() const { return entry_option_; }
  Oracle& oracle() { return oracle_; }
  /// The scenario of the last run.
  const Scenario& scenario() const { return scenario_; }
  const WindowAim& aim() const { return aim_; }
  const FuzzStatistics& statistics() const { return statistics_; }
  /// For the end of a session.
  std::string statistics_text() { return statistics_.text(oracle_.execution().guest(), coverage_); }

 private:
  FuzzSession(std::unique_ptr<const Entry> entry, std::string entry_option, const char* known, const char* only);

  std::unique_ptr<const Entry> entry_;
  std::string entry_option_;
  FuzzSettings settings_;
  Oracle oracle_;
  WindowAim aim_;
  Coverage coverage_;
  FuzzStatistics statistics_;
  Scenario scenario_;
  Scenario last_;  // that `encoded` was asked for
  Encoded encoded_;
};

}  // namespace framefold
