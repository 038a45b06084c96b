// An error of framefold's own, or of Unicorn's: never a verdict about a guest. Exit status 3.
#pragma once

#include <stdexcept>

namespace framefold {

class InternalError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace framefold
