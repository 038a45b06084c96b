// What exploration has still to take.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "explore/chain.hpp"
#include "explore/path.hpp"

namespace framefold {

/// A choice at a node, or what is known of it beforehand: a way out of the chain that it starts, or a violation there.
struct Branch {
  enum class Kind : std::uint8_t { choice, chain_end, chain_violation };
  std::uint32_t node = 0;
  std::uint32_t parent = 0;
  std::uint32_t step = 0;
  Choice choice;
  std::uint8_t port = 0;
  Kind kind = Kind::choice;
  std::uint64_t key = 0;  // choice: of the state that it leads to; 0: not known beforehand
  Chain* chain = nullptr;
  std::size_t index = 0;  // among its ends or violations
};

/// Those behind fewest choices first, and then in the order in which they came.
class BranchQueue {
 public:
  void push(std::uint32_t depth, const Branch& branch) {
    by_depth_[depth].push_back(branch);
    ++size_;
  }
  Branch pop() {
    const auto first = by_depth_.begin();
    const Branch branch = first->second.front();
    first->second.pop_front();
    if (first->second.empty()) {
      by_depth_.erase(first);
    }
    --size_;
    return branch;
  }
  bool empty() const { return size_ == 0; }
  std::size_t bytes() const { return size_ * sizeof(Branch); }

 private:
  std::map<std::uint32_t, std::deque<Branch>> by_depth_;
  std::size_t size_ = 0;
};

}  // namespace framefold
