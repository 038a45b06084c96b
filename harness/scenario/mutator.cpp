#include "scenario/mutator.hpp"

#include <algorithm>
#include <array>

#include "scenario/context_places.hpp"

namespace framefold {

namespace {

/// From the entry vector to resumption a run has 90 to 200 boundaries; distances are drawn from the greater part of
/// that.
constexpr std::uint64_t kUsualDistance = 160;
/// Two arrivals are the least that nesting shows with, and the fold of a fold comes with three or four.
constexpr std::uint64_t kFewestArrivals = 2;
constexpr std::uint64_t kMostArrivals = 4;
/// When arrivals come is what most bugs are about, and a context that is new costs a run of its own to its window, with
/// and without arrivals: so much more often arrivals change than contexts and handlers do.
constexpr std::uint64_t kContextOneIn = 7;
/// Of ticks, those that are spurious upcalls: most entries take them for events.
constexpr std::uint64_t kSpuriousOneIn = 3;
constexpr std::uint64_t kActionsMixedOneIn = 4;
constexpr unsigned kTries = 8;

std::uint8_t byte(Random& random) { return static_cast<std::uint8_t>(random.next()); }

/// 0 and 1 are what guests and Xen write; the rest are what they test for.
std::uint8_t interesting_byte(Random& random) {
  constexpr std::array<std::uint8_t, 8> kValues = {0, 1, 1, 2, 0x7f, 0x80, 0xfe, 0xff};
  return random.one_in(4) ? byte(random) : kValues[random.below(kValues.size())];
}

std::uint16_t random_distance(Random& random) {
  if (random.one_in(64)) return static_cast<std::uint16_t>(random.next());
  if (random.one_in(8)) return 0;
  return static_cast<std::uint16_t>(random.below(random.one_in(4) ? 9 : kUsualDistance + 1));
}

Arrival random_arrival(const Entry& entry, Random& random) {
  Arrival arrival;
  // Half of them events: those are what folds are about.
  arrival.kind = random.one_in(2) ? ArrivalKind::event : static_cast<ArrivalKind>(random.below(kArrivalKindCount));
  arrival.distance = random_distance(random);
  arrival.port = static_cast<std::uint8_t>(random.below(kPortCount));
  arrival.pending_value = byte(random);
  arrival.vector = static_cast<std::uint8_t>(random.below(entry.vectors.size()));
  arrival.error_code = static_cast<std::uint32_t>(random.below(0x10000));
  arrival.spurious = arrival.kind == ArrivalKind::tick && random.one_in(kSpuriousOneIn);
  return arrival;
}

void insert(Scenario& s, std::size_t at, const Arrival& arrival) {
  if (s.arrival_count == kMaxArrivals) return;
  const auto place = s.arrivals.begin() + static_cast<std::ptrdiff_t>(at);
  std::copy_backward(place, s.arrivals.begin() + s.arrival_count, s.arrivals.begin() + s.arrival_count + 1);
  *place = arrival;
  ++s.arrival_count;
}

void remove(Scenario& s, std::size_t at) {
  const auto place = s.arrivals.begin() + static_cast<std::ptrdiff_t>(at);
  std::copy(place + 1, s.arrivals.begin() + s.arrival_count, place);
  --s.arrival_count;
}

/// Moves an arrival by `by` boundaries. Where `alone`, those behind it stay where they are.
void move(Scenario& s, std::size_t at, std::int32_t by, bool alone) {
  const auto moved = [](std::uint16_t distance, std::int32_t change) {
    return static_cast<std::uint16_t>(std::clamp<std::int32_t>(distance + change, 0, 0xffff));
  };
  const std::uint16_t before = s.arrivals[at].distance;
  s.arrivals[at].distance = moved(before, by);
  if (alone && at + 1 < s.arrival_count) {
    s.arrivals[at + 1].distance = moved(s.arrivals[at + 1].distance, before - s.arrivals[at].distance);
  }
}

// Operations on one arrival, which there is.

void insert_one(Scenario& s, std::size_t at, const Entry& entry, Random& random) {
  insert(s, at + random.below(2), random_arrival(entry, random));
}

void remove_one(Scenario& s, std::size_t at, const Entry& /*entry*/, Random& /*random*/) { remove(s, at); }

/// The copy comes right behind, at the same boundary, the next one, or as far away as the original from what preceded
/// it.
void duplicate(Scenario& s, std::size_t at, const Entry& /*entry*/, Random& random) {
  Arrival copy = s.arrivals[at];
  if (!random.one_in(3)) copy.distance = static_cast<std::uint16_t>(random.below(2));
  insert(s, at + 1, copy);
}

void swap_two(Scenario& s, std::size_t at, const Entry& /*entry*/, Random& random) {
  std::swap(s.arrivals[at], s.arrivals[random.below(s.arrival_count)]);
}

void copy_over(Scenario& s, std::size_t at, const Entry& /*entry*/, Random& random) {
  Arrival copy = s.arrivals[at];
  Arrival& to = s.arrivals[random.below(s.arrival_count)];
  if (random.one_in(2)) copy.distance = to.distance;
  to = copy;
}

void step(Scenario& s, std::size_t at, const Entry& /*entry*/, Random& random) {
  move(s, at, random.one_in(2) ? 1 : -1, random.one_in(2));
}

void shift(Scenario& s, std::size_t at, const Entry& /*entry*/, Random& random) {
  const auto by = static_cast<std::int32_t>(random.below(16)) + 1;
  move(s, at, random.one_in(2) ? by : -by, random.one_in(2));
}

void set_distance(Scenario& s, std::size_t at, const Entry& /*entry*/, Random& random) {
  s.arrivals[at].distance = random_distance(random);
}

void set_kind(Scenario& s, std::size_t at, const Entry& entry, Random& random) {
  Arrival fresh = random_arrival(entry, random);
  fresh.kind = static_cast<ArrivalKind>(random.below(kArrivalKindCount));
  fresh.distance = s.arrivals[at].distance;
  s.arrivals[at] = fresh;
}

/// A port that is in use already, a neighbour of one, or any.
void set_port(Scenario& s, std::size_t at, const Entry& /*entry*/, Random& random) {
  std::uint64_t port = random.below(kPortCount);
  if (!random.one_in(3)) port = s.context.port + random.below(2);
  if (random.one_in(4)) port = s.context.masked_port;
  s.arrivals[at].port = static_cast<std::uint8_t>(port % kPortCount);
}

void set_pending_value(Scenario& s, std::size_t at, const Entry& entry, Random& random) {
  const std::vector<std::uint8_t>& values = entry.description.pending_values;
  s.arrivals[at].pending_value = values[random.below(values.size())];
  s.arrivals[at].spurious = !s.arrivals[at].spurious;
}

void set_exception(Scenario& s, std::size_t at, const Entry& entry, Random& random) {
  Arrival& arrival = s.arrivals[at];
  arrival.vector = static_cast<std::uint8_t>(random.below(entry.vectors.size()));
  arrival.error_code = random.one_in(3) ? 0 : static_cast<std::uint32_t>(random.below(0x10000));
}

void trim(Scenario& s, std::size_t /*at*/, const Entry& entry, Random& random) {
  const std::size_t count = kFewestArrivals + random.below(kMostArrivals - kFewestArrivals + 1);
  while (s.arrival_count > count) remove(s, random.below(s.arrival_count));
  while (s.arrival_count < count) insert(s, s.arrival_count, random_arrival(entry, random));
}

struct ArrivalOperation {
  unsigned weight;
  void (*apply)(Scenario&, std::size_t at, const Entry&, Random&);
};
constexpr std::array kArrivalOperations = {
    ArrivalOperation{8, insert_one},
    ArrivalOperation{6, remove_one},
    ArrivalOperation{6, duplicate},
    ArrivalOperation{3, swap_two},
    ArrivalOperation{3, copy_over},
    ArrivalOperation{12, step},
    ArrivalOperation{8, shift},
    ArrivalOperation{14, set_distance},
    ArrivalOperation{8, set_kind},
    ArrivalOperation{3, set_port},
    ArrivalOperation{2, set_exception},
    ArrivalOperation{3, trim},
    ArrivalOperation{2, set_pending_value},
};

// Operations on the context and on what handlers do.

void set_vector(Scenario& s, const Entry& entry, Random& random) {
  s.context.vector = static_cast<std::uint8_t>(random.below(entry.vectors.size()));
}

void set_place(Scenario& s, const Entry& /*entry*/, Random& random) {
  Context& c = s.context;
  switch (random.below(3)) {
    case 0:
      c.mode = c.mode == GuestMode::kernel ? GuestMode::user : GuestMode::kernel;
      break;
    case 1:
      c.stack = c.stack == ContextStack::thread ? ContextStack::interrupt : ContextStack::thread;
      break;
    default:
      c.place = c.place == ContextPlace::region ? ContextPlace::resume_page : ContextPlace::region;
      break;
  }
}

void set_place_offset(Scenario& s, const Entry& entry, Random& random) {
  const std::uint64_t size = s.context.place == ContextPlace::region ? entry.critical.size() : kContextPlaces;
  s.context.place_offset = static_cast<std::uint16_t>(random.below(std::max<std::uint64_t>(size, 1)));
}

void set_stack_offset(Scenario& s, const Entry& /*entry*/, Random& random) {
  s.context.stack_offset = static_cast<std::uint8_t>(random.below(kStackOffsets));
}

void set_mask(Scenario& s, const Entry& /*entry*/, Random& random) { s.context.mask = interesting_byte(random); }

void set_pending(Scenario& s, const Entry& entry, Random& random) {
  const std::vector<std::uint8_t>& values = entry.description.pending_values;
  s.context.pending = random.one_in(3) ? 0 : values[random.below(values.size())];
  s.context.port = static_cast<std::uint8_t>(random.below(kPortCount));
}

void set_flags(Scenario& s, const Entry& /*entry*/, Random& random) {
  const std::span<const FlagName> flags = context_flag_names();
  switch (random.below(8)) {
    case 0:
      s.context.rflags = 0;
      break;
    case 1:
      s.context.rflags = kContextFlags;
      break;
    case 2:
      s.context.rflags = random.next();
      break;
    default:
      s.context.rflags ^= flags[random.below(flags.size())].bit;
      break;
  }
}

/// Values that are mistaken for something: nothing, all ones, signs, another register, code of the region, data of the
/// entry.
std::uint64_t interesting_value(Gpr own, const Entry& entry, Random& random) {
  const GuestRange region = entry.critical.size() != 0 ? entry.critical : entry.text;
  switch (random.below(9)) {
    case 0:
      return 0;
    case 1:
      return ~std::uint64_t{0};
    case 2:
      return 1;
    case 3:
      return std::uint64_t{1} << (random.one_in(2) ? 31 : 63);
    case 4:
      return register_tag(own, entry.width());
    case 5:
      return register_tag(static_cast<Gpr>(random.below(gpr_count(entry.width()))), entry.width());
    case 6:
      return region.begin.value + random.below(std::max<std::uint64_t>(region.size(), 1));
    case 7:
      return entry.thread_stack.range.begin.value +
             random.below(std::max<std::uint64_t>(entry.thread_stack.range.size(), 1));
    default:
      return random.next();
  }
}

void set_register(Scenario& s, const Entry& entry, Random& random) {
  const auto gpr = static_cast<Gpr>(random.below(gpr_count(entry.width())));
  std::uint64_t& value = s.context.gpr[static_cast<std::size_t>(gpr)];
  value = random.one_in(6) ? value ^ std::uint64_t{1} << random.below(64) : interesting_value(gpr, entry, random);
}

void set_error_code(Scenario& s, const Entry& /*entry*/, Random& random) {
  s.context.error_code = random.one_in(3) ? 0 : static_cast<std::uint32_t>(random.below(0x10000));
}

void set_masks(Scenario& s, const Entry& /*entry*/, Random& random) {
  Context& c = s.context;
  switch (random.below(3)) {
    case 0:
      c.nmi_masked = !c.nmi_masked;
      break;
    case 1:
      c.null_data_segments = !c.null_data_segments;
      break;
    default:
      c.has_masked_port = !c.has_masked_port;
      c.masked_port = static_cast<std::uint8_t>(random.below(kPortCount));
      s.event_actions[0].unmask_port = random.one_in(2);
      break;
  }
}

void set_action(Scenario& s, const Entry& /*entry*/, Random& random) {
  // The first call is the one that most scenarios have.
  EventAction& action = s.event_actions[random.one_in(2) ? 0 : random.below(kActionCalls)];
  switch (random.below(3)) {
    case 0:
      action.nested_event = !action.nested_event;
      break;
    case 1:
      action.unmask_port = !action.unmask_port;
      break;
    default:
      action.set_work_flag = !action.set_work_flag;
      break;
  }
}

void set_frame_write(Scenario& s, const Entry& entry, Random& random) {
  FrameWrite& write = s.frame_write;
  if (random.one_in(2)) {
    write.rax = !random.one_in(3);
    write.rax_value = interesting_value(Gpr::rax, entry, random);
  } else {
    write.rip = !random.one_in(3);
    write.rip_offset = byte(random);
  }
}

struct ContextOperation {
  unsigned weight;
  void (*apply)(Scenario&, const Entry&, Random&);
};
constexpr std::array kContextOperations = {
    ContextOperation{5, set_vector}, ContextOperation{4, set_place},    ContextOperation{3, set_place_offset},
    ContextOperation{3, set_mask},   ContextOperation{3, set_pending},  ContextOperation{3, set_stack_offset},
    ContextOperation{4, set_flags},  ContextOperation{4, set_register}, ContextOperation{1, set_error_code},
    ContextOperation{3, set_masks},  ContextOperation{4, set_action},   ContextOperation{2, set_frame_write},
};

template <typename Operation, std::size_t kCount>
const Operation& choose(const std::array<Operation, kCount>& operations, Random& random) {
  std::uint64_t total = 0;
  for (const Operation& operation : operations) total += operation.weight;
  std::uint64_t rest = random.below(total);
  std::size_t index = 0;
  while (rest >= operations[index].weight) rest -= operations[index++].weight;
  return operations[index];
}

void mutate_arrivals(Scenario& s, const Entry& entry, Random& random) {
  if (s.arrival_count == 0 || (s.arrival_count < kFewestArrivals && random.one_in(3))) {
    insert(s, s.arrival_count, random_arrival(entry, random));
  } else if (s.arrival_count > kMostArrivals && random.one_in(3)) {
    remove(s, random.below(s.arrival_count));
  } else {
    choose(kArrivalOperations, random).apply(s, random.below(s.arrival_count), entry, random);
  }
}

void mutate_once(Scenario& s, const Entry& entry, Random& random) {
  if (random.one_in(kContextOneIn)) {
    choose(kContextOperations, random).apply(s, entry, random);
  } else {
    mutate_arrivals(s, entry, random);
  }
}

}  // namespace

// Steele, Lea, Flood: Fast splittable pseudorandom number generators (OOPSLA 2014), figure 14 and section 5.
std::uint64_t Random::next() {
  state_ += 0x9e37'79b9'7f4a'7c15;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
  z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
  return z ^ (z >> 31);
}

void mutate(Scenario& scenario, const Entry& entry, Random& random) {
  const Scenario before = scenario;
  // Canonicalising may undo a change that this entry has no use for: then another one.
  for (unsigned i = 0; i < kTries && scenario == before; ++i) {
    std::uint64_t changes = random.one_in(4) ? 2 + random.below(3) : 1;
    while (changes-- != 0) mutate_once(scenario, entry, random);
    canonicalise(scenario, entry);
  }
}

Scenario cross_over(const Scenario& a, const Scenario& b, const Entry& entry, Random& random) {
  Scenario child = random.one_in(2) ? a : b;
  // Distances count from the arrival before, so a tail keeps its shape wherever it is put.
  const std::size_t head = random.below(a.arrival_count + std::size_t{1});
  std::copy_n(a.arrivals.begin(), head, child.arrivals.begin());
  child.arrival_count = static_cast<std::uint8_t>(head);
  for (std::size_t i = random.below(b.arrival_count + std::size_t{1}); i < b.arrival_count; ++i) {
    insert(child, child.arrival_count, b.arrivals[i]);
  }
  if (random.one_in(kActionsMixedOneIn)) {
    for (std::size_t i = 0; i < kActionCalls; ++i) {
      child.event_actions[i] = (random.one_in(2) ? a : b).event_actions[i];
    }
    child.frame_write = (random.one_in(2) ? a : b).frame_write;
  }
  canonicalise(child, entry);
  return child;
}

}  // namespace framefold
