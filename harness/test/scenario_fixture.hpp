// Entries made by hand for the tests of scenario/: each has or lacks what a scenario may use. No image stands behind
// them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "scenario/mutator.hpp"
#include "scenario/scenario.hpp"

namespace framefold::test {

inline Vector make_vector(std::string name, DeliveryKind kind, std::uint8_t number, bool error_code, bool marks) {
  Vector vector;
  vector.description.name = std::move(name);
  vector.description.kind = kind;
  vector.description.number = number;
  vector.description.error_code = error_code;
  vector.description.masks_events = kind != DeliveryKind::exception;
  vector.description.marks = marks;
  return vector;
}

inline Entry bare_entry(std::string name, Width width) {
  Entry entry;
  entry.description.name = std::move(name);
  entry.description.width = width;
  entry.text = {{{0x100000}, {0x101000}}, {}};
  entry.thread_stack.range = {{0x200000}, {0x204000}};
  entry.vectors.push_back(make_vector("event", DeliveryKind::event, 0, false, false));
  return entry;
}

inline void add_exceptions(Entry& entry) {
  entry.vectors.push_back(make_vector("divide_error", DeliveryKind::exception, 0, false, false));
  entry.vectors.push_back(make_vector("page_fault", DeliveryKind::exception, 14, true, false));
}

inline void add_user_mode(Entry& entry) {
  entry.description.user_mode = true;
  entry.kernel_stack = StackRange{{{0x220000}, {0x224000}}};
  entry.description.work_flag = WorkFlagDescription{"work", 1};
}

/// 64-bit kernel only, two stacks, NMIs that mark: as Mini-OS.
inline Entry kernel_entry() {
  Entry entry = bare_entry("kernel-64", Width::k64);
  add_exceptions(entry);
  entry.vectors.push_back(make_vector("nmi", DeliveryKind::nmi, 2, false, true));
  entry.interrupt_stack = StackRange{{{0x210000}, {0x214000}}};
  entry.region = {{0x100100}, {0x100131}};
  entry.critical = entry.region;
  return entry;
}

/// 32-bit with user mode, a work flag, several pending values, no NMI: as Linux on i386.
inline Entry user32_entry() {
  Entry entry = bare_entry("user-32", Width::k32);
  add_exceptions(entry);
  add_user_mode(entry);
  entry.description.pending_values = {1, 2, 0x80, 0xff};
  entry.region = {{0x100200}, {0x100210}};
  entry.critical = entry.region;
  return entry;
}

/// 64-bit with user mode and no region, an NMI that does not mark, an interrupt stack: as Linux on x86-64.
inline Entry user64_entry() {
  Entry entry = bare_entry("user-64", Width::k64);
  add_exceptions(entry);
  add_user_mode(entry);
  entry.vectors.push_back(make_vector("nmi", DeliveryKind::nmi, 2, false, false));
  entry.interrupt_stack = StackRange{{{0x210000}, {0x214000}}};
  return entry;
}

/// 32-bit, kernel only, nothing but the event callback.
inline Entry least_entry() { return bare_entry("least-32", Width::k32); }

inline const std::array<Entry, 4>& all_entries() {
  static const std::array<Entry, 4> entries = {kernel_entry(), user32_entry(), user64_entry(), least_entry()};
  return entries;
}

/// Any values at all: mostly not canonical.
inline Scenario any_scenario(Random& random) {
  const auto byte = [&] { return static_cast<std::uint8_t>(random.next()); };
  const auto flag = [&] { return random.one_in(2); };
  Scenario s;
  Context& c = s.context;
  c.vector = byte();
  c.error_code = static_cast<std::uint32_t>(random.next());
  c.mode = static_cast<GuestMode>(random.below(2));
  c.stack = static_cast<ContextStack>(random.below(2));
  c.place = static_cast<ContextPlace>(random.below(2));
  c.place_offset = static_cast<std::uint16_t>(random.next());
  c.stack_offset = byte();
  c.mask = flag() ? byte() : 0;
  c.pending = flag() ? byte() : 0;
  c.port = byte();
  c.masked_port = byte();
  c.has_masked_port = flag();
  c.nmi_masked = flag();
  c.null_data_segments = flag();
  for (std::uint64_t& value : c.gpr) value = random.next();
  c.rflags = random.next();
  for (EventAction& action : s.event_actions) action = {flag(), flag(), flag()};
  s.frame_write = {flag(), flag(), random.next(), byte()};
  s.arrival_count = flag() ? static_cast<std::uint8_t>(random.below(5)) : byte();
  for (Arrival& a : s.arrivals) {
    a.kind = static_cast<ArrivalKind>(random.below(kArrivalKindCount));
    a.distance = static_cast<std::uint16_t>(flag() ? random.below(200) : random.next());
    a.port = byte();
    a.pending_value = byte();
    a.vector = byte();
    a.spurious = flag();
    a.error_code = static_cast<std::uint32_t>(random.next());
  }
  return s;
}

/// Any canonical scenario.
inline Scenario any_canonical(Random& random, const Entry& entry) {
  Scenario s = any_scenario(random);
  canonicalise(s, entry);
  return s;
}

/// What the empty input means: an event on the thread stack with all registers tagged.
inline Scenario plain_scenario(const Entry& entry) {
  Scenario s;
  for (std::size_t i = 0; i < kGprCount; ++i) s.context.gpr[i] = register_tag(static_cast<Gpr>(i), entry.width());
  canonicalise(s, entry);
  return s;
}

}  // namespace framefold::test
