#include "fuzz/session.hpp"

#include <fmt/format.h>

#include "fuzz/guest_counters.hpp"
#include "machine/internal_error.hpp"
#include "machine/self_test.hpp"
#include "scenario/codec.hpp"

namespace framefold {

namespace {

std::unique_ptr<const Entry> load(const BundledEntry& bundled) {
  const std::string name(bundled.name);
  std::unique_ptr<const Entry> entry =
      load_entry(parse_description(bundled.description, name + "/entry.toml"), bundled.elf, name);
  run_self_test(entry->width());
  if (const std::size_t wanted = Coverage::counters_wanted(*entry); wanted > kGuestCounters) {
    throw InternalError(fmt::format("{} wants {} guest counters, there are {}", name, wanted, kGuestCounters));
  }
  return entry;
}

}  // namespace

FuzzSession::FuzzSession(const BundledEntry& bundled, const char* known, const char* only)
    : entry_(load(bundled)),
      settings_(parse_settings(known, only, *entry_)),
      oracle_(*entry_),
      aim_(oracle_),
      coverage_(*entry_, framefold_guest_counters),
      statistics_(*entry_) {
  oracle_.set_coverage(&coverage_);
}

const Finding* FuzzSession::run(std::span<const std::uint8_t> input) {
  scenario_ = decode(input, *entry_);
  const Verdict& verdict = oracle_.judge(scenario_);
  statistics_.add(oracle_.nested(), verdict);
  return finding_to_report(verdict, settings_);
}

void FuzzSession::keep_to_bucket_of(std::span<const std::uint8_t> input) {
  if (const Finding* finding = run(input)) {
    settings_.only = bucket_pattern(*entry_, *finding);
  }
}

}  // namespace framefold
