#include "run/violation.hpp"

#include <algorithm>

namespace framefold {

void ViolationList::add(const Violation& violation) {
  if (closed) {
    return;
  }
  closed = info_of(violation.kind).ends_judgement;
  const bool by_place = info_of(violation.kind).cause == CauseRule::judged;
  for (const Violation& known : view()) {
    const bool same_place = known.judged == violation.judged && known.conditions == violation.conditions;
    if (known.kind == violation.kind && (!by_place || same_place)) {
      return;
    }
  }
  if (count < items.size()) {
    items[count++] = violation;
  }
}

bool ViolationList::contains(ViolationKind kind) const {
  return std::any_of(items.begin(), items.begin() + count, [kind](const Violation& v) { return v.kind == kind; });
}

}  // namespace framefold
