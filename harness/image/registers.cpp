#include "image/registers.hpp"

namespace framefold {
namespace {

constexpr std::array<std::string_view, kGprCount> kNames64 = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                              "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr std::array<std::string_view, 8> kNames32 = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
constexpr std::array<std::string_view, kSegmentCount> kSegmentNames = {"es", "cs", "ss", "ds", "fs", "gs"};

}  // namespace

std::string_view name_of(Gpr gpr, Width width) {
  const auto index = static_cast<std::size_t>(gpr);
  if (width == Width::k64) return kNames64.at(index);
  return kNames32.at(index);
}

std::string_view name_of(Segment segment) { return kSegmentNames.at(static_cast<std::size_t>(segment)); }

std::optional<Gpr> gpr_from_name(std::string_view name, Width width) {
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    if (name_of(gpr, width) == name) return gpr;
  }
  return std::nullopt;
}

}  // namespace framefold
