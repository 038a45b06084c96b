#include "check/claims.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "check/undefined_functions.hpp"
#include "check/unsaid_values.hpp"
#include "run/oracle.hpp"

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

Claim claim_of(const std::string& key, std::string value, const Description& description) {
  const auto said = description.positions.find(key);
  std::string place = said == description.positions.end() ? fmt::format("{} does not say it", description.file)
                                                          : fmt::format("{}:{}", description.file, said->second.line);
  return {key, std::move(value), std::move(place)};
}

/// TI_GET_IF of the trap table, which no code shows.
Claim mask_claim(const VectorDescription& vector, const Description& description) {
  return claim_of(vector.key + ".masks_events", flag(vector.masks_events), description);
}

/// That code is not meant to get there.
Claim never_claim(std::size_t row, const Description& description) {
  return claim_of(fmt::format("calls[{}].never", row), "true", description);
}

bool is_exception(const Vector& vector) { return vector.description.kind == DeliveryKind::exception; }

bool takes_part(const Scenario& scenario, std::size_t vector) {
  const auto end = scenario.arrivals.begin() + scenario.arrival_count;
  return scenario.context.vector == vector || std::any_of(scenario.arrivals.begin(), end, [=](const Arrival& arrival) {
           return arrival.kind == ArrivalKind::exception && arrival.vector == vector;
         });
}

bool shows(const Entry& entry, const Scenario& scenario, ViolationKind kind, GuestAddress cause) {
  Oracle oracle(entry);
  const std::span<const Finding> findings = oracle.judge(scenario).view();
  return std::any_of(findings.begin(), findings.end(),
                     [=](const Finding& finding) { return finding.kind == kind && finding.cause == cause; });
}

}  // namespace

std::string to_text(const Claim& claim) { return fmt::format("{} = {} ({})", claim.key, claim.value, claim.place); }

std::optional<Claim> claim_behind(ViolationKind kind, const Entry& entry) {
  for (const Row& row : kRows) {
    if (row.kind != kind) continue;
    if (std::optional<std::string> value = row.value(entry))
      return claim_of(row.key, *std::move(value), entry.description);
  }
  return std::nullopt;
}

std::string rests_on(ViolationKind kind, GuestAddress cause, const Entry& entry, const Scenario& scenario) {
  std::vector<std::string> texts;
  if (const std::optional<Claim> claim = claim_behind(kind, entry)) texts.push_back(to_text(*claim));
  for (std::size_t i = 0; i < entry.vectors.size(); ++i) {
    if (!is_exception(entry.vectors[i]) || !takes_part(scenario, i)) continue;
    Entry other = entry;
    VectorDescription& vector = other.vectors[i].description;
    vector.masks_events = !vector.masks_events;
    if (!shows(other, scenario, kind, cause)) {
      texts.push_back(to_text(mask_claim(entry.vectors[i].description, entry.description)));
    }
  }
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    if (kind != ViolationKind::guest_fault || !entry.calls[i].description.never) continue;
    Entry other = entry;
    other.calls[i].description.never = false;
    if (!shows(other, scenario, kind, cause)) texts.push_back(to_text(never_claim(i, entry.description)));
  }
  if (kind == ViolationKind::guest_fault) {
    if (std::optional<std::string> undefined = undefined_function_behind(entry, scenario))
      texts.push_back(*std::move(undefined));
  }
  if (std::optional<std::string> unsaid = unsaid_value_behind(entry, scenario, kind))
    texts.push_back(*std::move(unsaid));
  return fmt::format("{}", fmt::join(texts, ", "));
}

namespace {

/// What functions do, and which data may change for good.
void add_values(const Entry& entry, std::vector<Claim>& claims) {
  const Description& description = entry.description;
  const auto add_returns = [&](const std::string& row, std::optional<std::int64_t> value) {
    if (value) claims.push_back(claim_of(row + ".returns", fmt::format("{}", *value), description));
  };
  add_returns("handler", description.handler.returns);
  for (const Vector& vector : entry.vectors) {
    add_returns(vector.description.key, vector.description.returns);
  }
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    const CallDescription& call = entry.calls[i].description;
    const std::string row = fmt::format("calls[{}]", i);
    if (call.has_value) add_returns(row, call.returns);
    if (!call.clobbers) claims.push_back(claim_of(row + ".clobbers", "false", description));
    if (!call.sets.empty()) claims.push_back(claim_of(row + ".sets", fmt::format("\"{}\"", call.sets), description));
    if (call.takes_event) claims.push_back(claim_of(row + ".takes_event", "true", description));
  }
  if (!description.counters.empty()) {
    std::vector<std::string> names;
    for (const CounterDescription& counter : description.counters) names.push_back(counter.symbol);
    claims.push_back(claim_of("entry_data.counters", fmt::format("[{}]", fmt::join(names, ", ")), description));
  }
}

}  // namespace

std::vector<Claim> claims_of(const Entry& entry) {
  std::vector<Claim> claims;
  for (const Row& row : kRows) {
    if (std::optional<std::string> value = row.value(entry))
      claims.push_back(claim_of(row.key, *std::move(value), entry.description));
  }
  for (const Vector& vector : entry.vectors) {
    if (is_exception(vector)) claims.push_back(mask_claim(vector.description, entry.description));
  }
  const HandlerDescription& handler = entry.description.handler;
  const bool has_code = std::any_of(entry.vectors.begin(), entry.vectors.end(),
                                    [](const Vector& vector) { return vector.description.error_code; });
  if (has_code && handler.argument && !handler.error_code_argument)
    claims.push_back(claim_of("handler.error_code_argument", "\"none\"", entry.description));
  for (std::size_t i = 0; i < entry.calls.size(); ++i) {
    if (entry.calls[i].description.never) claims.push_back(never_claim(i, entry.description));
  }
  add_values(entry, claims);
  return claims;
}

std::vector<std::string> scope_of(const Entry& entry) {
  const Description& description = entry.description;
  const bool user = description.user_mode;
  const Claim modes = claim_of("modes", user ? "[\"kernel\", \"user\"]" : "[\"kernel\"]", description);
  std::vector<std::string> names;
  bool nmi = false;
  for (const Vector& vector : entry.vectors) {
    names.push_back(vector.description.name);
    nmi = nmi || vector.description.kind == DeliveryKind::nmi;
  }
  const Claim vectors = claim_of("vectors", fmt::format("{}", fmt::join(names, ", ")), description);
  return {fmt::format("{}{}", to_text(modes), user ? "" : ": what interrupts user mode is not judged"),
          fmt::format("{}: no other exception is judged{}", to_text(vectors), nmi ? "" : ", and no NMI")};
}

}  // namespace framefold
