// Exceptions and NMIs inside each part of each entry's code, and stacked on a delivery before its first instruction:
// the table says which parts there are, and a part that was not reached is a failure.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "cli/deliverable.hpp"
#include "scenario/toml.hpp"
#include "test/entries.hpp"

namespace framefold::test {
namespace {

/// At which of a place's boundaries an NMI can be delivered.
enum class Nmi : std::uint8_t {
  everywhere,
  somewhere,  // not where only frames of an NMI come, during which another one is masked
  nowhere,    // only such frames come, or the entry has no NMI
};

/// A part of the entry code: from one symbol to another, or one of the two names below. (The hypercall page is no part
/// of those i386 entries that have no NMI: nothing else makes them leave by it.)
struct Place {
  std::string what;
  std::string first;
  std::string behind;
  Nmi nmi = Nmi::everywhere;
};
constexpr const char* kHypercallPage = "(hypercall page)";
constexpr const char* kStacked = "(the callback's first instruction)";

struct EntryPlaces {
  std::string entry;
  std::vector<Place> places;

  friend std::ostream& operator<<(std::ostream& out, const EntryPlaces& test) { return out << test.entry; }
};

/// The parts that the versions of Mini-OS x86-64 have in common.
std::vector<Place> minios64(const std::string& behind_error_exit, Nmi region, std::vector<Place> own) {
  std::vector<Place> places = {{"stacked", kStacked, ""},
                               {"callback", "hypervisor_callback", "error_entry"},
                               {"save", "error_entry", "event_entry"},
                               {"event handler's call", "event_again", behind_error_exit},
                               {"exit", "error_exit", "scrit"},
                               {"region", "scrit", "ecrit", region},
                               {"masked exit", "exit_as_is", "failsafe_callback", Nmi::somewhere},
                               {"hypercall page", kHypercallPage, "", Nmi::nowhere},
                               {"exception", "divide_error", "general_protection"},
                               {"exception with an error code", "page_fault", "nmi"},
                               {"nmi", "nmi", "nmi+0x19", Nmi::nowhere}};
  places.insert(places.end(), own.begin(), own.end());
  return places;
}

/// Those of i386 without an NMI.
std::vector<Place> minios32() {
  return {{"stacked", kStacked, "", Nmi::nowhere},
          {"callback", "hypervisor_callback", "scrit", Nmi::nowhere},
          {"region", "scrit", "ecrit", Nmi::nowhere},
          {"prologue", "remask", "ecrit", Nmi::nowhere},
          {"fold", "critical_region_fixup", "divide_error", Nmi::nowhere},
          {"exception", "divide_error", "general_protection", Nmi::nowhere},
          {"exception with an error code", "page_fault", "ret_from_exception", Nmi::nowhere}};
}

std::vector<Place> xenlinux32() {
  return {{"stacked", kStacked, ""},
          {"callback", "hypervisor_callback", "ret_from_intr"},
          {"work flags", "ret_from_intr", "restore_all"},
          {"exit", "restore_all", "scrit"},
          {"region", "scrit", "ecrit"},
          {"prologue", "remask", "ecrit"},
          {"masked exit", "restore_as_is", "ret_to_kernel"},
          {"kernel exit", "ret_to_kernel", "work_pending"},
          {"work", "work_pending", "hypervisor_iret"},
          {"hypercall exit", "hypervisor_iret", "critical_region_fixup", Nmi::nowhere},
          {"hypercall page", kHypercallPage, "", Nmi::nowhere},
          {"fold", "critical_region_fixup", "divide_error"},
          {"exception", "divide_error", "general_protection"},
          {"exception with an error code", "page_fault", "nmi"}};
}

std::vector<Place> linux32(const std::string& behind_callback) {
  return {{"stacked", kStacked, "", Nmi::nowhere},
          {"exit", "xen_iret", "xen_iret_start_crit", Nmi::nowhere},
          {"region", "xen_iret_start_crit", "xen_iret_end_crit", Nmi::nowhere},
          {"callback", "hypervisor_callback", behind_callback, Nmi::nowhere},
          {"save", behind_callback, "ret_from_intr", Nmi::nowhere},
          {"work flags", "ret_from_intr", "restore_all", Nmi::nowhere},
          {"restore", "restore_all", "ret_to_kernel", Nmi::nowhere},
          {"kernel exit", "ret_to_kernel", "work_pending", Nmi::nowhere},
          {"work", "work_pending", "hyper_iret", Nmi::nowhere},
          {"fold", "xen_iret_crit_fixup", "divide_error", Nmi::nowhere},
          {"exception", "divide_error", "general_protection", Nmi::nowhere},
          {"exception with an error code", "general_protection", "page_fault", Nmi::nowhere}};
}

const std::vector<EntryPlaces>& table() {
  static const std::vector<EntryPlaces> all = {
      {"minios-x86_64-nesting", minios64("error_exit", Nmi::somewhere, {{"prologue", "mask_again", "ecrit"}})},
      {"minios-x86_64-table",
       minios64("critical_region_fixup", Nmi::somewhere,
                {{"prologue", "mask_again", "ecrit"}, {"fold", "critical_region_fixup", "error_exit"}})},
      {"minios-x86_64-single",
       minios64("critical_region_fixup", Nmi::somewhere,
                {{"prologue", "event_pending", "exit_as_is"}, {"fold", "critical_region_fixup", "error_exit"}})},
      {"minios-x86_64-fixed",
       minios64("critical_region_fixup", Nmi::everywhere,
                {{"prologue", "event_pending", "exit_as_is"}, {"fold", "critical_region_fixup", "error_exit"}})},
      {"minios-x86_32-table", minios32()},
      {"minios-x86_32-fixed", minios32()},
      {"xenlinux-x86_32-table", xenlinux32()},
      {"xenlinux-x86_32-fixed", xenlinux32()},
      {"xenlinux-x86_64-nesting",
       {{"stacked", kStacked, ""},
        {"callback", "hypervisor_callback", "error_exit"},
        {"exit", "error_exit", "scrit"},
        {"region", "scrit", "ecrit"},
        {"prologue", "mask_again", "ecrit"},
        {"masked exit", "restore_masked", "work"},
        {"work", "work", "error_entry"},
        {"save", "error_entry", "divide_error"},
        {"hypercall page", kHypercallPage, ""},
        {"exception", "divide_error", "general_protection"},
        {"exception with an error code", "page_fault", "nmi"}}},
      {"linux-x86_32-single", linux32("save_frame")},
      {"linux-x86_32-2007", linux32("call_handler")},
      {"linux-x86_64-hypercall",
       {{"stacked", kStacked, ""},
        {"callback", "hypervisor_callback", "error_exit"},
        {"exit", "error_exit", "xen_iret"},
        {"hypercall exit", "xen_iret", "work"},
        {"work", "work", "error_entry"},
        {"save", "error_entry", "divide_error"},
        {"hypercall page", kHypercallPage, ""},
        {"exception", "divide_error", "general_protection"},
        {"exception with an error code", "page_fault", "nmi"}}},
  };
  return all;
}

/// Where what was delivered: boundaries, by vector.
using Delivered = std::map<std::uint8_t, std::set<GuestAddress>>;

class Places : public testing::TestWithParam<EntryPlaces> {
 protected:
  /// Judges each exception and the NMI at each boundary of everything that leads to code of its own, alone and with an
  /// event at that boundary.
  Delivered deliver_everywhere() {
    Delivered delivered;
    for (const Scenario& prefix : deliverable(entry_).prefixes) {
      for (const Arrival& arrival : all_arrivals(entry_)) {
        if (arrival.kind == ArrivalKind::exception || arrival.kind == ArrivalKind::nmi) {
          sweep(prefix, arrival, delivered);
        }
      }
    }
    return delivered;
  }

