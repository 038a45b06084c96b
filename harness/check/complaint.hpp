// What a message about a description means for who judges the code: each is an InputError, and names a line.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "image/description.hpp"

namespace framefold {

/// No code is right with that line.
class WrongByItself : public InputError {
 public:
  explicit WrongByItself(const InputError& error) : InputError(error) {}
};

/// The code does not do what that line says, and where the line is right, the code is wrong.
class Mismatch : public InputError {
 public:
  explicit Mismatch(const InputError& error) : InputError(error) {}
  /// With what judges the code all the same: "--unchecked".
  InputError judged_by(std::string_view what) const {
    return InputError(fmt::format("{} (where that line is right, the code is not: {} judges it)", this->what(), what));
  }
};
inline constexpr std::string_view kJudgesAllTheSame = "`framefold explore --unchecked`";

/// The plain context shows something wrong whatever the description says: an instruction that traps in the guest's ring
/// (cli, hlt, in), or a register that it does not get back. The description does not hold, and what judges code says so
/// of the code.
class WrongCode : public InputError {
 public:
  explicit WrongCode(const InputError& error) : InputError(error) {}
};

}  // namespace framefold
