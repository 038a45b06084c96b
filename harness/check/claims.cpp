#include "check/claims.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

namespace framefold {

namespace {

std::string flag(bool value) { return value ? "true" : "false"; }

/// A kind, the key that its findings rest on, and that key's value; none where the entry has nothing of the sort.
struct Row {
  ViolationKind kind;
  const char* key;
  std::optional<std::string> (*value)(const Entry& entry);
};

constexpr std::array kRows = {
    Row{ViolationKind::nmi_masked, "nmi.marks",
        [](const Entry& entry) -> std::optional<std::string> {
          const VectorDescription& last = entry.vectors.back().description;
          if (last.kind != DeliveryKind::nmi) return std::nullopt;
          return flag(last.marks);
        }},
    Row{ViolationKind::lost_event, "pending_values",
        [](const Entry& entry) -> std::optional<std::string> {
          return fmt::format("[{}]", fmt::join(entry.description.pending_values, ", "));
        }},
    Row{ViolationKind::critical_frame, "nests",
        [](const Entry& entry) -> std::optional<std::string> { return flag(entry.description.nests); }},
    Row{ViolationKind::handler_abi, "handler.stack_alignment",
        [](const Entry& entry) -> std::optional<std::string> {
          return fmt::format("{}", entry.description.handler.stack_alignment);
        }},
    Row{ViolationKind::work_missed, "work_flag.mask",
        [](const Entry& entry) -> std::optional<std::string> {
          if (!entry.description.work_flag) return std::nullopt;
          return fmt::format("{:#x}", entry.description.work_flag->mask);
        }},
};

Claim claim_of(const Row& row, std::string value, const Description& description) {
  const auto said = description.positions.find(std::string_view(row.key));
  std::string place = said == description.positions.end() ? fmt::format("{} does not say it", description.file)
                                                          : fmt::format("{}:{}", description.file, said->second.line);
  return {row.key, std::move(value), std::move(place)};
}

}  // namespace

std::string to_text(const Claim& claim) { return fmt::format("{} = {} ({})", claim.key, claim.value, claim.place); }

std::optional<Claim> claim_behind(ViolationKind kind, const Entry& entry) {
  for (const Row& row : kRows) {
    if (row.kind != kind) continue;
    if (std::optional<std::string> value = row.value(entry)) return claim_of(row, *std::move(value), entry.description);
  }
  return std::nullopt;
}

std::vector<Claim> claims_of(const Entry& entry) {
  std::vector<Claim> claims;
  for (const Row& row : kRows) {
    if (std::optional<std::string> value = row.value(entry))
      claims.push_back(claim_of(row, *std::move(value), entry.description));
  }
  return claims;
}

}  // namespace framefold
