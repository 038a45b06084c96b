#include "scenario/codec.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace framefold {

namespace {

// Bits of the header's `options`.
constexpr std::uint64_t kMasked = 1U << 0;
constexpr std::uint64_t kPending = 1U << 1;
constexpr std::uint64_t kMaskedPort = 1U << 2;
constexpr std::uint64_t kNmiMasked = 1U << 3;
constexpr std::uint64_t kNullDataSegments = 1U << 4;
constexpr std::uint64_t kWriteRax = 1U << 5;
constexpr std::uint64_t kWriteRip = 1U << 6;

// Bits of an action.
constexpr std::uint64_t kNestedEvent = 1U << 0;
constexpr std::uint64_t kUnmaskPort = 1U << 1;
constexpr std::uint64_t kSetWorkFlag = 1U << 2;

/// An arrival's `far` byte that makes `distance_high` count. One value of 256: a run has some 100 to 200 boundaries, so
/// a distance above 255 is nearly always one that is not reached.
constexpr std::uint64_t kFar = 0xff;
/// A tick's `number` that makes it a spurious one. One value of 256, so that nearly all that was a plain tick before
/// there were others is one still; 0, which encodings of them have there, is.
constexpr std::uint64_t kSpurious = 0xff;

std::uint64_t when(bool condition, std::uint64_t bit) { return condition ? bit : 0; }

template <typename T>
T low(std::uint64_t stored) {
  return static_cast<T>(stored);
}

// A mask and a pending byte of 0 are each half of what there is to try, so a bit says whether the byte counts.
// set_options comes behind both bytes and finds them read.
std::uint64_t get_options(const Scenario& s) {
  const Context& c = s.context;
  return when(c.mask != 0, kMasked) | when(c.pending != 0, kPending) | when(c.has_masked_port, kMaskedPort) |
         when(c.nmi_masked, kNmiMasked) | when(c.null_data_segments, kNullDataSegments) |
         when(s.frame_write.rax, kWriteRax) | when(s.frame_write.rip, kWriteRip);
}

void set_options(Scenario& s, std::uint64_t bits) {
  Context& c = s.context;
  c.mask = (bits & kMasked) == 0 ? 0 : std::max<std::uint8_t>(c.mask, 1);
  c.pending = (bits & kPending) == 0 ? 0 : std::max<std::uint8_t>(c.pending, 1);
  c.has_masked_port = (bits & kMaskedPort) != 0;
  c.nmi_masked = (bits & kNmiMasked) != 0;
  c.null_data_segments = (bits & kNullDataSegments) != 0;
  s.frame_write.rax = (bits & kWriteRax) != 0;
  s.frame_write.rip = (bits & kWriteRip) != 0;
}

template <std::size_t kCall>
std::uint64_t get_action(const Scenario& s) {
  const EventAction& action = s.event_actions[kCall];
  return when(action.nested_event, kNestedEvent) | when(action.unmask_port, kUnmaskPort) |
         when(action.set_work_flag, kSetWorkFlag);
}

template <std::size_t kCall>
void set_action(Scenario& s, std::uint64_t bits) {
  s.event_actions[kCall] = {(bits & kNestedEvent) != 0, (bits & kUnmaskPort) != 0, (bits & kSetWorkFlag) != 0};
}

constexpr std::string_view kActionHelp =
    "bit 0: takes a nested event; 1: unmasks the masked port; 2: sets the work flag";

constexpr std::array kHeader = {
    CodecField<Scenario>{"version", 0, 1, "1; any other value reads as 1",
                         [](const Scenario&) { return std::uint64_t{kCodecVersion}; }, [](Scenario&, std::uint64_t) {}},
    CodecField<Scenario>{"vector", 1, 1,
                         "what interrupted the context: index into the entry's vectors, modulo their number",
                         [](const Scenario& s) { return std::uint64_t{s.context.vector}; },
                         [](Scenario& s, std::uint64_t v) { s.context.vector = low<std::uint8_t>(v); }},
    CodecField<Scenario>{"mode", 2, 1, "modulo 2: kernel, user",
                         [](const Scenario& s) { return static_cast<std::uint64_t>(s.context.mode); },
                         [](Scenario& s, std::uint64_t v) { s.context.mode = static_cast<GuestMode>(v % 2); }},
    CodecField<Scenario>{"stack", 3, 1, "modulo 2: thread, interrupt",
                         [](const Scenario& s) { return static_cast<std::uint64_t>(s.context.stack); },
                         [](Scenario& s, std::uint64_t v) { s.context.stack = static_cast<ContextStack>(v % 2); }},
    CodecField<Scenario>{"place", 4, 1, "modulo 2: resume page, critical region",
                         [](const Scenario& s) { return static_cast<std::uint64_t>(s.context.place); },
                         [](Scenario& s, std::uint64_t v) { s.context.place = static_cast<ContextPlace>(v % 2); }},
    CodecField<Scenario>{"stack_offset", 5, 1, "bytes, modulo 64; 32-bit kernel: rounded down to a multiple of 4",
                         [](const Scenario& s) { return std::uint64_t{s.context.stack_offset}; },
                         [](Scenario& s, std::uint64_t v) { s.context.stack_offset = low<std::uint8_t>(v); }},
    CodecField<Scenario>{"place_offset", 6, 2, "bytes into the place, modulo its size",
                         [](const Scenario& s) { return std::uint64_t{s.context.place_offset}; },
                         [](Scenario& s, std::uint64_t v) { s.context.place_offset = low<std::uint16_t>(v); }},
    CodecField<Scenario>{"mask", 8, 1, "evtchn_upcall_mask, at least 1; counts only with bit 0 of options",
                         [](const Scenario& s) { return std::uint64_t{s.context.mask}; },
                         [](Scenario& s, std::uint64_t v) { s.context.mask = low<std::uint8_t>(v); }},
    CodecField<Scenario>{"pending", 9, 1, "evtchn_upcall_pending, at least 1; counts only with bit 1 of options",
                         [](const Scenario& s) { return std::uint64_t{s.context.pending}; },
                         [](Scenario& s, std::uint64_t v) { s.context.pending = low<std::uint8_t>(v); }},
    CodecField<Scenario>{"port", 10, 1, "the port that is pending, modulo 128",
                         [](const Scenario& s) { return std::uint64_t{s.context.port}; },
                         [](Scenario& s, std::uint64_t v) { s.context.port = low<std::uint8_t>(v); }},
    CodecField<Scenario>{"masked_port", 11, 1, "a port that is pending but masked; counts only with bit 2 of options",
                         [](const Scenario& s) { return std::uint64_t{s.context.masked_port}; },
                         [](Scenario& s, std::uint64_t v) { s.context.masked_port = low<std::uint8_t>(v); }},
    CodecField<Scenario>{
        "options", 12, 1,
        "bit 0: masked; 1: pending; 2: a masked port; 3: NMI masked; 4: null DS and ES; 5: the handler writes "
        "RAX; 6: it writes RIP",
        get_options, set_options},
    CodecField<Scenario>{"write_rip_offset", 13, 1, "bytes into the resume page; counts only with bit 6 of options",
                         [](const Scenario& s) { return std::uint64_t{s.frame_write.rip_offset}; },
                         [](Scenario& s, std::uint64_t v) { s.frame_write.rip_offset = low<std::uint8_t>(v); }},
    CodecField<Scenario>{"error_code", 14, 2, "where the vector has one",
                         [](const Scenario& s) { return std::uint64_t{s.context.error_code}; },
                         [](Scenario& s, std::uint64_t v) { s.context.error_code = low<std::uint32_t>(v); }},
    CodecField<Scenario>{"rflags", 16, 3, "RFLAGS, of which CF PF AF ZF SF TF DF OF NT AC ID count",
                         [](const Scenario& s) { return s.context.rflags; },
                         [](Scenario& s, std::uint64_t v) { s.context.rflags = v; }},
    CodecField<Scenario>{"action_0", 19, 1, kActionHelp, get_action<0>, set_action<0>},
    CodecField<Scenario>{"action_1", 20, 1, kActionHelp, get_action<1>, set_action<1>},
    CodecField<Scenario>{"action_2", 21, 1, kActionHelp, get_action<2>, set_action<2>},
    CodecField<Scenario>{"action_3", 22, 1, kActionHelp, get_action<3>, set_action<3>},
    CodecField<Scenario>{
        "arrival_count",
        23, 1, "modulo 17", [](const Scenario& s) { return std::uint64_t{s.arrival_count}; },
        [](Scenario& s, std::uint64_t v) { s.arrival_count = low<std::uint8_t>(v % (kMaxArrivals + 1)); }},
    CodecField<Scenario>{"write_rax_value", 24, 8, "counts only with bit 5 of options",
                         [](const Scenario& s) { return s.frame_write.rax_value; },
                         [](Scenario& s, std::uint64_t v) { s.frame_write.rax_value = v; }},
};

// `number` is another thing for each kind: set_number comes behind the kind and finds it read.
std::uint64_t get_number(const Arrival& a) {
  switch (a.kind) {
    case ArrivalKind::exception:
      return a.vector;
    case ArrivalKind::tick:
      return when(a.spurious, kSpurious);
    case ArrivalKind::event:
    case ArrivalKind::nmi:
      break;
  }
  return a.port;
}

void set_number(Arrival& a, std::uint64_t v) {
  (a.kind == ArrivalKind::exception ? a.vector : a.port) = low<std::uint8_t>(v);
  a.spurious = a.kind == ArrivalKind::tick && v == kSpurious;
}

constexpr std::array kArrival = {
    CodecField<Arrival>{"kind", 0, 1, "modulo 4: event, tick, NMI, exception",
                        [](const Arrival& a) { return static_cast<std::uint64_t>(a.kind); },
                        [](Arrival& a, std::uint64_t v) { a.kind = static_cast<ArrivalKind>(v % kArrivalKindCount); }},
    CodecField<Arrival>{"distance", 1, 1, "boundaries since the previous arrival, bits 0 to 7",
                        [](const Arrival& a) { return std::uint64_t{a.distance} & 0xff; },
                        [](Arrival& a, std::uint64_t v) { a.distance = low<std::uint16_t>(v); }},
    CodecField<Arrival>{"distance_high", 2, 1, "bits 8 to 15; counts only where `far` says so",
                        [](const Arrival& a) { return std::uint64_t{a.distance} >> 8; },
                        [](Arrival& a, std::uint64_t v) { a.distance = low<std::uint16_t>(a.distance | v << 8); }},
    CodecField<Arrival>{"far", 3, 1, "0xff: the distance has its high bits; any other value: it has not",
                        [](const Arrival& a) { return when(a.distance > 0xff, kFar); },
                        [](Arrival& a, std::uint64_t v) { a.distance &= v == kFar ? 0xffff : 0xff; }},
    CodecField<Arrival>{"number", 4, 1,
                        "event: the port, modulo 128; exception: index into the entry's vectors; tick: 0xff: "
                        "evtchn_upcall_pending is set, with no port",
                        get_number, set_number},
    CodecField<Arrival>{"pending", 5, 1,
                        "event, and such a tick: what is or-ed into evtchn_upcall_pending: one of the entry's "
                        "values",
                        [](const Arrival& a) { return std::uint64_t{a.pending_value}; },
                        [](Arrival& a, std::uint64_t v) { a.pending_value = low<std::uint8_t>(v); }},
    CodecField<Arrival>{"error_code", 6, 2, "exception with an error code",
                        [](const Arrival& a) { return std::uint64_t{a.error_code}; },
                        [](Arrival& a, std::uint64_t v) { a.error_code = low<std::uint32_t>(v); }},
};

static_assert(std::endian::native == std::endian::little, "load and store copy the bytes of integers");
static_assert(kHeader.back().offset + kHeader.back().size == kHeaderSize);
static_assert(kArrival.back().offset + kArrival.back().size == kArrivalSize);
static_assert(kHeaderSize + kMaxArrivals * kArrivalSize + kGprCount * kRegisterSize <= kMaxEncodedSize);

/// A whole encoding: what an input does not have is 0.
using Padded = std::array<std::uint8_t, kMaxEncodedSize>;

template <std::size_t kSize>
std::uint64_t load(const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, kSize);
  return value;
}

