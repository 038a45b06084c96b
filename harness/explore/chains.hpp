// The chains that were explored (chain.hpp), found again by what they interrupt: by its class, and by what of it the
// code of that class was seen to look at.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>

#include "explore/chain.hpp"
#include "explore/contexts.hpp"
#include "explore/interrupted.hpp"
#include "explore/path.hpp"

namespace framefold {

/// Status flags, ID and AC (SDM Vol. 1, section 3.4.3): what nothing depends on but code that looks at them. (Alignment
/// is checked in ring 3 alone: 32-bit kernels run in ring 1, and where a 64-bit one does, Xen has cleared AC.)
inline constexpr std::uint64_t kDataFlags = 0x2408d5;

/// Of what `choice` starts in states of a class that have that budget left.
std::uint64_t chain_key(std::uint64_t chain_class, std::uint8_t budget, const Choice& choice, std::uint8_t port);

/// The part of a class that the code looks at. `state` is a key of all of the state, or of what it looks at in memory.
std::uint64_t exact_key(std::uint64_t key, const Looks& exact, const Registers& interrupted, std::uint64_t state);

/// Whether two chains lead to the same, as far as that does not depend on values of data.
bool alike(const Chain& a, const Chain& b);

/// For each of the values that contexts may have apart.
class Chains {
 public:
  explicit Chains(const Entry& entry);

  /// Forgets all.
  void clear();
  /// Those of contexts with these values, from now on.
  void use(DataValues values) { current_ = &of_values_[static_cast<std::size_t>(values)]; }

  /// What code looks at of a class; nullptr where none of its chains was ever started.
  const Looks* find_looks(std::uint64_t class_key) const;
  /// The same, to be added to. At first, on which side of the region RIP lies.
  Looks& looks_of(std::uint64_t class_key) {
    return current_->looks.try_emplace(class_key, first_looks_).first->second;
  }

  /// By `exact_key`. Where a chain is does not change while others come and go.
  Chain* find(std::uint64_t key);
  Chain& operator[](std::uint64_t key) { return current_->chains[key]; }
  void erase(std::uint64_t key) { current_->chains.erase(key); }

  /// Whether a chain was confirmed from another state, by what code can see of that.
  bool is_confirmed(std::uint64_t visible_key) const { return current_->confirmed.count(visible_key) != 0; }
  void confirm(std::uint64_t visible_key) { current_->confirmed.insert(visible_key); }

 private:
  struct OfValues {
    std::unordered_map<std::uint64_t, Chain> chains;
    std::unordered_map<std::uint64_t, Looks> looks;  // by class
    std::unordered_set<std::uint64_t> confirmed;
  };

  Looks first_looks_;
  std::array<OfValues, 2> of_values_;
  OfValues* current_ = of_values_.data();
};

}  // namespace framefold
