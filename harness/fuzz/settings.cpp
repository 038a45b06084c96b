#include "fuzz/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace framefold {

namespace {

/// A place as format_location() writes it: where no symbol precedes, it is a bare number.
std::optional<GuestAddress> parse_place(const Entry& entry, std::string_view text) {
  constexpr std::string_view kHexadecimal = "0x";
  constexpr int kBase = 16;
  if (text.substr(0, kHexadecimal.size()) != kHexadecimal) {
    return parse_location(entry, text);
  }
  GuestAddress address;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + kHexadecimal.size(), end, address.value, kBase);
  return error == std::errc{} && stop == end ? std::optional(address) : std::nullopt;
}

/// Every address that is named by the symbol at `begin`: up to the next one.
GuestRange named_from(const Entry& entry, GuestAddress begin) {
  const auto next = std::upper_bound(entry.named.begin(), entry.named.end(), begin,
                                     [](GuestAddress a, const Symbol& symbol) { return a < symbol.address; });
  return {begin, next == entry.named.end() ? GuestAddress{UINT64_MAX} : next->address};
}

SignaturePattern parse_signature(std::string_view text, const Entry& entry) {
  const std::size_t first = text.find(':');
  const std::size_t second = first == text.npos ? first : text.find(':', first + 1);
  if (second == text.npos) {
    throw InputError(fmt::format(
        "FRAMEFOLD_ONLY: {}: expected a signature, <entry>:<kind>:<symbol+offset>, or a bucket, without the offset",
        text));
  }
  if (text.substr(0, first) != entry.name()) {
    throw InputError(fmt::format("FRAMEFOLD_ONLY: {}: expected a signature of {}", text, entry.name()));
  }
  const std::string_view kind_name = text.substr(first + 1, second - first - 1);
  const std::optional<ViolationKind> kind = violation_kind_from_name(kind_name);
  if (!kind) {
    throw InputError(fmt::format("FRAMEFOLD_ONLY: {}: '{}' is not a kind of violation", text, kind_name));
  }
  const std::string_view place = text.substr(second + 1);
  const std::optional<GuestAddress> cause = parse_place(entry, place);
  if (!cause) {
    throw InputError(
        fmt::format("FRAMEFOLD_ONLY: {}: expected a symbol of {} instead of '{}'", text, entry.name(), place));
  }
  // Another way to write it is a slip, which would find nothing: "scrit+84", or what another symbol is nearer to.
  if (const std::string written = format_location(entry, *cause); place != written && place != written + "+0x0") {
    throw InputError(fmt::format("FRAMEFOLD_ONLY: {}: expected the place as signatures have it, '{}', instead of '{}'",
                                 text, written, place));
  }
  const bool bucket = place.find('+') == place.npos && locate(entry, *cause).has_value();
  return {*kind, bucket ? named_from(entry, *cause) : GuestRange{*cause, *cause + 1}};
}

}  // namespace

SignaturePattern bucket_pattern(const Entry& entry, const Finding& finding) {
  const std::optional<Location> location = locate(entry, finding.cause);
  const GuestAddress first{location ? finding.cause.value - location->offset : 0};
  return {finding.kind, named_from(entry, first)};
}

FuzzSettings parse_settings(const char* known, const char* only, const Entry& entry) {
  FuzzSettings settings;
  const std::string_view known_text = known == nullptr ? "" : known;
  if (!known_text.empty() && known_text != "skip" && known_text != "report") {
    throw InputError(fmt::format("FRAMEFOLD_KNOWN: {}: expected skip or report", known_text));
  }
  settings.report_known = known_text == "report";
  if (only != nullptr) {
    settings.only = parse_signature(only, entry);
  }
  return settings;
}

const Finding* finding_to_report(const Verdict& verdict, const FuzzSettings& settings) {
  if (!settings.only) {
    return verdict.violation(settings.report_known);
  }
  const std::span<const Finding> findings = verdict.view();
  const auto wanted = std::find_if(findings.begin(), findings.end(),
                                   [&](const Finding& finding) { return settings.only->matches(finding); });
  return wanted == findings.end() ? nullptr : &*wanted;
}

}  // namespace framefold
