#include "test/planted_faults.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "test/directed.hpp"
#include "test/variants.hpp"

namespace framefold::test {

namespace {

using enum ViolationKind;

const std::string kTable = "minios-x86_64-table";
constexpr std::uint64_t kLastUnmasked = 0x89;  // of the table's region: behind it, events are masked again
constexpr std::uint8_t kWord = 8;

void add_table_values(std::vector<PlantedFault>& faults) {
  const std::unique_ptr<const Entry> entry = load_variant(kTable);
  const GuestAddress table = entry->table.value().begin;
  const auto segment = std::find_if(entry->segments.begin(), entry->segments.end(),
                                    [table](const LoadSegment& s) { return table - s.address < s.bytes.size(); });
  const auto add = [&](std::uint64_t offset, unsigned value) {
    faults.push_back({fmt::format("{}@{:#x}={:#x}", kTable, (table + offset).value, value),
                      {handler_frame, critical_frame, guest_fault, domain_crash},
                      ""});
  };
  for (std::uint64_t offset = 0; offset <= kLastUnmasked; ++offset) {
    if (find_instruction(*entry, entry->region.begin + offset) == nullptr) {
      continue;
    }
    const std::uint8_t value = segment->bytes[table - segment->address + offset];
    add(offset, value + kWord);
    if (value >= kWord) {
      add(offset, value - kWord);
    }
  }
}

}  // namespace

std::vector<PlantedFault> planted_faults() {
  std::vector<PlantedFault> faults = {
      // No fold at all. handler-abi comes first in this entry, so the search has to be for one signature.
      {"minios-x86_64-nesting", {unbounded_nesting}, "minios-x86_64-nesting:unbounded-nesting:scrit"},
      {"minios-x86_64-table.fixed_distance", {handler_frame}, ""},
      {"minios-x86_64-fixed.fixed_distance", {handler_frame}, ""},
      {"minios-x86_64-fixed.no_cld", {handler_abi}, ""},
      {"minios-x86_64-table.no_cld", {handler_abi}, ""},
      {"minios-x86_64-table.df_at_handlers", {handler_abi}, ""},
      {"minios-x86_64-table.half_a_word", {handler_abi}, ""},
      {"minios-x86_64-fixed.folds_downwards", {unbounded_nesting}, ""},
      {"minios-x86_64-fixed.event_ignored", {lost_event}, ""},
      {"minios-x86_64-fixed.spurious_left", {lost_event}, ""},
      {"minios-x86_64-fixed.spurious_raced", {lost_event}, ""},
      {"minios-x86_64-table.dropped_save", {handler_frame}, ""},
      {"linux-x86_32-2007.smashes_stack", {stack_smash}, ""},
      {"minios-x86_64-fixed.no_stack_switch", {handler_abi}, ""},
      {"minios-x86_32-fixed.no_kernel_es", {handler_abi}, ""},
      {"minios-x86_64-fixed.handler_skipped", {handler_frame}, ""},
      {"minios-x86_64-table.no_rpl_clear", {handler_frame}, ""},
      {"minios-x86_64-fixed.no_rpl_clear", {handler_frame}, ""},
      {"minios-x86_64-fixed.dropped_save", {handler_frame}, ""},
      {"minios-x86_64-table.stale_rax", {handler_frame}, ""},
      {"minios-x86_64-table.table_short", {handler_frame}, ""},
      {"minios-x86_64-table.feature_test_removed", {handler_frame}, ""},
      {"minios-x86_64-table.instruction_removed", {handler_frame, critical_frame, guest_fault}, ""},
      {"minios-x86_64-table.remask_value", {handler_frame}, ""},
      {"minios-x86_64-table.start_jbe", {critical_frame}, ""},
      {"minios-x86_64-fixed.start_jbe", {critical_frame}, ""},
      {"minios-x86_64-table.end_jbe", {handler_frame, guest_fault}, ""},
      {"minios-x86_64-fixed.restore_end_ja", {handler_frame}, ""},
      {"minios-x86_64-fixed.rax_not_copied", {handler_frame}, ""},
      {"minios-x86_64-fixed.copy_upwards", {handler_frame}, ""},
      {"minios-x86_64-table.region_late", {critical_frame}, ""},
      {"minios-x86_64-fixed.region_late", {critical_frame}, ""},
      {"minios-x86_64-fixed.region_short", {critical_frame}, ""},
      {"minios-x86_64-fixed.lazy_fold_short", {critical_frame}, ""},
      {"xenlinux-x86_64-nesting.one_not_saved_again", {handler_frame}, ""},
      {"xenlinux-x86_64-nesting.one_not_saved_again_by_lea", {handler_frame}, ""},
      {"minios-x86_64-fixed.back_below_left_stack", {guest_fault}, ""},
      {"minios-x86_64-fixed.reads_left_stack", {guest_fault}, ""},
      {"minios-x86_64-fixed.pop_before_mask", {guest_fault, handler_frame}, ""},
      {"minios-x86_64-fixed.zf_changed", {runaway, critical_frame}, ""},
      {"minios-x86_64-fixed.push_order", {handler_frame}, ""},
      {"minios-x86_64-fixed.no_count", {register_mismatch, stack_smash, guest_fault}, ""},
      {"minios-x86_64-single.restore_end_ja", {handler_frame}, ""},
      {"minios-x86_64-single.marker_cleared", {nmi_masked}, ""},
      {"minios-x86_64-fixed.wide_unmask", {lost_event}, ""},
      {"minios-x86_64-fixed.selector_cleared", {lost_event}, ""},
      {"linux-x86_64-hypercall.frame_enables", {mask_mismatch}, ""},
      {"xenlinux-x86_32-fixed.nmi_enables", {mask_mismatch}, ""},
      {"linux-x86_64-hypercall.user_rsp_cut", {register_mismatch}, ""},
      {"linux-x86_64-hypercall.user_rip_cut", {register_mismatch, guest_fault}, ""},
      {"minios-x86_64-fixed.rip_cut", {handler_frame}, ""},
      {"minios-x86_64-fixed.rip_half_compared", {handler_frame}, ""},
      {"linux-x86_32-single.user_esp_cut", {handler_frame, register_mismatch}, ""},
      {"linux-x86_64-hypercall.wide_mask", {lost_event}, ""},
      {"linux-x86_32-single.fs_gs_exchanged", {handler_frame, register_mismatch}, ""},
      {"linux-x86_32-single.gs_lost", {handler_frame, register_mismatch}, ""},
      {"minios-x86_32-fixed.ds_es_exchanged", {handler_frame, register_mismatch, handler_abi}, ""},
      {"minios-x86_64-fixed.reads_dead_by_index", {guest_fault}, ""},
      {"minios-x86_64-fixed.reads_dead_by_xlat", {guest_fault}, ""},
      {"minios-x86_32-fixed.reads_dead_by_index", {guest_fault}, ""},
      {"minios-x86_64-fixed.counts_by_index", {entry_data}, ""},
      {"minios-x86_64-fixed.counts_by_bit", {entry_data}, ""},
      {"minios-x86_64-fixed.notes_in_xmm", {guest_fault}, ""},
      {"minios-x86_64-fixed.reads_random", {guest_fault}, ""},
      {"minios-x86_64-fixed.enters_below", {guest_fault}, ""},
      {"minios-x86_64-fixed.wrong_at_one_noted_rsp", {register_mismatch, handler_frame}, "", true},
      {"minios-x86_64-fixed.gs_lost", {register_mismatch}, ""},
      {"minios-x86_32-fixed.no_cs_check", {handler_frame}, ""},
      {"xenlinux-x86_32-fixed.no_cs_check", {handler_frame}, ""},
      {"xenlinux-x86_32-fixed.work_bits", {entry_data}, ""},
      {"xenlinux-x86_32-fixed.work_for_kernel", {entry_data}, ""},
      {"linux-x86_64-hypercall.work_for_kernel", {entry_data}, ""},
      {"linux-x86_32-single.sete", {mask_mismatch, lost_event, early_delivery, critical_frame}, ""},
  };
  add_table_values(faults);
  return faults;
}

std::optional<FoundFault> search(Oracle& oracle, const PlantedFault& fault, std::uint64_t seed, std::uint64_t limit) {
  const Entry& entry = oracle.entry();
  std::uint64_t executions = 0;
  std::optional<FoundFault> found;
  for_each_random(oracle, seed, limit, [&](const Scenario& /*scenario*/, const Verdict& verdict) {
    ++executions;
    const std::span<const Finding> findings = verdict.view();
    const auto wanted = std::find_if(findings.begin(), findings.end(), [&](const Finding& finding) {
      return fault.only.empty() ? finding.known < 0 : signature_of(entry, finding) == fault.only;
    });
    if (wanted != findings.end()) {
      found = FoundFault{executions, *wanted};
    }
    return !found;
  });
  return found;
}

}  // namespace framefold::test