  std::vector<GuestAddress> boundaries_of(const Place& place) {
    std::vector<GuestAddress> boundaries;
    const auto add = [&](const Instruction& instruction) { boundaries.push_back(instruction.address); };
    if (place.first == kStacked) {
      boundaries.push_back(entry_.event().address);
    } else if (place.first == kHypercallPage) {
      const std::span<const Instruction> stub = oracle_.execution().guest().stub();
      std::for_each(stub.begin(), stub.end(), add);
    } else {
      const GuestRange range{parse_location(entry_, place.first).value(), parse_location(entry_, place.behind).value()};
      for (const Instruction& instruction : entry_.instructions) {
        if (range.contains(instruction.address)) {
          add(instruction);
        }
      }
    }
    return boundaries;
  }

  const Entry& entry_ = bundled_entry(GetParam().entry);

 private:
  void sweep(const Scenario& prefix, const Arrival& arrival, Delivered& delivered) {
    for (std::uint16_t distance = 0;; ++distance) {
      Scenario scenario = with_arrival(prefix, arrival, distance);
      const std::size_t index = prefix.arrival_count;
      expect_nothing_new(scenario);
      const ArrivalRecord record = oracle_.nested().arrivals[index];
      if (!record.reached) {
        return;
      }
      if (record.delivered) {
        delivered[vector_of(arrival)].insert(record.boundary);
      }
      expect_nothing_new(with_arrival(scenario, Arrival{}, 0));
    }
  }

