// Text to scenario: strict, so that a slip of the pen is not taken for a default. First the keys, then the values, then
// whether Xen can produce what they say (refusal.hpp).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "image/toml_text.hpp"
#include "scenario/refusal.hpp"
#include "scenario/toml.hpp"
#include "scenario/toml_reader.hpp"

namespace framefold {

namespace {

constexpr std::uint64_t kMaxByte = 0xff;
constexpr std::uint64_t kMaxShort = 0xffff;
constexpr std::uint64_t kMaxWord = 0xffff'ffff;

// The keys of each table, in the order in which to_toml prints them.
constexpr std::array<std::string_view, 6> kTopKeys = {"entry",   "signature", "explanation",
                                                      "context", "handler",   "arrival"};
constexpr std::array<std::string_view, 15> kContextKeys = {
    "vector",  "error_code", "mode",        "stack",      "stack_offset",       "place",  "place_offset", "mask",
    "pending", "port",       "masked_port", "nmi_masked", "null_data_segments", "rflags", "registers"};
constexpr std::array<std::string_view, 5> kHandlerKeys = {"nested_event", "unmask_port", "set_work_flag", "write_rax",
                                                          "write_rip_offset"};
constexpr std::array<std::string_view, 6> kArrivalKeys = {"kind",    "distance", "port",
                                                          "pending", "vector",   "error_code"};

// Words in the order of their enumerations. Spelled by name_of, so that text and parser cannot differ.
constexpr std::array kModes = {name_of(GuestMode::kernel), name_of(GuestMode::user)};
constexpr std::array kStacks = {name_of(ContextStack::thread), name_of(ContextStack::interrupt)};
constexpr std::array kPlaces = {name_of(ContextPlace::resume_page), name_of(ContextPlace::region)};
constexpr std::array kKinds = {name_of(ArrivalKind::event), name_of(ArrivalKind::tick), name_of(ArrivalKind::nmi),
                               name_of(ArrivalKind::exception)};

std::uint64_t register_maximum(const Entry& entry) {
  return entry.width() == Width::k64 ? ~std::uint64_t{0} : kMaxWord;
}

template <typename T>
void read_integer(const TomlReader& reader, std::string_view key, std::uint64_t maximum, T& result) {
  if (const std::optional<std::uint64_t> value = reader.integer(key, maximum)) result = static_cast<T>(*value);
}

template <typename T>
void read_word(const TomlReader& reader, std::string_view key, std::span<const std::string_view> words, T& result) {
  if (const std::optional<std::size_t> index = reader.word(key, words)) result = static_cast<T>(*index);
}

bool may_be(const Vector& vector, bool exceptions_only) {
  return !exceptions_only || vector.description.kind == DeliveryKind::exception;
}

/// Index of the vector that the key names; the first that may be where the key is absent.
std::uint8_t read_vector(const TomlReader& reader, const Entry& entry, bool exceptions_only) {
  std::vector<std::string_view> names;
  for (const Vector& vector : entry.vectors) {
    if (may_be(vector, exceptions_only)) names.push_back(vector.description.name);
  }
  const std::optional<std::size_t> chosen = reader.word("vector", names);
  const std::string_view name = names.empty() ? std::string_view() : names[chosen.value_or(0)];
  for (std::size_t i = 0; i < entry.vectors.size(); ++i) {
    const Vector& vector = entry.vectors[i];
    if (may_be(vector, exceptions_only) && vector.description.name == name) return static_cast<std::uint8_t>(i);
  }
  return 0;  // no exceptions: what is wrong then is the arrival's kind
}

std::string flag_words() {
  std::string words;
  for (const FlagName& flag : context_flag_names()) words += fmt::format("{}{}", words.empty() ? "" : ", ", flag.name);
  return words;
}

std::uint64_t flag_bit(const toml::node& name) {
  for (const FlagName& flag : context_flag_names()) {
    if (name.is_string() && name.as_string()->get() == flag.name) return flag.bit;
  }
  return 0;
}

/// A list of names, or the bits as an integer.
std::uint64_t read_flags(const TomlReader& reader) {
  const toml::node* node = reader.find("rflags");
  if (node == nullptr) return 0;
  std::optional<std::uint64_t> bits = unsigned_value(*node);
  if (const toml::array* names = node->as_array()) {
    bits = 0;
    for (const toml::node& name : *names) {
      const std::uint64_t bit = flag_bit(name);
      bits = bit == 0 ? ~std::uint64_t{0} : *bits | bit;
    }
  }
  if (!bits || (*bits & ~kContextFlags) != 0) {
    reader.refuse("rflags", fmt::format("expected a list of {}, or an integer of these bits ({:#x})", flag_words(),
                                        kContextFlags));
  }
  return *bits;
}

void read_registers(const TomlReader& context, const Entry& entry, Context& c) {
  for (std::size_t i = 0; i < gpr_count(entry.width()); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    if (gpr != Gpr::rsp) c.gpr[i] = register_tag(gpr, entry.width());
  }
  const std::optional<TomlReader> registers = context.table("registers");
  if (!registers) return;
  registers->for_each_key([&](std::string_view key) {
    const std::optional<Gpr> gpr = gpr_from_name(key, entry.width());
    if (!gpr) registers->refuse(key, "unknown key; expected a general-purpose register of the entry's width");
    if (*gpr == Gpr::rsp) registers->refuse(key, "unknown key; the stack pointer follows from stack and stack_offset");
    read_integer(*registers, key, register_maximum(entry), c.gpr[static_cast<std::size_t>(*gpr)]);
  });
}

/// An event context whose pending byte is not said has the first of the entry's values.
void read_events(const TomlReader& reader, const Entry& entry, Context& c) {
  read_integer(reader, "mask", kMaxByte, c.mask);
  const bool event = entry.vectors[c.vector].description.kind == DeliveryKind::event;
  if (event) c.pending = entry.description.pending_values.front();
  read_integer(reader, "pending", kMaxByte, c.pending);
  read_integer(reader, "port", kPortCount - 1, c.port);
  if (const std::optional<std::uint64_t> port = reader.integer("masked_port", kPortCount - 1)) {
    c.has_masked_port = true;
    c.masked_port = static_cast<std::uint8_t>(*port);
  }
  c.nmi_masked = reader.boolean("nmi_masked").value_or(false);
}

Context read_context(const TomlReader& reader, const Entry& entry) {
  reader.allow(kContextKeys);
  Context c;
  c.vector = read_vector(reader, entry, false);
  read_integer(reader, "error_code", kMaxShort, c.error_code);
  read_word(reader, "mode", kModes, c.mode);
  read_word(reader, "stack", kStacks, c.stack);
  read_integer(reader, "stack_offset", kStackOffsets - 1, c.stack_offset);
  read_word(reader, "place", kPlaces, c.place);
  read_integer(reader, "place_offset", kMaxShort, c.place_offset);
  read_events(reader, entry, c);
  c.null_data_segments = reader.boolean("null_data_segments").value_or(false);
  c.rflags = read_flags(reader);
  read_registers(reader, entry, c);
  return c;
}

void read_calls(const TomlReader& reader, std::string_view key, bool EventAction::*what, Scenario& scenario) {
  const std::string expected = fmt::format("a list of calls of the event handler, from 0 to {}", kActionCalls - 1);
  const toml::array* calls = reader.array(key, expected);
  if (calls == nullptr) return;
  for (const toml::node& call : *calls) {
    const std::optional<std::uint64_t> index = unsigned_value(call);
    if (!index || *index >= kActionCalls) reader.refuse(key, fmt::format("expected {}", expected));
    scenario.event_actions[*index].*what = true;
  }
}

void read_handler(const TomlReader& reader, const Entry& entry, Scenario& scenario) {
  reader.allow(kHandlerKeys);
  read_calls(reader, "nested_event", &EventAction::nested_event, scenario);
  read_calls(reader, "unmask_port", &EventAction::unmask_port, scenario);
  read_calls(reader, "set_work_flag", &EventAction::set_work_flag, scenario);
  FrameWrite& write = scenario.frame_write;
  write.rax = reader.find("write_rax") != nullptr;
  read_integer(reader, "write_rax", register_maximum(entry), write.rax_value);
  write.rip = reader.find("write_rip_offset") != nullptr;
  read_integer(reader, "write_rip_offset", kResumePlaces - 1, write.rip_offset);
}

/// A tick with a pending byte that is not 0 is a spurious one.
void read_arrival_pending(const TomlReader& reader, const Entry& entry, Arrival& arrival) {
  const bool event = arrival.kind == ArrivalKind::event;
  const std::optional<std::uint64_t> pending = reader.integer("pending", kMaxByte);
  if (pending && !event && arrival.kind != ArrivalKind::tick)
    reader.refuse("pending", "only an event or a tick has one");
  arrival.spurious = !event && pending.value_or(0) != 0;
  if (event) arrival.pending_value = entry.description.pending_values.front();
  if (pending && arrival.sets_pending()) arrival.pending_value = static_cast<std::uint8_t>(*pending);
}

Arrival read_arrival(const TomlReader& reader, const Entry& entry) {
  reader.allow(kArrivalKeys);
  Arrival arrival;
  if (reader.find("kind") == nullptr) reader.refuse("kind", fmt::format("missing; expected one of {}", join(kKinds)));
  read_word(reader, "kind", kKinds, arrival.kind);
  read_integer(reader, "distance", kMaxShort, arrival.distance);
  read_integer(reader, "port", kPortCount - 1, arrival.port);
  read_arrival_pending(reader, entry, arrival);
  if (arrival.kind == ArrivalKind::exception) {
    arrival.vector = read_vector(reader, entry, true);
  } else {
    for (const std::string_view key : {"vector", "error_code"}) {
      if (reader.find(key) != nullptr) reader.refuse(key, "only an exception has one");
    }
  }
  if (arrival.kind != ArrivalKind::event && reader.find("port") != nullptr) {
    reader.refuse("port", "only an event has one");
  }
  read_integer(reader, "error_code", kMaxShort, arrival.error_code);
  return arrival;
}

void read_arrivals(const TomlReader& reader, const Entry& entry, Scenario& scenario) {
  const toml::array* arrivals = reader.array("arrival", "an array of tables, [[arrival]]");
  if (arrivals == nullptr) return;
  if (arrivals->size() > kMaxArrivals) reader.refuse("arrival", fmt::format("expected at most {}", kMaxArrivals));
  scenario.arrival_count = static_cast<std::uint8_t>(arrivals->size());
  for (std::size_t i = 0; i < arrivals->size(); ++i) {
    scenario.arrivals[i] = read_arrival(reader.element("arrival", *arrivals, i), entry);
  }
}

ScenarioNotes read_notes(const TomlReader& reader) {
  return {reader.text("entry").value_or(""), reader.text("signature").value_or(""),
          reader.text("explanation").value_or("")};
}

/// Where a key that was read stands; otherwise where its table does.
toml::source_position position_of(const std::string& key, const KeyPositions& positions, const toml::table& root) {
  std::string name = key;
  while (!name.empty()) {
    const auto found = positions.find(name);
    if (found != positions.end()) return found->second;
    const std::size_t parent = name.find_last_of(".[");
    name.resize(parent == std::string::npos ? 0 : parent);
  }
  return root.source().begin;
}

}  // namespace

ParsedScenario from_toml(std::string_view text, const std::string& file, const Entry& entry) {
  const toml::table root = parse_toml(text, file);
  KeyPositions positions;
  const TomlReader reader(root, "", file, positions);
  reader.allow(kTopKeys);
  ParsedScenario parsed;
  parsed.notes = read_notes(reader);
  const toml::table nothing;
  const TomlReader defaults(nothing, "context.", file, positions);
  parsed.scenario.context = read_context(reader.table("context").value_or(defaults), entry);
  if (const std::optional<TomlReader> handler = reader.table("handler")) read_handler(*handler, entry, parsed.scenario);
  read_arrivals(reader, entry, parsed.scenario);
  if (const std::optional<Refusal> refused = refusal(parsed.scenario, entry)) {
    fail_at(file, position_of(refused->key, positions, root), refused->key, refused->why);
  }
  return parsed;
}

std::string entry_of_toml(std::string_view text, const std::string& file) {
  const toml::table root = parse_toml(text, file);
  KeyPositions positions;
  return TomlReader(root, "", file, positions).text("entry").value_or("");
}

}  // namespace framefold
