// What of the entry's data a run uses: from where it loaded the pointers that it goes through, and which data it uses
// that nobody has defined or described.
#pragma once

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace framefold {

class DataUse {
 public:
  explicit DataUse(const Entry& entry);

  /// Before each instruction: `registers` are the guest's.
  void note(const Instruction& instruction, const Registers& registers);

  /// The word that the last instruction's pointer was loaded from: what it accesses, calls or jumps to.
  std::optional<GuestAddress> pointer() const { return pointer_; }
  /// The zeroed data (Entry::zeroed) that an address lies in.
  std::optional<std::string> zeroed_at(GuestAddress address) const;
  /// Of it, what the run has used.
  const std::set<std::string>& used() const { return used_; }

 private:
  std::optional<GuestAddress> loaded_from(std::optional<Gpr> gpr) const;
  std::optional<GuestAddress> pointer_of(const Instruction& instruction, const Registers& registers) const;

  struct Zeroed {
    GuestRange range;
    std::string name;
  };
  const Entry& entry_;
  std::vector<Zeroed> zeroed_;
  std::array<std::optional<GuestAddress>, kGprCount> loaded_from_;
  std::optional<GuestAddress> pointer_;
  std::set<std::string> used_;
};

}  // namespace framefold
