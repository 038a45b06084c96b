#include "scenario/scenario.hpp"

#include <algorithm>

#include "scenario/context_places.hpp"

namespace framefold {

namespace {

// SDM Vol. 1, 3.4.3.
constexpr std::array<FlagName, 11> kFlagNames = {{
    {"cf", 1U << 0},
    {"pf", 1U << 2},
    {"af", 1U << 4},
    {"zf", 1U << 6},
    {"sf", 1U << 7},
    {"tf", 1U << 8},
    {"df", 1U << 10},
    {"of", 1U << 11},
    {"nt", 1U << 14},
    {"ac", 1U << 18},
    {"id", 1U << 21},
}};

constexpr std::uint64_t all_flags() {
  std::uint64_t bits = 0;
  for (const FlagName& flag : kFlagNames) bits |= flag.bit;
  return bits;
}
static_assert(all_flags() == kContextFlags);

constexpr std::uint64_t kLow32 = 0xffff'ffff;
constexpr std::uint32_t kErrorCodeBits = 0xffff;  // SDM Vol. 3, 6.13: bits 31..16 are reserved

std::uint64_t truncate(std::uint64_t value, Width width) { return width == Width::k64 ? value : value & kLow32; }

bool is_kind(const Vector& vector, DeliveryKind kind) { return vector.description.kind == kind; }

const Vector& vector_of(const Context& context, const Entry& entry) { return entry.vectors[context.vector]; }

/// What an entry's vectors offer.
struct Offer {
  bool nmi = false;
  bool nmi_marks = false;
  std::size_t exceptions = 0;
};

Offer offer_of(const Entry& entry) {
  Offer offer;
  for (const Vector& vector : entry.vectors) {
    if (is_kind(vector, DeliveryKind::exception)) ++offer.exceptions;
    if (!is_kind(vector, DeliveryKind::nmi)) continue;
    offer.nmi = true;
    offer.nmi_marks = vector.description.marks;
  }
  return offer;
}

/// `wanted` where it is an exception's index, otherwise one of the exceptions, which the entry has.
std::uint8_t exception_vector(std::uint8_t wanted, const Entry& entry, const Offer& offer) {
  if (wanted < entry.vectors.size() && is_kind(entry.vectors[wanted], DeliveryKind::exception)) return wanted;
  std::size_t skip = wanted % offer.exceptions;
  std::size_t index = 0;
  while (!is_kind(entry.vectors[index], DeliveryKind::exception) || skip-- != 0) ++index;
  return static_cast<std::uint8_t>(index);
}

/// `wanted` where the description lists it, otherwise one that it lists.
std::uint8_t pending_value(std::uint8_t wanted, const Entry& entry) {
  const std::vector<std::uint8_t>& values = entry.description.pending_values;
  if (std::find(values.begin(), values.end(), wanted) != values.end()) return wanted;
  return values[wanted % values.size()];
}

void canonicalise_place(Context& context, const Entry& entry) {
  if (context.mode != GuestMode::user || !entry.description.user_mode) context.mode = GuestMode::kernel;
  const bool user = context.mode == GuestMode::user;
  if (user || !entry.interrupt_stack || context.stack != ContextStack::interrupt) context.stack = ContextStack::thread;

  const std::uint64_t region_size = entry.critical.size();
  if (!user || region_size == 0 || context.place != ContextPlace::region) context.place = ContextPlace::resume_page;
  const std::uint64_t places = context.place == ContextPlace::region ? region_size : kContextPlaces;
  context.place_offset = static_cast<std::uint16_t>(context.place_offset % places);

  context.stack_offset %= kStackOffsets;
  if (entry.width() == Width::k32 && !user) context.stack_offset &= 0x3c;
  if (!user || entry.width() != Width::k32) context.null_data_segments = false;
}

/// Event mask, pending event and NMI mask at the moment of the interruption.
void canonicalise_events(Context& context, const Entry& entry, const Offer& offer) {
  const Vector& vector = vector_of(context, entry);
  const bool event = is_kind(vector, DeliveryKind::event);
  if (event) {
    context.mask = 0;  // Xen delivers no event otherwise
    context.pending = pending_value(context.pending, entry);
  } else if (context.mask == 0) {
    context.pending = 0;  // Xen would have delivered it
  } else if (context.pending != 0) {
    context.pending = pending_value(context.pending, entry);
  }
  context.port = context.pending == 0 ? 0 : context.port % kPortCount;
  // An exception inside the NMI handler: only where that handler's frames say that they are an NMI's can it tell.
  if (!is_kind(vector, DeliveryKind::exception) || context.mode == GuestMode::user || !offer.nmi_marks) {
    context.nmi_masked = false;
  }
  context.error_code = vector.description.error_code ? context.error_code & kErrorCodeBits : 0;
}

void canonicalise_registers(Context& context, const Entry& entry) {
  context.gpr[static_cast<std::size_t>(Gpr::rsp)] = 0;
  if (entry.width() == Width::k32) {
    for (std::uint64_t& value : context.gpr) value &= kLow32;
    std::fill(context.gpr.begin() + gpr_count(Width::k32), context.gpr.end(), 0);
  }
  context.rflags &= kContextFlags;
}

void canonicalise_arrival(Arrival& arrival, const Entry& entry, const Offer& offer) {
  Arrival result;
  result.distance = arrival.distance;
  result.kind = static_cast<ArrivalKind>(static_cast<unsigned>(arrival.kind) % kArrivalKindCount);
  if (result.kind == ArrivalKind::nmi && !offer.nmi) result.kind = ArrivalKind::event;
  if (result.kind == ArrivalKind::exception && offer.exceptions == 0) result.kind = ArrivalKind::event;
  if (result.kind == ArrivalKind::event) {
    result.port = arrival.port % kPortCount;
  }
  result.spurious = result.kind == ArrivalKind::tick && arrival.spurious;
  if (result.sets_pending()) {
    result.pending_value = pending_value(arrival.pending_value, entry);
  }
  if (result.kind == ArrivalKind::exception) {
    result.vector = exception_vector(arrival.vector, entry, offer);
    if (entry.vectors[result.vector].description.error_code) result.error_code = arrival.error_code & kErrorCodeBits;
  }
  arrival = result;
}

void canonicalise_arrivals(Scenario& scenario, const Entry& entry, const Offer& offer) {
  scenario.arrival_count = std::min<std::uint8_t>(scenario.arrival_count, kMaxArrivals);
  for (std::size_t i = 0; i < scenario.arrival_count; ++i) canonicalise_arrival(scenario.arrivals[i], entry, offer);
  static constexpr std::array<Arrival, kMaxArrivals> kNone{};  // one copy costs less than sixteen constructions
  std::copy(kNone.begin() + scenario.arrival_count, kNone.end(), scenario.arrivals.begin() + scenario.arrival_count);
}

bool port_in_use(const Scenario& scenario, std::uint8_t port) {
  if (scenario.context.pending != 0 && scenario.context.port == port) return true;
  const auto* const end = scenario.arrivals.begin() + scenario.arrival_count;
  return std::any_of(scenario.arrivals.begin(), end,
                     [port](const Arrival& a) { return a.kind == ArrivalKind::event && a.port == port; });
}

/// The next port that nothing else uses. There is one: at most 17 of 128 are in use.
void canonicalise_masked_port(Scenario& scenario) {
  Context& context = scenario.context;
  context.masked_port = context.has_masked_port ? context.masked_port % kPortCount : 0;
  if (!context.has_masked_port) return;
  while (port_in_use(scenario, context.masked_port)) {
    context.masked_port = static_cast<std::uint8_t>((context.masked_port + 1U) % kPortCount);
  }
}

void canonicalise_actions(Scenario& scenario, const Entry& entry) {
  const Context& context = scenario.context;
  const bool work = entry.description.work_flag.has_value();
  for (std::size_t i = 0; i < kActionCalls; ++i) {
    EventAction& action = scenario.event_actions[i];
    if (i != 0 || !context.has_masked_port) action.unmask_port = false;
    if (!work) action.set_work_flag = false;
  }
  FrameWrite& write = scenario.frame_write;
  const bool exception = is_kind(vector_of(context, entry), DeliveryKind::exception);
  if (!exception) write.rax = false;
  if (!exception || context.place != ContextPlace::resume_page) write.rip = false;
  write.rax_value = write.rax ? truncate(write.rax_value, entry.width()) : 0;
  if (!write.rip) write.rip_offset = 0;
}

}  // namespace

std::span<const FlagName> context_flag_names() { return kFlagNames; }

// Nibble pairs: the high one of each byte is its place, 8 down to 1, the low one the register's number. So a shifted,
// swapped or truncated value shows. No guest address looks like it: as 64 bits it is not canonical, as 32 it is above 1
// GiB.
std::uint64_t register_tag(Gpr gpr, Width width) {
  const auto number = static_cast<std::uint64_t>(gpr);
  if (number >= gpr_count(width)) return 0;
  return truncate(0x8070'6050'4030'2010 | number * 0x0101'0101'0101'0101, width);
}

void canonicalise(Scenario& scenario, const Entry& entry) {
  const Offer offer = offer_of(entry);
  scenario.context.vector = static_cast<std::uint8_t>(scenario.context.vector % entry.vectors.size());
  canonicalise_place(scenario.context, entry);
  canonicalise_events(scenario.context, entry, offer);
  canonicalise_registers(scenario.context, entry);
  canonicalise_arrivals(scenario, entry, offer);
  canonicalise_masked_port(scenario);
  canonicalise_actions(scenario, entry);
}

void canonicalise_arrivals(Scenario& scenario, const Entry& entry) {
  canonicalise_arrivals(scenario, entry, offer_of(entry));
  canonicalise_masked_port(scenario);
}

}  // namespace framefold
