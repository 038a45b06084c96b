#include "test/cures.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace framefold::test {

const std::vector<Cure>& cures() {
  static const std::vector<Cure> all = {
      {"minios-x86_64-nesting", "aligned_event_stack", {"handler-abi@call_event_handler"}},
      {"minios-x86_64-nesting", "aligned_exception_stack", {"handler-abi@call_handler"}},
      {"minios-x86_64-nesting", "folded", {"unbounded-nesting"}},
      {"minios-x86_64-table", "aligned_event_stack", {"handler-abi@call_event_handler"}},
      {"minios-x86_64-table", "aligned_exception_stack", {"handler-abi@call_handler"}},
      {"minios-x86_64-table", "marker_kept", {"nmi-masked"}},
      {"minios-x86_64-table", "page_folded", {"critical-frame"}},
      {"minios-x86_64-single", "aligned_event_stack", {"handler-abi@call_event_handler"}},
      {"minios-x86_64-single", "aligned_exception_stack", {"handler-abi@call_handler"}},
      {"minios-x86_64-single", "flag_stepped_over", {"handler-frame"}},
      {"minios-x86_64-single", "marker_kept", {"nmi-masked@restore_end"}},
      {"minios-x86_64-single", "nmi_not_folded", {"nmi-masked@hypervisor_callback"}},
      {"minios-x86_64-single", "page_folded", {"critical-frame"}},
      {"minios-x86_64-single", "marked_leave_masked", {"nmi-masked", "handler-frame", "critical-frame"}},
      {"xenlinux-x86_64-nesting", "page_left_masked", {"work-missed@hypercall_page"}, true},
      {"xenlinux-x86_64-nesting", "user_leave_masked", {"work-missed"}},
      {"xenlinux-x86_64-nesting", "folded", {"work-missed", "unbounded-nesting"}},
      {"minios-x86_32-table", "cs_checked", {"handler-frame"}},
      {"xenlinux-x86_32-table", "cs_checked", {"handler-frame"}},
      {"linux-x86_32-single", "any_pending", {"lost-event"}},
      {"linux-x86_32-2007", "any_pending", {"lost-event"}, true},
      {"linux-x86_32-2007", "null_ds_by_hypercall", {"guest-fault"}},
      {"linux-x86_32-2007", "never_unmask", {"mask-mismatch", "early-delivery"}, true},
  };
  return all;
}

std::string label_of(const KnownRow& row) { return fmt::format("{}@{}", row.description.kind, row.description.first); }

bool removes(const Cure& cure, const KnownRow& row) {
  return std::any_of(cure.gone.begin(), cure.gone.end(),
                     [&](const std::string& start) { return label_of(row).rfind(start, 0) == 0; });
}

std::set<std::string> cures_of(const Entry& entry, const KnownRow& row) {
  std::set<std::string> patches;
  for (const Cure& cure : cures()) {
    if (cure.entry == entry.name() && removes(cure, row)) {
      patches.insert(cure.patch);
    }
  }
  return patches;
}

}  // namespace framefold::test
