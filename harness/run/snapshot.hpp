// The state of a run at a boundary, to be taken up again from there: what exploration branches on.
//
// Of each stack only what is live is kept: the bytes below a stack pointer are nobody's.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "run/execution.hpp"

namespace framefold {

/// A boundary, as an observer of a run gets it.
struct Boundary {
  GuestAddress address;
  std::uint16_t index = 0;          // as Coverage counts them
  bool shadowed = false;            // behind a load of SS: nothing asynchronous arrives
  const Vector* handler = nullptr;  // it is the first instruction of this vector's handler
};

/// Is called at each boundary of a run, once the arrival that is due there has been taken and did not interrupt it.
class BoundaryObserver {
 public:
  virtual ~BoundaryObserver() = default;
  /// True to end the run before the instruction.
  virtual bool at_boundary(const Boundary& boundary) = 0;
};

/// From where on the bytes of each stack are live; the end of a stack that was never used.
using LiveStacks = std::array<GuestAddress, kStackCount>;

struct Snapshot {
  Registers registers;
  RunState state;
  LiveStacks live;
  std::vector<std::uint8_t> bytes;  // activations, shared page, data, stacks; snapshot.cpp knows the order

  std::size_t size() const { return sizeof *this + bytes.capacity(); }
};

/// Parts of a snapshot's bytes: to be read, or changed in place.
template <typename Byte>
struct PartsOf {
  std::span<Byte> activations;                      // sizeof(Activation) each, oldest first
  std::span<Byte> data;                             // sizeof(DataChange) each, by address
  std::array<std::span<Byte>, kStackCount> stacks;  // from where they are live
};
using SnapshotParts = PartsOf<std::uint8_t>;
using ConstSnapshotParts = PartsOf<const std::uint8_t>;
SnapshotParts parts_of(Snapshot& snapshot);
ConstSnapshotParts parts_of(const Snapshot& snapshot);

Guest::SharedBytes shared_bytes_of(const Snapshot& snapshot);

/// The bytes of `from` with another shared page and other data, to `bytes`.
void copy_with(const Snapshot& from, const Guest::SharedBytes& shared, std::span<const DataChange> data,
               std::vector<std::uint8_t>& bytes);

}  // namespace framefold
