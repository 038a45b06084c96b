#include "check/undefined_functions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "check/longest_run.hpp"
#include "image/link_objects.hpp"
#include "run/execution.hpp"

namespace framefold {
namespace {

/// What framefold has put where the objects define nothing: functions, and data if `zeroed`. They are linked again:
/// this is asked when a run has failed.
bool is_made(const Entry& entry, const std::string& name, bool zeroed) {
  const auto among = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  try {
    const ImageFile image = read_image_file(entry.description);
    return among(image.traps) || (zeroed && among(image.zeroed));
  } catch (const InputError&) {  // files that are gone meanwhile show nothing
    return false;
  }
}

}  // namespace

std::optional<std::string> undefined_function_at(const Entry& entry, GuestAddress at) {
  const Instruction* const instruction = find_instruction(entry, at);
  if (instruction == nullptr || !instruction->text.starts_with("ud2")) return std::nullopt;
  const auto found = std::find_if(entry.symbols.begin(), entry.symbols.end(), [&](const Symbol& symbol) {
    return symbol.address == at && symbol.global && is_made(entry, symbol.name, false);
  });
  return found == entry.symbols.end() ? std::nullopt : std::optional(found->name);
}

bool is_undefined(const Entry& entry, const Symbol& symbol) {
  return symbol.global && is_made(entry, symbol.name, true);
}

std::string definition_expected(const std::string& function) {
  return fmt::format("expected objects that define {} as well, or a row of `calls` that says what it does", function);
}

std::optional<std::string> undefined_function_behind(const Entry& entry, const Scenario& scenario) {
  Execution execution(entry);
  ExecutionOptions options;
  options.runaway_limit = kLongestRun;
  execution.set_options(options);
  Outcome outcome;
  execution.run_nested(scenario, scenario.arrival_count, outcome);
  for (const Violation& violation : outcome.violations.view()) {
    if (violation.kind != ViolationKind::guest_fault) continue;
    if (const std::optional<std::string> name = undefined_function_at(entry, violation.judged)) {
      const Vector& vector = entry.vectors[scenario.context.vector];
      const std::string text =
          fmt::format("{}: {}, {} mode, reaches it with {} arrivals", definition_expected(*name),
                      vector.description.name, name_of(scenario.context.mode), scenario.arrival_count);
      return description_error(entry.description, "image", text).what();
    }
  }
  return std::nullopt;
}

}  // namespace framefold
