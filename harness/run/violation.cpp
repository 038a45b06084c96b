#include "run/violation.hpp"

#include <algorithm>

namespace framefold {

namespace {

bool is_repetition(const Violation& known, const Violation& violation) {
  if (known.kind != violation.kind) {
    return false;
  }
  if (known.cause_is_judged && violation.cause_is_judged) {
    return known.judged == violation.judged && known.conditions == violation.conditions;
  }
  return is_judged_in_flight(known.kind) ? known.arrivals == violation.arrivals
                                         : known.detail.what == violation.detail.what;
}

}  // namespace

bool is_judged_in_flight(ViolationKind kind) {
  switch (kind) {
    case ViolationKind::early_delivery:
    case ViolationKind::critical_frame:
    case ViolationKind::unbounded_nesting:
      return true;
    default:
      return false;
  }
}

void ViolationList::add(const Violation& violation) {
  if (closed) {
    return;
  }
  closed = info_of(violation.kind).ends_judgement;
  if (std::any_of(items.begin(), items.begin() + count,
                  [&](const Violation& known) { return is_repetition(known, violation); })) {
    return;
  }
  items[count++] = violation;
  closed = closed || count == items.size();
}

bool ViolationList::contains(ViolationKind kind) const {
  return std::any_of(items.begin(), items.begin() + count, [kind](const Violation& v) { return v.kind == kind; });
}

}  // namespace framefold
