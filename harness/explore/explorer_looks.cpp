// Explorer: what code in chains looks at of what was interrupted, and which chains that tells apart (interrupted.hpp).
#include <algorithm>

#include "explore/explorer.hpp"

namespace framefold {

/// In a chain: whether the code here looks at more of what was interrupted than is known: by this chain's arrival, or
/// by that of one below, in which this one started.
bool Explorer::looks_further(const Boundary& boundary) {
  read_registers(boundary);
  bool further = false;
  for (std::size_t of = level_; of > 0; --of) {
    Level& at = levels_[of];
    const bool all_is_exact = of == level_ && at.exact.has(Look::values);
    if (all_is_exact || execution_.activations().count <= at.start.activations) {
      continue;
    }
    Looks seen;
    reads_.look(boundary, registers_, execution_, at.interrupted, seen);
    further = note_looks(of, seen) || further;
  }
  return further;
}

/// True where they are more than is known of that level. Chains above it that look so do wherever they are met.
bool Explorer::note_looks(std::size_t of, const Looks& seen) {
  if (seen.none()) {
    return false;
  }
  for (std::size_t above = of + 1; above <= level_; ++above) {
    std::vector<Looks>& below = levels_[above].chain->below;
    below.resize(std::max(below.size(), above - of));
    below[above - of - 1].add(seen);
  }
  Level& at = levels_[of];
  if (at.exact.has(Look::values)) {
    return false;
  }
  Looks further = seen;
  further.remove(at.exact);
  if (at.start.exact_place) {
    further.borders.clear();
  }
  at.looks.add(further);
  return !further.none();
}

/// Of a chain that starts on this level: what it looks at of what this one and those below have interrupted.
void Explorer::note_looks_of(const Chain& chain) {
  for (std::size_t i = 0; i < chain.below.size() && i < level_; ++i) {
    note_looks(level_ - i, chain.below[i]);
  }
}

/// Whether a chain that is being explored has to be explored anew, since more of what it interrupted is looked at.
bool Explorer::is_abandoned() const {
  return std::any_of(levels_.begin() + 1, levels_.begin() + 1 + static_cast<std::ptrdiff_t>(level_),
                     [](const Level& level) { return !level.looks.none(); });
}

/// A wrong frame ends a run at the handler's call. It may be wrong because it reaches into what was interrupted.
void Explorer::note_reaching_frame() {
  if (level_ == 0 || level().exact.has(Look::memory) || level().exact.has(Look::values)) {
    return;
  }
  const std::span<const Violation> violations = outcome_.violations.view();
  if (std::any_of(violations.begin(), violations.end(), [](const Violation& v) {
        return v.kind == ViolationKind::handler_frame || v.kind == ViolationKind::critical_frame;
      })) {
    level().looks.add(Look::memory);
    outcome_.violations.count = 0;
  }
}

}  // namespace framefold
