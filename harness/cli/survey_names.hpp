// What names alone say of an object, once what runs is known: the work flag, and labels to give places by.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cli/first_description.hpp"
#include "survey/object_image.hpp"

namespace framefold {

/// Data that is named like it and that an instruction reads.
std::optional<Guess> work_flag_by_name(const ObjectImage& image, std::span<const Instruction> code);

/// Labels between the first and the last instruction that was executed, and a little behind; without `traps`, which
/// nobody defines, and `others`.
std::vector<std::string> labels_near(const ObjectImage& image, const std::set<std::uint64_t>& executed,
                                     const std::set<std::uint64_t>& traps, std::set<std::string> others);

}  // namespace framefold
