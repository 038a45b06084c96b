// Known violations: each shows at exactly the boundaries that its row says, nothing else shows, and a patch of a few
// lines removes it and nothing else.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "scenario/toml.hpp"
#include "test/directed.hpp"
#include "test/variants.hpp"

namespace framefold::test {
namespace {

constexpr std::uint64_t kSeed = 1;
constexpr std::uint64_t kRandomScenarios = 20000;

/// "unbounded-nesting@scrit"
std::string label_of(const KnownRow& row) { return fmt::format("{}@{}", row.description.kind, row.description.first); }

enum class Rows : std::uint8_t {
  all,    // each shows at all its boundaries
  some,   // each shows at one of them at least: its range is wider than what arrivals reach
  moved,  // the patch moves code: what shows counts by its kind alone
};

struct KnownCase {
  std::string entry;
  std::string patch;              // empty: the entry as it is
  std::vector<std::string> gone;  // labels, or the starts of labels, of the rows that the patch removes
  Rows rows = Rows::all;

  friend std::ostream& operator<<(std::ostream& out, const KnownCase& test) {
    return out << test.entry << " " << test.patch;
  }
};

/// Rows that need more arrivals than the enumeration makes: that they show is reproducer_test's to say.
bool is_rare(const Entry& entry, const KnownRow& row) {
  return entry.name() == "minios-x86_64-nesting" && label_of(row) == "unbounded-nesting@hypervisor_callback";
}

const std::vector<KnownCase>& cases() {
  static const std::vector<KnownCase> all = {
      {"minios-x86_64-nesting", "", {}},
      {"minios-x86_64-nesting", "aligned_event_stack", {"handler-abi@call_event_handler"}},
      {"minios-x86_64-nesting", "aligned_exception_stack", {"handler-abi@call_handler"}},
      {"minios-x86_64-nesting", "folded", {"unbounded-nesting"}},
      {"minios-x86_64-table", "", {}},
      {"minios-x86_64-table", "aligned_event_stack", {"handler-abi@call_event_handler"}},
      {"minios-x86_64-table", "aligned_exception_stack", {"handler-abi@call_handler"}},
      {"minios-x86_64-table", "marker_kept", {"nmi-masked"}},
      {"minios-x86_64-table", "page_folded", {"critical-frame"}},
      {"minios-x86_64-single", "marked_leave_masked", {"nmi-masked", "handler-frame", "critical-frame"}},
      {"minios-x86_64-fixed", "", {}},
      {"xenlinux-x86_64-nesting", "", {}, Rows::some},
      {"xenlinux-x86_64-nesting", "user_leave_masked", {"work-missed"}, Rows::some},
      {"xenlinux-x86_64-nesting", "folded", {"work-missed", "unbounded-nesting"}, Rows::some},
      {"linux-x86_64-hypercall", "", {}},
      {"minios-x86_32-table", "", {}},
      {"minios-x86_32-table", "cs_checked", {"handler-frame"}},
      {"minios-x86_32-fixed", "", {}},
      {"xenlinux-x86_32-table", "", {}},
      {"xenlinux-x86_32-table", "cs_checked", {"handler-frame"}},
      {"xenlinux-x86_32-fixed", "", {}},
      {"linux-x86_32-single", "", {}},
      {"linux-x86_32-single", "any_pending", {"lost-event"}},
      {"linux-x86_32-2007", "never_unmask", {"mask-mismatch", "early-delivery", "work-missed"}, Rows::moved},
  };
  return all;
}

bool is_gone(const KnownCase& test, const KnownRow& row) {
  return std::any_of(test.gone.begin(), test.gone.end(),
                     [&](const std::string& start) { return label_of(row).rfind(start, 0) == 0; });
}

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

Shown judge_everything(Oracle& oracle) {
  Shown shown;
  const Visit add = [&](const Scenario& scenario, const Verdict& verdict) {
    shown.add(oracle.entry(), scenario, verdict);
    return true;
  };
  for_each_directed(oracle, add);
  for_each_random(oracle, kSeed, kRandomScenarios, add);
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
  const auto entry = load_variant(test.patch.empty() ? test.entry : test.entry + "." + test.patch);
  Oracle oracle(*entry);
  const Shown shown = judge_everything(oracle);
  for (const auto& [signature, scenario] : shown.unknown) {
    if (test.rows == Rows::moved && stays(test, *entry, signature)) {
      continue;
    }
    ADD_FAILURE() << "not known: " << signature << "\n" << to_toml(scenario, *entry, {});
  }
  bool any_gone = test.patch.empty();
  for (std::size_t i = 0; i < entry->known.size(); ++i) {
    const KnownRow& row = entry->known[i];
    const auto found = shown.known.find(i);
    const std::set<GuestAddress> at = found == shown.known.end() ? std::set<GuestAddress>() : found->second;
    SCOPED_TRACE(fmt::format("row {}, {}", i, label_of(row)));
    any_gone = any_gone || is_gone(test, row);
    if (is_gone(test, row)) {
      EXPECT_EQ(names_of(*entry, at), std::set<std::string>());
    } else if (is_rare(*entry, row)) {
      continue;
    } else if (test.rows == Rows::all) {
      EXPECT_EQ(names_of(*entry, not_in(boundaries_of(oracle, row), at)), std::set<std::string>())
          << "does not show there";
    } else if (test.rows == Rows::some) {
      EXPECT_FALSE(at.empty()) << "does not show";
    }
  }
  EXPECT_TRUE(any_gone) << "the description has no such row";
}

INSTANTIATE_TEST_SUITE_P(Entries, Known, testing::ValuesIn(cases()), [](const testing::TestParamInfo<KnownCase>& test) {
  std::string name = test.param.entry + (test.param.patch.empty() ? "" : "_without_" + test.param.patch);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace framefold::test
