// What the command's exit status says. The same for all subcommands.
#pragma once

namespace framefold {

inline constexpr int kExitClean = 0;      // nothing, or nothing but known violations
inline constexpr int kExitViolation = 1;  // a violation: a result, not an error
inline constexpr int kExitBadUse = 2;     // a bad file, description, image or option
inline constexpr int kExitInternal = 3;   // an error of framefold's own, or of Unicorn's

}  // namespace framefold
