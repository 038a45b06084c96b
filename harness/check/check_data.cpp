#include "check/check_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "check/access_watch.hpp"
#include "check/check_calls.hpp"
#include "image/description_rules.hpp"

namespace framefold {

namespace {

/// Those before this vCPU's are other vCPUs'.
void check_index(const Entry& entry, const AccessWatch& watch) {
  const VcpuInfoDescription& info = entry.description.vcpu_info;
  const GuestAddress own = !info.symbol.empty() ? entry.vcpu_info : layout::kSharedInfo + info.offset();
  for (std::uint32_t i = 0; i < info.index; ++i) {
    const GuestAddress other = own - (info.index - i) * std::uint64_t{info.stride};
    if (watch.touches({other, other + kVcpuInfoSize})) {
      throw description_error(entry.description, "vcpu_info.index",
                              fmt::format("expected {}: the code uses that vcpu_info", i));
    }
  }
}

/// The bits of the work flag without which a user context is returned to in another way.
std::uint32_t bits_looked_at(const Entry& entry, const Scenario& user) {
  constexpr unsigned kBits = 32;
  Entry copy = entry;  // an execution takes the mask from it whenever a handler sets the flag
  AccessWatch watch(copy);
  watch.run(user);
  const std::vector<GuestAddress> without = watch.path();
  Scenario asked = user;
  asked.event_actions[0].set_work_flag = true;
  std::uint32_t bits = 0;
  for (unsigned i = 0; i < kBits; ++i) {
    copy.description.work_flag->mask = std::uint32_t{1} << i;
    watch.run(asked);
    if (watch.path() != without) bits |= std::uint32_t{1} << i;
  }
  return bits;
}

/// Code that calls a function which clears the flag may leave it to that function to look.
void check_work_flag(const Entry& entry, const Scenario& user, const AccessWatch& watch) {
  if (!entry.work_flag) return;
  const bool left_to_function = is_stored_by_call(entry, *entry.work_flag);
  const WorkFlagDescription& flag = *entry.description.work_flag;
  if (!watch.touches({*entry.work_flag, *entry.work_flag + sizeof(std::uint32_t)})) {
    if (left_to_function) return;
    throw description_error(
        entry.description, "work_flag.symbol",
        fmt::format("expected a word that the code looks at on the way to user mode: {} is none", flag.symbol));
  }
  const std::uint32_t bits = bits_looked_at(entry, user);
  if (bits == 0) {
    if (left_to_function) return;
    throw description_error(
        entry.description, "work_flag.symbol",
        fmt::format("expected a word in which a handler's bit changes the way to user mode: in {} none does",
                    flag.symbol));
  }
  if ((flag.mask & ~bits) != 0) {
    throw description_error(entry.description, "work_flag.mask",
                            fmt::format("expected bits that the code looks at on the way to user mode, {:#x}", bits));
  }
}

/// What code may change of a vcpu_info: its event bytes, and, in one piece, the words that were pending.
bool is_for_code(const DataAccess& access, GuestAddress info) {
  constexpr std::uint64_t kPendingSelector = 8;  // 4 on 32-bit, where it is a word of 4 bytes
  constexpr std::uint64_t kEventBytes = 2;
  const std::uint64_t size = access.range.end - access.range.begin;
  const std::uint64_t offset = access.range.begin - info;
  return offset + size <= kEventBytes || (offset == size && (size == kPendingSelector || size == kPendingSelector / 2));
}

/// What is described otherwise there.
std::optional<std::string> described_at(const Entry& entry, const DataAccess& access) {
  const Description& description = entry.description;
  const std::uint64_t word = word_size(entry.width());
  const auto is_in = [&](const GuestRange& range) { return overlaps(access.range, range); };
  const auto in_stack = [&](const std::optional<StackRange>& stack) { return stack && is_in(stack->range); };
  const auto line = [&](const char* key) { return key_and_line(description, key); };
  if (in_stack(entry.thread_stack)) return line("stacks.thread");
  if (in_stack(entry.interrupt_stack)) return line("stacks.interrupt");
  if (in_stack(entry.kernel_stack)) return line("stacks.kernel");
  if (entry.interrupt_pointer && is_in({*entry.interrupt_pointer, *entry.interrupt_pointer + word}))
    return line("stacks.interrupt.pointer");
  if (is_in({layout::kSharedInfo + kVcpuInfoSize * kMostVcpus, layout::kSharedInfo + layout::kPage}))
    return "the shared info";
  if (!description.vcpu_info.pointer.empty() && is_in({entry.vcpu_info, entry.vcpu_info + word}))
    return line("vcpu_info.pointer");
  const GuestAddress info =
      description.vcpu_info.symbol.empty() ? layout::kSharedInfo + description.vcpu_info.offset() : entry.vcpu_info;
  if (is_in({info, info + kVcpuInfoSize}) && !is_for_code(access, info)) return line("vcpu_info");
  return std::nullopt;
}

struct Base {
  std::string key;
  GuestAddress address;
};
/// Through which an instruction reaches its data. Of several segments in the GDT nobody knows which was loaded.
std::optional<Base> base_of(const Entry& entry, Segment segment) {
  if (segment == Segment::gs && entry.gs_base != GuestAddress{}) return Base{"gs_base", entry.gs_base};
  if (segment == Segment::fs && entry.fs_base != GuestAddress{}) return Base{"fs_base", entry.fs_base};
  const bool is_own = segment == Segment::gs || segment == Segment::fs;
  if (is_own && entry.segment_bases.size() == 1) return Base{"segments[0].base", entry.segment_bases.front()};
  return std::nullopt;
}

/// Per-CPU data may begin with any of what is described. What code changes through a base, though, is its own.
void check_bases(const Entry& entry, const AccessWatch& watch) {
  for (const DataAccess& access : watch.accesses()) {
    if (!access.segment || !access.write) continue;
    const std::optional<Base> base = base_of(entry, *access.segment);
    const std::optional<std::string> there = base ? described_at(entry, access) : std::nullopt;
    if (!there) continue;
    throw description_error(entry.description, base->key,
                            fmt::format("expected the per-CPU data of the entry: {:#x} behind it lies what the code "
                                        "changes at {}, and that is of {}",
                                        access.range.begin - base->address, format_location(entry, access.at), *there));
  }
}

/// Whether an instruction that may never run reads or writes there, by its address alone.
bool is_named(const Entry& entry, const GuestRange& range) {
  return std::any_of(entry.instructions.begin(), entry.instructions.end(), [&](const Instruction& instruction) {
    const std::span<const MemoryOperand> accesses = instruction.accesses();
    return std::any_of(accesses.begin(), accesses.end(), [&](const MemoryOperand& operand) {
      return range.contains(effective_address(operand, Registers{}, instruction.next()));
    });
  });
}

}  // namespace

void check_counters(const Entry& entry, std::span<const PlainRun> plain) {
  if (entry.counters.empty()) return;
  AccessWatch watch(entry);
  std::vector<bool> used(entry.counters.size());
  const auto all_used = [&] { return std::all_of(used.begin(), used.end(), [](bool each) { return each; }); };
  const auto look = [&](const Scenario& scenario) {
    if (all_used()) return;
    watch.run(scenario);
    for (std::size_t i = 0; i < used.size(); ++i) used[i] = used[i] || watch.touches(entry.counters[i]);
  };
  for (const PlainRun& run : plain) look(run.scenario);
  for (const PlainRun& run : plain) visit_events(run, entry, look);
  for (std::size_t i = 0; i < used.size(); ++i) {
    const CounterDescription& counter = entry.description.counters[i];
    if (used[i] || is_named(entry, entry.counters[i])) continue;
    throw description_error(entry.description, fmt::format("entry_data.counters[{}].symbol", i),
                            fmt::format("expected data that the code changes: nothing that runs uses {}, with an event "
                                        "anywhere, and no other instruction names it",
                                        counter.symbol));
  }
}

void check_data(const Entry& entry, std::span<const Scenario> plain) {
  AccessWatch watch(entry);
  for (const Scenario& scenario : plain) {
    watch.run(scenario);
    check_bases(entry, watch);
    if (entry.description.vcpu_info.index != 0) check_index(entry, watch);
    if (scenario.context.mode != GuestMode::user) continue;
    check_work_done(entry, scenario);
    check_work_flag(entry, scenario, watch);
  }
}

}  // namespace framefold