template <std::size_t kSize>
void store(std::uint8_t* bytes, std::uint64_t value) {
  std::memcpy(bytes, &value, kSize);
}

// The tables are constants, and so is each size, offset and function: the compiler writes the fields out. A loop over
// them took a sixth of a fuzz binary's time.

template <const auto& kFields, typename Part>
void load_fields(const std::uint8_t* bytes, Part& part) {
  [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    (kFields[kIndex].set(part, load<kFields[kIndex].size>(bytes + kFields[kIndex].offset)), ...);
  }
  (std::make_index_sequence<kFields.size()>{});
}

template <const auto& kFields, typename Part>
void store_fields(const Part& part, std::uint8_t* bytes) {
  [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    (store<kFields[kIndex].size>(bytes + kFields[kIndex].offset, kFields[kIndex].get(part)), ...);
  }
  (std::make_index_sequence<kFields.size()>{});
}

/// Registers in the order in which they are stored: that of Gpr, without RSP.
constexpr auto kStoredRegisters = [] {
  std::array<Gpr, kGprCount - 1> order{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < kGprCount; ++i) {
    if (static_cast<Gpr>(i) != Gpr::rsp) order[count++] = static_cast<Gpr>(i);
  }
  return order;
}();

}  // namespace

std::span<const CodecField<Scenario>> codec_header_fields() { return kHeader; }
std::span<const CodecField<Arrival>> codec_arrival_fields() { return kArrival; }

