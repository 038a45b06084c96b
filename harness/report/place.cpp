#include "report/place.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "scenario/context_places.hpp"

namespace framefold {

namespace {

constexpr std::array<std::string_view, kStackCount> kStackNames = {"thread", "interrupt", "kernel", "user"};

std::string with_offset(std::string_view name, std::uint64_t offset) {
  return offset == 0 ? std::string(name) : fmt::format("{}+{:#x}", name, offset);
}

struct OwnPage {
  GuestAddress begin;
  std::string_view name;
  std::uint64_t size = layout::kPage;
};
constexpr std::array<OwnPage, 8> kOwnPages = {{
    {resume_page(Width::k32, GuestMode::kernel), "resume_page"},
    {resume_page(Width::k64, GuestMode::kernel), "resume_page"},
    {resume_page(Width::k64, GuestMode::user), "resume_page"},
    {twins(GuestMode::kernel), "twins", kTwinsSize},
    {twins(GuestMode::user), "twins", kTwinsSize},
    {kLowPage, "low_page"},
    {layout::kSharedInfo, "shared_info"},
    {layout::kHandlerPage, "handler_page"},
}};

std::optional<std::string> own_page(GuestAddress address) {
  for (const OwnPage& page : kOwnPages) {
    if (address - page.begin < page.size) {
      return with_offset(page.name, address - page.begin);
    }
  }
  return std::nullopt;
}

/// The disassembler knows no symbols: it names a branch's target by its address.
std::string with_target(const Guest& guest, const Instruction& instruction) {
  const std::optional<GuestAddress>& target = instruction.target;
  if (!target || !locate(guest.entry(), *target)) {
    return instruction.text;
  }
  const std::string address = fmt::format("{:#x}", target->value);
  std::string text = instruction.text;
  if (text.ends_with(address)) {
    text.replace(text.size() - address.size(), address.size(), format_location(guest.entry(), *target));
  }
  return text;
}

}  // namespace

std::optional<std::string> stack_text(const Guest& guest, GuestAddress address) {
  std::optional<StackId> id = guest.stack_of(address);
  if (!id) {
    id = guest.stack_of(address - 1);
  }
  if (!id) {
    return std::nullopt;
  }
  return with_offset(kStackNames[static_cast<std::size_t>(*id)], address - guest.stack_range(*id).begin);
}

std::optional<std::string> known_place(const Guest& guest, GuestAddress address) {
  if (std::optional<std::string> page = own_page(address)) {
    return page;
  }
  if (std::optional<std::string> stack = stack_text(guest, address)) {
    return stack;
  }
  if (locate(guest.entry(), address)) {
    return format_location(guest.entry(), address);
  }
  return std::nullopt;
}

std::string place_text(const Guest& guest, GuestAddress address) {
  return known_place(guest, address).value_or(fmt::format("{:#x}", address.value));
}

std::string instruction_text(const Guest& guest, GuestAddress address) {
  const Entry& entry = guest.entry();
  const auto calls = [address](const Vector& vector) { return vector.handler == address; };
  if (std::any_of(entry.vectors.begin(), entry.vectors.end(), calls)) {
    return "(the modelled handler)";
  }
  if (entry.text.contains(address)) {
    const Instruction* instruction = find_instruction(entry, address);
    return instruction == nullptr ? std::string() : with_target(guest, *instruction);
  }
  for (const Instruction& instruction : guest.stub()) {
    if (instruction.address == address) {
      return instruction.text;
    }
  }
  return {};
}

}  // namespace framefold
