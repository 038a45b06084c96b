// What arrived where during a command, entry by entry.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "run/oracle.hpp"

namespace framefold {

class BoundaryCounter {
 public:
  /// From here on, counts the nested runs of what `oracle` judges. It has to live as long as the oracle judges.
  void watch(Oracle& oracle);

  /// A table for each oracle, in the order in which they came.
  std::string text() const;
  /// By the entries' names.
  nlohmann::json json() const;

 private:
  struct Counted {
    Oracle* oracle;
    std::unique_ptr<Coverage> coverage;

    const Guest& guest() const { return oracle->execution().guest(); }
  };
  std::vector<Counted> counted_;
};

}  // namespace framefold
