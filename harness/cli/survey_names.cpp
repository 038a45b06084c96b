#include "cli/survey_names.hpp"

#include <fmt/format.h>

#include "survey/code_clues.hpp"
#include "survey/symbol_names.hpp"

namespace framefold {

std::optional<Guess> work_flag_by_name(const ObjectImage& image, std::span<const Instruction> code) {
  for (const Symbol& symbol : image.elf().symbols) {
    const bool fits =
        image.is_data(symbol.address) && image.is_usable(symbol) && likeness(Role::work_flag, symbol.name) > 0;
    if (!fits) continue;
    if (const std::optional<GuestAddress> reader = reader_of(code, symbol.address)) {
      return Guess{symbol.name, fmt::format("guessed: its name, and {} reads it; check that it asks for work",
                                            image.place(*reader))};
    }
  }
  return std::nullopt;
}

std::vector<std::string> labels_near(const ObjectImage& image, const std::set<std::uint64_t>& executed,
                                     const std::set<std::uint64_t>& traps, std::set<std::string> others) {
  constexpr std::size_t kMost = 64;
  constexpr std::uint64_t kBehind = 1024;  // bytes
  std::vector<std::string> labels;
  if (executed.empty()) return labels;
  for (const Symbol& symbol : image.elf().symbols) {
    const std::uint64_t at = symbol.address.value;
    const bool near = at >= *executed.begin() && at <= *executed.rbegin() + kBehind;
    if (near && traps.count(at) == 0 && image.is_code(symbol.address) && image.is_usable(symbol) &&
        labels.size() < kMost && others.insert(symbol.name).second) {
      labels.push_back(symbol.name);
    }
  }
  return labels;
}

}  // namespace framefold
