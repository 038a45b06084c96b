// What the environment tells a fuzz binary. A continuous-fuzzing runner sets nothing: known violations are skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "run/oracle.hpp"

namespace framefold {

/// A signature, or a whole bucket, in a form that can be compared without building text.
struct SignaturePattern {
  ViolationKind kind = ViolationKind::runaway;
  GuestRange causes;  // half-open

  bool matches(const Finding& finding) const { return finding.kind == kind && causes.contains(finding.cause); }
};

/// The bucket that a finding lies in.
SignaturePattern bucket_pattern(const Entry& entry, const Finding& finding);

struct FuzzSettings {
  bool report_known = false;             // FRAMEFOLD_KNOWN=report
  std::optional<SignaturePattern> only;  // FRAMEFOLD_ONLY: that one even if known, and no other
};

/// FRAMEFOLD_KNOWN ("skip" or "report") and FRAMEFOLD_ONLY (a signature of `entry`, or a bucket: without "+offset". The
/// signature at the symbol itself is "+0x0" here); null: not set. An empty FRAMEFOLD_KNOWN is none either; an empty
/// FRAMEFOLD_ONLY is refused: who asked for one finding would be shown another.
/// Throws InputError, naming the variable.
FuzzSettings parse_settings(const char* known, const char* only, const Entry& entry);

/// The finding that a run is to be stopped for. nullptr: none.
const Finding* finding_to_report(const Verdict& verdict, const FuzzSettings& settings);

}  // namespace framefold
