// Guest coverage and statistics of runs: fixed arrays that a run only increments.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "image/image.hpp"
#include "scenario/scenario.hpp"

namespace framefold {

/// Boundaries of an entry have indices: the instructions of its text in order, then the iret stub's, then the handler's
/// return.
std::size_t boundary_count(const Entry& entry);

/// Arrival kinds × what became of an arrival at a boundary: not delivered (a raise that stays pending, a tick), or
/// delivered.
struct BoundaryCounts {
  std::array<std::uint64_t, kArrivalKindCount> arrived{};
  std::array<std::uint64_t, kArrivalKindCount> delivered{};
  std::array<std::uint64_t, kDeliveryKindCount> folded{};  // of what was delivered here: those whose frame was folded
};

/// The edges of the beginning of a run.
struct CoveragePrefix {
  static constexpr std::size_t kMost = 64;
  std::array<std::uint16_t, kMost> edges{};  // their counters
  std::size_t count = 0;
  std::size_t previous = 0;
};

class Coverage {
 public:
  /// `counters` are 8-bit counters that a fuzzer reads and clears; may be empty. Where they are fewer than
  /// counters_wanted(), features share them. `entry` outlives this.
  Coverage(const Entry& entry, std::span<std::uint8_t> counters);

  /// Counters that are enough to keep apart what they count: edges with fold depth, and for each boundary what arrived,
  /// and what was folded.
  static std::size_t counters_wanted(const Entry& entry);

  void begin_run() {
    leave();
    logged_ = 0;
  }
  /// Control goes on elsewhere than the code says: Xen delivers, or a return goes back to what was interrupted. Where
  /// from is no edge of its own: what arrived at which boundary is counted already.
  void leave() { previous_ = leaders_; }
  /// What the run has counted so far, which is nothing but edges; nothing where it is too much to keep.
  std::optional<CoveragePrefix> prefix() const;
  /// Begins a run that counts what another, of the same code, has counted.
  void take_up(const CoveragePrefix& prefix);

  /// Control reached a block leader, with `depth` live activations.
  void edge(std::uint16_t leader, std::size_t depth) {
    const std::size_t level = std::min<std::size_t>(depth, kDepths) - (depth > 0 ? 1 : 0);
    const std::size_t to = leader_of_[leader];
    followed_[previous_ * leaders_ + to] = 1;
    const std::size_t from = std::exchange(previous_, to);
    if (only_next_[from] == to) {
      return;
    }
    const std::size_t feature =
        std::size_t{static_cast<std::uint32_t>(from * kEdgeFactor + to) % edge_slots_} * kDepths + level;
    if (logged_ < log_.size()) {
      log_[logged_] = static_cast<std::uint16_t>(feature);
    }
    ++logged_;
    hit(feature);
  }
  void arrival(std::uint16_t boundary, ArrivalKind kind, bool delivered) {
    const auto k = static_cast<std::size_t>(kind);
    BoundaryCounts& counts = counts_[boundary];
    ++counts.arrived[k];
    counts.delivered[k] += delivered ? 1 : 0;
    mark(arrival_base_ + boundary, (delivered ? kDeliveredMarks : kPendingMarks)[k]);
  }
  void fold(std::uint16_t boundary, DeliveryKind kind) {
    const auto k = static_cast<std::size_t>(kind);
    ++counts_[boundary].folded[k];
    mark(fold_base_ + fold_slot(boundary), kFoldMarks[k]);
  }
  void executed(std::uint16_t boundary) { executed_[boundary] = 1; }

  std::span<const BoundaryCounts> counts() const { return counts_; }
  std::span<const std::uint8_t> executed_boundaries() const { return executed_; }

  /// Edges between blocks that the entry code's own direct branches, calls and fall-throughs make: how many there are,
  /// and how many a run has followed. (Deliveries and returns are not among them.)
  struct EdgeCount {
    std::size_t seen = 0;
    std::size_t total = 0;
  };
  EdgeCount control_flow_edges() const;

 private:
  static constexpr std::size_t kDepths = 3;
  static constexpr std::size_t kEdgeFactor = 11;
  // What arrives at a boundary, and what is folded there, is one counter each. Its value says which kind: fuzzers take
  // these values for features of their own, as they do the counts of an edge (libFuzzer's and AFL++'s classes: 1, 2, 3,
  // 4 to 7, 8 to 15, 16 to 31, 32 to 127, from 128; Centipede's: by the highest bit). So a run has few counters to look
  // at, all of which fuzzers go through. Of two kinds at one boundary, which few runs have, the higher one may hide the
  // other. Engines that want calls get as many: what comes often has few. By ArrivalKind, and by DeliveryKind.
  static constexpr std::array<std::uint8_t, kArrivalKindCount> kDeliveredMarks{1, 8, 32, 4};
  static constexpr std::array<std::uint8_t, kArrivalKindCount> kPendingMarks{2, 16, 128, 0};  // exceptions never are
  static constexpr std::array<std::uint8_t, kDeliveryKindCount> kFoldMarks{1, 2, 4};
  static_assert(static_cast<std::size_t>(ArrivalKind::exception) == kArrivalKindCount - 1);

  /// A boundary's number among those of the region, where entries fold; all others share the one behind.
  std::size_t fold_slot(std::size_t boundary) const {
    return std::min(boundary - region_first_, region_boundaries_);  // before the region: wraps
  }

  std::size_t counter_of(std::size_t feature) const {
    return feature < counters_.size() ? feature : feature % counters_.size();
  }

  void hit(std::size_t feature) {
    if (!counters_.empty() && counters_[counter_of(feature)] != 0xff) {
      ++counters_[counter_of(feature)];
    }
  }

  void mark(std::size_t feature, std::uint8_t kind) {
    if (!counters_.empty()) {
      std::uint8_t& counter = counters_[counter_of(feature)];
      counter = static_cast<std::uint8_t>(counter | kind);
    }
  }

  static constexpr std::uint16_t kNoLeader = 0xffff;

  const Entry& entry_;
  std::span<std::uint8_t> counters_;
  std::vector<std::uint16_t> leader_of_;  // number of the last block leader at or before a boundary
  std::size_t leaders_;
  // By leader's number, with what was left last: that of the only block to which its own leads. The edge between them
  // is not counted, since who is there comes here, and each counter that is not 0 costs fuzzers time.
  std::vector<std::uint16_t> only_next_;
  std::uint32_t edge_slots_;
  std::size_t arrival_base_;
  std::size_t region_first_;
  std::size_t region_boundaries_;
  std::size_t fold_base_;
  std::size_t previous_ = leaders_;                         // leader's number, or of what was left
  std::array<std::uint16_t, CoveragePrefix::kMost> log_{};  // of the first edges of the run, the counter
  std::size_t logged_ = 0;                                  // edges of the run
  std::vector<BoundaryCounts> counts_;
  std::vector<std::uint8_t> executed_;
  std::vector<std::uint8_t> followed_;  // by leader and next leader
};

}  // namespace framefold
