// The fixup table of a critical region, derived by running the code: at each boundary of the region, how much of the
// interrupted frame is gone, which registers are still saved, and which slots were pushed again.
//
// Each context of exploration runs twice: without arrivals, and with an event that is raised before the window opens,
// so that the way back to the handler is taken. No event is delivered, so no fold runs: what is derived does not depend
// on the image's own table. Where the frame lies is not assumed either. The code shows it afterwards: where it returns
// from, or which frame it hands to a handler.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// A boundary of the region.
struct TableBoundary {
  const Instruction* instruction = nullptr;
  std::set<std::int64_t> popped;      // bytes of the frame that are gone; several: it depends on the way there
  std::set<std::string> saved;        // registers whose interrupted values are on the stack alone
  std::set<std::string> pushed;       // slots that were gone and are pushed again: "orig_rax: rax", "orig_rax"
  std::set<std::string> lost;         // registers whose interrupted values are nowhere
  std::vector<Scenario> deliverable;  // each interrupts the boundary by an event, its last arrival

  bool reached() const { return !popped.empty(); }
  /// What a table has to say here; nothing where no byte can, or where no context comes.
  std::optional<std::uint8_t> value() const;
};

struct FixupTable {
  const Entry* entry = nullptr;
  std::uint32_t frame_words = 0;  // bytes of the frame below what Xen pushes: all of it popped
  std::vector<TableBoundary> boundaries;
};

FixupTable derive_table(const Entry& entry);

/// The image's own byte for each of the region's. Empty where the entry has no table.
std::vector<std::uint8_t> image_table(const Entry& entry);

}  // namespace framefold