Scenario decode(std::span<const std::uint8_t> bytes, const Entry& entry) {
  Padded padded{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), padded.size()), padded.begin());
  Scenario scenario;
  load_fields<kHeader>(padded.data(), scenario);
  const std::uint8_t* at = padded.data() + kHeaderSize;
  for (std::size_t i = 0; i < scenario.arrival_count; ++i, at += kArrivalSize) {
    load_fields<kArrival>(at, scenario.arrivals[i]);
  }
  for (const Gpr gpr : kStoredRegisters) {
    scenario.context.gpr[static_cast<std::size_t>(gpr)] = load<kRegisterSize>(at) ^ register_tag(gpr, entry.width());
    at += kRegisterSize;
  }
  canonicalise(scenario, entry);
  return scenario;
}

Encoded encode(const Scenario& scenario, const Entry& entry) {
  Encoded encoded;
  std::uint8_t* at = encoded.bytes.data();
  store_fields<kHeader>(scenario, at);
  at += kHeaderSize;
  for (std::size_t i = 0; i < scenario.arrival_count; ++i, at += kArrivalSize) {
    store_fields<kArrival>(scenario.arrivals[i], at);
  }
  encoded.size = static_cast<std::size_t>(at - encoded.bytes.data());
  for (const Gpr gpr : kStoredRegisters) {
    const std::uint64_t stored = scenario.context.gpr[static_cast<std::size_t>(gpr)] ^ register_tag(gpr, entry.width());
    store<kRegisterSize>(at, stored);
    at += kRegisterSize;
    if (stored != 0) encoded.size = static_cast<std::size_t>(at - encoded.bytes.data());
  }
  return encoded;
}

}  // namespace framefold
