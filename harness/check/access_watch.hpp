// What the entry's instructions read and write in a run, and which they are.
#pragma once

#include <optional>
#include <vector>

#include "image/image.hpp"
#include "run/execution.hpp"

namespace framefold {

struct DataAccess {
  GuestAddress at;  // the instruction
  GuestRange range;
  bool read = false;
  bool write = false;
  std::optional<Segment> segment;  // that the instruction names
};

class AccessWatch : private TraceSink {
 public:
  explicit AccessWatch(const Entry& entry) : entry_(entry), execution_(entry) {}

  /// With its arrivals. Forgets the run before.
  void run(const Scenario& scenario);

  const std::vector<DataAccess>& accesses() const { return accesses_; }
  /// Every boundary.
  const std::vector<GuestAddress>& path() const { return path_; }
  bool touches(GuestRange range) const;

 private:
  void record(const TraceEvent& event) override;

  const Entry& entry_;
  Execution execution_;
  std::vector<DataAccess> accesses_;
  std::vector<GuestAddress> path_;
};

bool overlaps(const GuestRange& one, const GuestRange& other);

}  // namespace framefold
