// Known violations: each shows at exactly the boundaries that its row says, nothing else shows, and a patch of a few
// lines removes it and nothing else.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "scenario/toml.hpp"
#include "test/around.hpp"
#include "test/cures.hpp"
#include "test/entries.hpp"
#include "test/reproducers.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

constexpr std::uint64_t kKnownSeed = 1;
constexpr std::uint64_t kRandomScenarios = 20000;
constexpr std::uint64_t kKnownVariations = 1000;  // of each reproducer

struct KnownCase {
  std::string entry;
  const Cure* cure = nullptr;  // nullptr: the entry as it is

  friend std::ostream& operator<<(std::ostream& out, const KnownCase& test) {
    return out << test.entry << " " << (test.cure == nullptr ? "" : test.cure->patch);
  }
};

std::vector<KnownCase> known_cases() {
  std::vector<KnownCase> all;
  for (const std::string& name : bundled_names()) {
    all.push_back({name, nullptr});
  }
  for (const Cure& cure : cures()) {
    all.push_back({cure.entry, &cure});
  }
  return all;
}

bool is_gone(const KnownCase& test, const KnownRow& row) { return test.cure != nullptr && removes(*test.cure, row); }

/// Whether a row of that kind is there to stay.
bool stays(const KnownCase& test, const Entry& entry, const std::string& signature) {
  return std::any_of(entry.known.begin(), entry.known.end(), [&](const KnownRow& row) {
    return !is_gone(test, row) && signature.find(":" + row.description.kind + ":") != signature.npos;
  });
}

/// What scenarios have shown: by row of Entry::known its boundaries, and what is not known.
struct Shown {
  std::map<std::size_t, std::set<GuestAddress>> known;
  std::map<std::string, Scenario> unknown;

  void add(const Entry& entry, const Scenario& scenario, const Verdict& verdict) {
    for (const Finding& finding : verdict.view()) {
      if (finding.known >= 0) {
        known[static_cast<std::size_t>(finding.known)].insert(finding.cause);
      } else {
        unknown.emplace(signature_of(entry, finding), scenario);
      }
    }
  }
};

Shown judge_everything(Oracle& oracle, const std::string& name) {
  Shown shown;
  const Visit add = [&](const Scenario& scenario, const Verdict& verdict) {
    shown.add(oracle.entry(), scenario, verdict);
    return true;
  };
  for_each_directed(oracle, add);
  for_each_random(oracle, kKnownSeed, kRandomScenarios, add);
  for (const auto& scenarios : {read_reproducers(name, oracle.entry()), read_aims(name, oracle.entry())}) {
    for (const auto& [file, parsed] : scenarios) {
      for_each_around(oracle, parsed.scenario, kKnownSeed, kKnownVariations, add);
    }
  }
  return shown;
}

std::set<std::string> names_of(const Entry& entry, const std::set<GuestAddress>& places) {
  std::set<std::string> names;
  for (const GuestAddress place : places) {
    names.insert(format_location(entry, place));
  }
  return names;
}

/// The boundaries of a row's range.
std::set<GuestAddress> boundaries_of(Oracle& oracle, const KnownRow& row) {
  std::set<GuestAddress> boundaries;
  for (const std::span<const Instruction> code :
       {std::span<const Instruction>(oracle.entry().instructions), oracle.execution().guest().stub()}) {
    for (const Instruction& instruction : code) {
      if (row.first <= instruction.address && instruction.address <= row.last) {
        boundaries.insert(instruction.address);
      }
    }
  }
  return boundaries;
}

std::set<GuestAddress> not_in(const std::set<GuestAddress>& all, const std::set<GuestAddress>& some) {
  std::set<GuestAddress> rest;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(), std::inserter(rest, rest.end()));
  return rest;
}

class Known : public testing::TestWithParam<KnownCase> {};

TEST_P(Known, ShowsAtItsBoundariesUnlessCured) {
  const KnownCase& test = GetParam();
  const bool moved = test.cure != nullptr && test.cure->moves_code;
  const auto entry = load_variant(test.cure == nullptr ? test.entry : test.entry + "." + test.cure->patch);
  Oracle oracle(*entry);
  const Shown shown = judge_everything(oracle, test.entry);
  for (const auto& [signature, scenario] : shown.unknown) {
    if (moved && stays(test, *entry, signature)) {
      continue;
    }
    ADD_FAILURE() << "not known: " << signature << "\n" << to_toml(scenario, *entry, {});
  }
  bool any_gone = test.cure == nullptr;
  for (std::size_t i = 0; i < entry->known.size(); ++i) {
    const KnownRow& row = entry->known[i];
    const auto found = shown.known.find(i);
    const std::set<GuestAddress> at = found == shown.known.end() ? std::set<GuestAddress>() : found->second;
    SCOPED_TRACE(fmt::format("row {}, {}", i, label_of(row)));
    any_gone = any_gone || is_gone(test, row);
    if (is_gone(test, row)) {
      EXPECT_EQ(names_of(*entry, at), std::set<std::string>());
    } else if (!moved) {
      EXPECT_EQ(names_of(*entry, not_in(boundaries_of(oracle, row), at)), std::set<std::string>())
          << "does not show there";
    }
  }
  EXPECT_TRUE(any_gone) << "the description has no such row";
}

INSTANTIATE_TEST_SUITE_P(Entries, Known, testing::ValuesIn(known_cases()),
                         [](const testing::TestParamInfo<KnownCase>& test) {
                           std::string name = test.param.entry +
                                              (test.param.cure == nullptr ? "" : "_cured_by_" + test.param.cure->patch);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace framefold::test
