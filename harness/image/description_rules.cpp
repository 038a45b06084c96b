#include "image/description_rules.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

namespace framefold {
namespace {

bool says(const Description& description, const std::string& key) { return description.positions.count(key) != 0; }

// SDM Vol. 3, table 6-1, and AMD's APM Vol. 2, 8.2 (29 #VC, 30 #SX): the vectors that push an error code.
bool pushes_error_code(unsigned vector) {
  return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30;
}

void check_event(const Description& d, const VectorDescription& vector) {
  for (const char* key : {".number", ".handler", ".error_code"}) {
    if (says(d, vector.key + key)) {
      throw description_error(d, vector.key + key, "expected only on exceptions: this vector is the event callback");
    }
  }
  if (!vector.masks_events) {
    throw description_error(d, vector.key + ".masks_events",
                            "expected true or nothing: Xen masks events at every upcall");
  }
}

/// Either line may be the wrong one.
[[noreturn]] void fail_with_error_code(const Description& d, const VectorDescription& vector) {
  const bool pushes = !vector.error_code;
  const std::string does = fmt::format("vector {} pushes {} error code", vector.number, pushes ? "an" : "no");
  if (!says(d, vector.key + ".error_code")) {
    throw description_error(d, vector.key + ".number",
                            fmt::format("expected a vector that pushes no error code, or error_code = true: {}", does));
  }
  throw description_error(
      d, vector.key + ".error_code",
      fmt::format("expected {}, or another number in {}: {}", pushes, key_and_line(d, vector.key + ".number"), does));
}

void check_exception(const Description& d, const VectorDescription& vector) {
  for (const char* key : {".number", ".handler"}) {
    if (!says(d, vector.key + key))
      throw description_error(d, vector.key + key, "missing: expected on every exception");
  }
  if (vector.number == 2) {
    throw description_error(d, vector.key + ".number",
                            "expected an exception: vector 2 is the NMI, which has a table of its own");
  }
  if (vector.error_code != pushes_error_code(vector.number)) fail_with_error_code(d, vector);
}

void check_vectors(const Description& d) {
  std::set<std::string> names = {"nmi"};
  std::set<unsigned> numbers;
  unsigned events = 0;
  for (const VectorDescription& vector : d.vectors) {
    if (vector.kind == DeliveryKind::nmi) continue;
    if (!names.insert(vector.name).second) {
      throw description_error(d, vector.key + ".name",
                              fmt::format("expected a name of its own: \"{}\" is taken", vector.name));
    }
    if (vector.kind == DeliveryKind::event) {
      check_event(d, vector);
      if (++events > 1)
        throw description_error(d, vector.key + ".kind", "expected \"exception\": there is one event callback");
      continue;
    }
    check_exception(d, vector);
    if (!numbers.insert(vector.number).second) {
      throw description_error(d, vector.key + ".number",
                              fmt::format("expected a number of its own: {} is taken", vector.number));
    }
  }
  if (events == 0) throw description_error(d, "vectors", "expected one of kind \"event\"");
}

void check_stacks(const Description& d) {
  const StacksDescription& stacks = d.stacks;
  const auto check_size = [&](const char* key, std::uint64_t size) {
    if (size % 16 != 0) throw description_error(d, key, fmt::format("expected a multiple of 16, found {}", size));
  };
  check_size("stacks.thread.size", stacks.thread.size);
  if (stacks.interrupt) check_size("stacks.interrupt.size", stacks.interrupt->size);
  if (stacks.kernel) check_size("stacks.kernel.size", stacks.kernel->size);
  if (d.user_mode && !stacks.kernel) {
    throw description_error(d, "stacks.kernel",
                            fmt::format("missing: expected where {} lists \"user\"", key_and_line(d, "modes")));
  }
  if (!d.user_mode && stacks.kernel) {
    throw description_error(d, "modes",
                            fmt::format("expected \"user\" among them, or no {}", key_and_line(d, "stacks.kernel")));
  }
  if (!stacks.interrupt && !stacks.nesting_count.empty()) {
    throw description_error(d, "stacks.nesting", "expected only with stacks.interrupt");
  }
}

void check_handler(const Description& d) {
  constexpr std::uint32_t kWord64 = 8;  // what every push moves RSP by
  if (d.width == Width::k64 && d.handler.stack_alignment < kWord64) {
    throw description_error(d, "handler.stack_alignment", "expected 8 or more on 64-bit");
  }
}

void check_calls(const Description& d) {
  std::set<std::string> taken;
  for (const VectorDescription& vector : d.vectors) {
    taken.insert(vector.symbol);
    taken.insert(vector.handler);
  }
  for (std::size_t i = 0; i < d.calls.size(); ++i) {
    const std::string key = fmt::format("calls[{}]", i);
    if (!taken.insert(d.calls[i].symbol).second) {
      throw description_error(d, key + ".symbol",
                              fmt::format("expected a function that nothing else describes: {} is", d.calls[i].symbol));
    }
    if (says(d, key + ".to") && d.calls[i].sets.empty()) {
      throw description_error(d, key + ".to", "expected only with `sets`");
    }
    for (const char* other : {".returns", ".clobbers", ".sets", ".takes_event"}) {
      if (d.calls[i].never && says(d, key + other)) {
        throw description_error(d, key + other, "expected nothing of a function that is never reached");
      }
    }
  }
}

/// A function or the hypercall page, which framefold makes by their names. What is data is told by where it lies.
void check_counters(const Description& d) {
  constexpr std::uint64_t kPage = 4096;
  std::map<std::string, std::string> said;
  for (const VectorDescription& vector : d.vectors) {
    said.emplace(vector.handler, vector.kind == DeliveryKind::event ? "handler.symbol" : vector.key + ".handler");
  }
  for (std::size_t i = 0; i < d.calls.size(); ++i) said.emplace(d.calls[i].symbol, fmt::format("calls[{}].symbol", i));
  said.emplace(d.hypercall_page, "hypercall_page");
  for (std::size_t i = 0; i < d.counters.size(); ++i) {
    const std::optional<LocationText> place = split_location(d.counters[i].symbol);
    const auto row = said.find(place ? std::string(place->symbol) : "");
    if (row == said.end() || place->offset >= kPage) continue;
    throw description_error(
        d, fmt::format("entry_data.counters[{}].symbol", i),
        fmt::format("expected data of its own: {} is {}", row->first, key_and_line(d, row->second)));
  }
}

/// A size is said once.
void check_data(const Description& d) {
  std::map<std::string, std::string> said = {{d.hypercall_page, "hypercall_page"},
                                             {d.vcpu_info.pointer, "vcpu_info.pointer"},
                                             {d.vcpu_info.symbol, "vcpu_info.symbol"},
                                             {d.stacks.thread.symbol, "stacks.thread.symbol"},
                                             {d.stacks.interrupt_pointer, "stacks.interrupt.pointer"},
                                             {d.stacks.nesting_count, "stacks.nesting.symbol"}};
  if (d.stacks.interrupt) said.emplace(d.stacks.interrupt->symbol, "stacks.interrupt.symbol");
  if (d.stacks.kernel) said.emplace(d.stacks.kernel->symbol, "stacks.kernel.symbol");
  if (d.work_flag) said.emplace(d.work_flag->symbol, "work_flag.symbol");
  for (const CounterDescription& counter : d.counters) said.emplace(counter.symbol, "entry_data.counters");
  for (const VectorDescription& vector : d.vectors) said.emplace(vector.handler, vector.key);
  for (std::size_t i = 0; i < d.calls.size(); ++i) {
    said.emplace(d.calls[i].symbol, fmt::format("calls[{}].symbol", i));
    said.emplace(d.calls[i].sets, fmt::format("calls[{}].sets", i));
  }
  for (std::size_t i = 0; i < d.data.size(); ++i) {
    const std::string key = fmt::format("data[{}].symbol", i);
    const auto [row, is_new] = said.emplace(d.data[i].symbol, key);
    if (!is_new) {
      throw description_error(
          d, key, fmt::format("expected data that nothing else describes: {} is {}", d.data[i].symbol, row->second));
    }
  }
}

void check_vcpu_info(const Description& d) {
  if (!says(d, "vcpu_info")) return;
  if (d.vcpu_info.pointer.empty() == d.vcpu_info.symbol.empty()) {
    throw description_error(d, "vcpu_info", "expected exactly one of pointer and symbol");
  }
  constexpr std::uint64_t kSize = 64;                 // of a vcpu_info
  constexpr std::uint64_t kSharedVcpus = 32 * kSize;  // what the shared info page starts with
  if (!d.vcpu_info.pointer.empty() && d.vcpu_info.offset() + kSize > kSharedVcpus) {
    throw description_error(d, "vcpu_info.index",
                            fmt::format("expected one of those in the shared info page, {} bytes", kSharedVcpus));
  }
  if (d.vcpu_info.stride % kSize != 0) {
    throw description_error(d, "vcpu_info.stride", fmt::format("expected a multiple of {}", kSize));
  }
}

void check_segments(const Description& d) {
  for (std::size_t i = 0; i < d.segments.size(); ++i) {
    const std::string key = fmt::format("segments[{}].selector", i);
    if (d.width == Width::k64) {
      throw description_error(d, key, "expected on 32-bit only: a 64-bit guest has `fs_base` and `gs_base`");
    }
    if ((d.segments[i].selector & 4) != 0)
      throw description_error(d, key, "expected a selector of the GDT: bit 2 is 0");
    for (std::size_t other = 0; other < i; ++other) {
      if (d.segments[other].selector / 8 == d.segments[i].selector / 8) {
        throw description_error(d, key, "expected a descriptor of its own");
      }
    }
  }
}

// A register of the other width in `slots` is a slip, not a name of the writer's choice.
bool belongs_to_other_width(std::string_view name, Width width) {
  const Width other = width == Width::k64 ? Width::k32 : Width::k64;
  const std::string_view others[] = {width == Width::k64 ? "eip" : "rip", width == Width::k64 ? "eflags" : "rflags"};
  return gpr_from_name(name, other).has_value() ||
         std::find(std::begin(others), std::end(others), name) != std::end(others);
}

/// Where two slots share a place, one that no slot has may be meant for one of them.
std::string places_left(const Description& d) {
  std::vector<std::uint32_t> places;
  for (std::uint32_t at = 0; at < d.frame.size; at += word_size(d.width)) {
    const auto is_there = [=](const FrameSlot& slot) { return slot.offset == at; };
    if (std::none_of(d.frame.slots.begin(), d.frame.slots.end(), is_there)) places.push_back(at);
  }
  constexpr std::size_t kMost = 4;  // more say nothing
  return places.empty() || places.size() > kMost ? "" : fmt::format("; no slot is at {}", fmt::join(places, ", "));
}

/// One slot outside may be wrong itself; of several, the size is.
void check_size(const Description& d) {
  const auto is_outside = [&](const FrameSlot& slot) { return slot.offset + word_size(d.width) > d.frame.size; };
  const auto first = std::find_if(d.frame.slots.begin(), d.frame.slots.end(), is_outside);
  if (std::count_if(first, d.frame.slots.end(), is_outside) < 2) return;
  throw description_error(
      d, "frame.size",
      fmt::format("expected room for all slots, found {}: {} is at {}, and {} behind it", d.frame.size,
                  slot_and_line(d, first->name), first->offset, d.frame.slots.back().name));
}

void check_slots_of(const Description& d) {
  const unsigned word = word_size(d.width);
  std::map<std::uint32_t, std::string> taken;
  check_size(d);
  for (const FrameSlot& slot : d.frame.slots) {
    // The description's own word for the slot is what positions know.
    const std::string key = fmt::format("frame.slots.{}", written_slot_name(slot.name, d.width));
    if (slot.offset % word != 0) {
      throw description_error(d, key, fmt::format("expected a multiple of {}, found {}", word, slot.offset));
    }
    if (slot.offset + word > d.frame.size) {
      throw description_error(d, key,
                              fmt::format("expected a slot inside the {} bytes of {}, found {}", d.frame.size,
                                          key_and_line(d, "frame.size"), slot.offset));
    }
    const auto [row, is_new] = taken.emplace(slot.offset, slot.name);
    if (!is_new)
      throw description_error(d, key,
                              fmt::format("expected a slot of its own: {} is at {} as well{}",
                                          slot_and_line(d, row->second), slot.offset, places_left(d)));
  }
}

void check_frame(const Description& d) {
  if (d.frame.size % word_size(d.width) != 0) {
    throw description_error(d, "frame.size",
                            fmt::format("expected a multiple of {}, found {}", word_size(d.width), d.frame.size));
  }
  check_slots_of(d);
  for (const char* needed : {"rip", "cs", "rflags"}) {
    const bool there = std::any_of(d.frame.slots.begin(), d.frame.slots.end(),
                                   [&](const FrameSlot& slot) { return slot.name == needed; });
    if (!there) {
      const std::string written = written_slot_name(needed, d.width);
      throw description_error(d, "frame.slots", fmt::format("missing: expected {} among the slots", written));
    }
  }
}

}  // namespace

std::string written_slot_name(std::string_view name, Width width) {
  if (width == Width::k32) {
    if (name == "rip") return "eip";
    if (name == "rflags") return "eflags";
    if (name == "rsp") return "esp";
  }
  return std::string(name);
}

std::string slot_and_line(const Description& d, std::string_view name) {
  std::string written = written_slot_name(name, d.width);
  const auto position = d.positions.find("frame.slots." + written);
  if (position == d.positions.end()) return written;
  return fmt::format("{} ({}:{})", written, d.file, position->second.line);
}

void check_slot_name(const Description& description, const std::string& written) {
  if (belongs_to_other_width(written, description.width)) {
    throw description_error(
        description, "frame.slots." + written,
        fmt::format("expected registers of a {}-bit guest", description.width == Width::k64 ? 64 : 32));
  }
}

void check_rules(const Description& description) {
  check_vectors(description);
  check_stacks(description);
  check_handler(description);
  check_calls(description);
  check_counters(description);
  check_data(description);
  check_vcpu_info(description);
  check_segments(description);
  check_frame(description);
}

}  // namespace framefold
