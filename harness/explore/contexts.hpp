// The contexts that exploration starts from: one of each class of contexts that entry code can tell apart.
//
// A class is a value for each of the dimensions of ContextClass. Vector, mode, stack, place, mask and pending byte are
// crossed in full. The others, its *variations*, are taken one at a time (Crossing::each), all at once besides
// (Crossing::pairs), so that each two values of two dimensions meet in some context, crossed as well (Crossing::all),
// or left out, and RIP in the region with them (Crossing::none). With RIP in the region, and with an event mask other
// than 0 and 1, they are taken all at once only, and Crossing::pairs takes that with one pending byte alone.
//
// A user's stack pointer is data: alignment counts for kernel contexts only. General registers, flags but DF, error
// codes, a masked port that nobody unmasks and what handlers write are data. Each bit of a flag or an error code is
// both ways, and each two of them in all four, among the variations and a second pass, in which all of them are the
// other way: which shows as well whether the code depends on them. (RIP and RSP stay: entry code compares and aligns
// them, and the flags that this leaves depend on every bit of them.)
//
// Which of its places RIP has (context_places.hpp) goes with the values: of the first ones, contexts with DF have a
// twin of the region and the others have the resume page; of the second ones, the other way round. So without a second
// pass, code that keeps less than all of RIP is seen in the states that contexts with DF alone reach.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "scenario/scenario.hpp"

namespace framefold {

enum class StackAlignment : std::uint8_t { by_16, by_8, by_4, none };
enum class MaskClass : std::uint8_t { zero, one, even, odd };

/// What of a scenario entry code can tell apart, arrivals and what event handlers do (which exploration chooses) aside.
struct ContextClass {
  std::uint8_t vector = 0;
  GuestMode mode = GuestMode::kernel;
  ContextStack stack = ContextStack::thread;
  std::int16_t region_offset = -1;  // -1: on the resume page
  MaskClass mask = MaskClass::zero;
  std::uint8_t pending = 0;
  bool nmi_masked = false;
  bool writes_rax = false;  // the exception's handler, to its frame
  bool writes_rip = false;
  bool direction = false;  // DF
  bool null_data_segments = false;
  bool unmasks_port = false;  // the first event handler unmasks a port that is pending
  StackAlignment alignment = StackAlignment::by_16;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the 0 inside a defaulted <=> for a pointer
  friend auto operator<=>(const ContextClass&, const ContextClass&) = default;
};

/// How variations are combined.
enum class Crossing : std::uint8_t { none, each, pairs, all };

/// The class of a scenario.
ContextClass class_of(const Scenario& scenario);
/// Without variations.
ContextClass base_of(const ContextClass& context);
/// Whether contexts of the two can share states: they resume with the same registers, stacks and masks.
bool resume_alike(const ContextClass& a, const ContextClass& b);

/// Values for what a class leaves open.
enum class DataValues : std::uint8_t { first, second };

/// One scenario a class, without arrivals, in an order that does not depend on `values`: contexts that resume
/// alike are neighbours.
std::vector<Scenario> enumerate_contexts(const Entry& entry, DataValues values, Crossing crossing);

/// "page_fault, kernel on thread, mask 1, pending 1, DF"
std::string describe_context(const ContextClass& context, const Entry& entry);

/// A dimension and how many values it has among some contexts.
struct Dimension {
  std::string name;
  std::size_t values = 0;
};
std::vector<Dimension> dimensions_of(const std::vector<ContextClass>& classes);

}  // namespace framefold
