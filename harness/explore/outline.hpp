// The outline of a graph: what is seen of it from outside the entry code. Its joints are the boundaries at which a
// handler is called and returns, and the resumption; what lies between two of them is a way, whatever it is like.
//
// Values are left out: those that handlers and the resumed context get, the oracle has judged, and those that entry
// code decides by show in the ways. Two entries whose explorations show nothing and whose outlines are equal differ in
// dead values, and in steps that nobody sees.
#pragma once

#include <cstdint>
#include <unordered_set>
#include <utility>
#include <vector>

#include "run/snapshot.hpp"

namespace framefold {

/// Steps from one boundary to the next, by keys that leave values out. Each context's, or each that shares states.
class Outline {
 public:
  void add_step(std::uint64_t from, std::uint64_t to) {
    constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15;
    if (seen_.insert(from * kMultiplier ^ to).second) {
      steps_.emplace_back(from, to);
    }
  }
  void add_joint(std::uint64_t node) { joints_.insert(node); }
  void add(const Outline& other);
  bool empty() const { return steps_.empty(); }

  /// Sorted.
  std::vector<std::uint64_t> joints() const;
  /// Of any two joints, whether one is the next behind the other on some way. Sorted.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ways() const;

 private:
  std::vector<std::pair<std::uint64_t, std::uint64_t>> steps_;
  std::unordered_set<std::uint64_t> seen_;
  std::unordered_set<std::uint64_t> joints_;
};

/// A boundary, by what it is to an outline.
struct OutlineNode {
  std::uint64_t key = 0;
  bool joint = false;
};

/// Where a context's graph starts.
std::uint64_t outline_start(std::uint64_t scope, const Scenario& context);
/// A boundary, with the pending byte that it has or would have.
OutlineNode outline_node(const Execution& execution, std::uint64_t scope, const Boundary& boundary, GuestAddress stack,
                         std::uint8_t pending);
std::uint64_t outline_resumption(const Execution& execution, std::uint64_t scope);

}  // namespace framefold
