#include "cli/survey_stacks.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace framefold {

namespace {

constexpr std::uint64_t kLeastStack = 0x4000;
constexpr std::uint64_t kMostStack = 1 << 20;
constexpr const char* kOwnStack = "not in the object: framefold makes it; any name does";
constexpr const char* kBySymbol = "guessed from its name; size: up to the next symbol";

std::uint64_t stack_size(std::uint64_t room) { return std::min(room, kMostStack) & ~std::uint64_t{15}; }

std::vector<FirstStack> stacks_by_name(const ObjectImage& image, Role role, const std::string& taken) {
  std::vector<std::pair<int, FirstStack>> found;
  for (const Symbol& symbol : image.elf().symbols) {
    const std::uint64_t room = image.room_at(symbol);
    const int score = likeness(role, symbol.name);
    const bool fits = room >= kLeastStack && image.is_data(symbol.address) && image.is_usable(symbol);
    if (score > 0 && fits && symbol.name != taken)
      found.push_back({score, {{symbol.name, kBySymbol}, stack_size(room)}});
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<FirstStack> stacks;
  for (auto& [score, stack] : found) stacks.push_back(std::move(stack));
  return stacks;
}

FirstStack interrupt_stack(const ObjectImage& image, GuestAddress stack) {
  FirstStack interrupt;
  if (kProbeInterruptRange.contains(stack)) {  // by a pointer that start-up code sets
    if (image.relocatable()) return {{"interrupt_stack", kOwnStack}, kLeastStack};
    interrupt.symbol.comment =
        "a stack that the pointer may lead to: its lowest address, and its size (16 KiB at least)";
    return interrupt;
  }
  interrupt.symbol.comment = fmt::format("the stack around {:#x}, where the handler runs", stack.value);
  for (const Symbol& symbol : image.elf().symbols) {
    const std::uint64_t room = image.room_at(symbol);
    const bool around = symbol.address <= stack && stack - symbol.address < room;
    if (around && room >= kLeastStack && image.is_usable(symbol)) {
      interrupt.symbol = {symbol.name, "measured: the event handler runs on it; size: up to the next symbol"};
      interrupt.size = stack_size(room);
    }
  }
  return interrupt;
}

/// The count is what changes on the way to the handler. Where the GS base points at it as well, its other name says
/// more.
void find_nesting(const ObjectImage& image, const ProbeCall& call, const std::string& per_cpu,
                  FirstDescription& first) {
  if (call.changes.empty()) return;  // it is told by the stack pointer
  first.nesting = Guess{"", "the 32-bit word that says on which stack the guest is, and its value on each"};
  for (const std::string& except : {per_cpu, std::string()}) {
    for (const ProbeCall::Change& change : call.changes) {
      const std::string name = image.name_at(change.address, std::nullopt, except);
      if (name.empty()) continue;
      first.nesting = Guess{name, "measured: what changes on the way to the handler"};
      first.on_thread = static_cast<std::int32_t>(change.before);
      first.on_interrupt = static_cast<std::int32_t>(change.after);
      return;
    }
  }
}

}  // namespace

void survey_stacks(const ObjectImage& image, const ProbeCall* call, const std::string& per_cpu, Survey& survey) {
  FirstDescription& first = survey.first;
  if (call != nullptr && call->stack_switched) {
    first.interrupt = interrupt_stack(image, {call->registers[Gpr::rsp]});
    find_nesting(image, *call, per_cpu, first);
  }
  if (image.relocatable()) {
    first.thread.symbol = {"thread_stack", kOwnStack};
    survey.kernel_stacks.push_back({{"kernel_stack", kOwnStack}, kLeastStack});
    return;
  }
  const std::string taken = first.interrupt ? first.interrupt->symbol.value : std::string();
  const std::vector<FirstStack> threads = stacks_by_name(image, Role::thread_stack, taken);
  survey.kernel_stacks = stacks_by_name(image, Role::kernel_stack, taken);
  if (threads.empty()) {
    first.thread.symbol.comment = "a stack for kernel contexts: its lowest address, and its size (16 KiB at least)";
  } else {
    first.thread = threads.front();
  }
}

}  // namespace framefold