  std::uint8_t vector_of(const Arrival& arrival) const {
    return arrival.kind == ArrivalKind::nmi ? static_cast<std::uint8_t>(entry_.vectors.size() - 1) : arrival.vector;
  }

  void expect_nothing_new(const Scenario& scenario) {
    if (const Finding* finding = oracle_.judge(scenario).violation()) {
      ADD_FAILURE() << signature_of(entry_, *finding) << "\n" << to_toml(scenario, entry_, {});
    }
  }

  Oracle oracle_{entry_};
};

INSTANTIATE_TEST_SUITE_P(Entries, Places, testing::ValuesIn(table()),
                         [](const testing::TestParamInfo<EntryPlaces>& info) {
                           std::string name = info.param.entry;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(Places, TakeEachExceptionAndTheNmiAtEachBoundary) {
  const Delivered delivered = deliver_everywhere();
  for (const Place& place : GetParam().places) {
    const std::vector<GuestAddress> boundaries = boundaries_of(place);
    ASSERT_FALSE(boundaries.empty()) << place.what;
    for (std::uint8_t vector = 1; vector < entry_.vectors.size(); ++vector) {
      const VectorDescription& description = entry_.vectors[vector].description;
      SCOPED_TRACE(fmt::format("{} in the {}", description.name, place.what));
      const auto found = delivered.find(vector);
      ASSERT_NE(found, delivered.end());
      const auto taken = static_cast<std::size_t>(std::count_if(
          boundaries.begin(), boundaries.end(), [&](GuestAddress b) { return found->second.contains(b); }));
      const Nmi expected = description.kind == DeliveryKind::nmi ? place.nmi : Nmi::everywhere;
      if (expected == Nmi::everywhere) {
        EXPECT_EQ(taken, boundaries.size());
      } else if (expected == Nmi::somewhere) {
        EXPECT_GT(taken, 0U);
        EXPECT_LT(taken, boundaries.size());
      } else {
        EXPECT_EQ(taken, 0U);
      }
    }
  }
}

TEST(PlacesTable, HasEveryEntryAndEveryFold) {
  std::set<std::string> entries;
  for (const EntryPlaces& places : table()) {
    entries.insert(places.entry);
    const auto has = [&](const std::string& what) {
      return std::any_of(places.places.begin(), places.places.end(), [&](const Place& p) { return p.what == what; });
    };
    const Entry& entry = bundled_entry(places.entry);
    EXPECT_TRUE(has("stacked") && has("callback")) << places.entry;
    EXPECT_EQ(has("region"), entry.region.size() != 0) << places.entry;
    EXPECT_EQ(has("fold"), entry.region.size() != 0 && !entry.description.nests) << places.entry;
  }
  const std::vector<std::string> names = bundled_names();
  EXPECT_EQ(entries, std::set<std::string>(names.begin(), names.end()));
}

}  // namespace
}  // namespace framefold::test
