// The states seen so far, by their keys: an open hash table that is emptied in no time.
#pragma once

#include <cstdint>
#include <vector>

namespace framefold {

class Visited {
 public:
  struct Slot {
    std::uint64_t key = 0;
    std::uint32_t epoch = 0;
    std::uint32_t leg = 0;  // the leg of a path that came here last, and after how many boundaries
    std::uint32_t step = 0;
    std::uint32_t budgets = 0;  // with which budgets, one bit each
  };

  Visited() : slots_(kFirstSize) {}

  void clear() {
    ++epoch_;
    count_ = 0;
  }

  /// nullptr where the key was not seen.
  Slot* find(std::uint64_t key) {
    for (std::size_t at = key & mask();; at = (at + 1) & mask()) {
      Slot& slot = slots_[at];
      if (slot.epoch != epoch_) {
        return nullptr;
      }
      if (slot.key == key) {
        return &slot;
      }
    }
  }

  void insert(std::uint64_t key, std::uint32_t leg, std::uint32_t step, std::uint32_t budgets) {
    if ((count_ + 1) * 5 > slots_.size() * 3) {
      grow();
    }
    place({key, epoch_, leg, step, budgets});
    ++count_;
  }

  std::size_t bytes() const { return slots_.size() * sizeof(Slot); }

 private:
  static constexpr std::size_t kFirstSize = 1U << 14;

  std::size_t mask() const { return slots_.size() - 1; }
  void place(const Slot& slot) {
    std::size_t at = slot.key & mask();
    while (slots_[at].epoch == epoch_) {
      at = (at + 1) & mask();
    }
    slots_[at] = slot;
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.epoch == epoch_) {
        place(slot);
      }
    }
  }

  std::vector<Slot> slots_;
  std::size_t count_ = 0;
  std::uint32_t epoch_ = 1;
};

}  // namespace framefold
