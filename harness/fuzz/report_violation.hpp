// How a fuzz binary ends when it has found something: everything that a bug report needs, to stderr, then an abort.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "fuzz/session.hpp"

namespace framefold {

/// Signature, bucket, what is wrong, the scenario as TOML, a timeline, and the command that replays `file` (nothing:
/// its name is not known).
std::string violation_text(FuzzSession& session, const Finding& finding, const std::optional<std::string>& file);

/// The same of an error of our own.
std::string internal_error_text(const FuzzSession& session, std::string_view what,
                                const std::optional<std::string>& file);

/// Print, and abort in the frames of violation_frames.hpp.
[[noreturn]] void report_violation(FuzzSession& session, const Finding& finding,
                                   const std::optional<std::string>& file);
[[noreturn]] void report_internal_error(const FuzzSession& session, std::string_view what,
                                        const std::optional<std::string>& file);

}  // namespace framefold
