#include "image/description.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>

#include "image/description_keys.hpp"
#include "image/description_rules.hpp"
#include "image/description_tree.hpp"
#include "image/parse_checked.hpp"
#include "image/toml_text.hpp"

namespace framefold {
namespace {

constexpr std::array<std::string_view, 3> kDeliveryNames = {"event", "exception", "nmi"};
constexpr std::array<std::string_view, kKnownConditionCount> kConditionNames = {
    "marked", "if-set",    "if-clear", "user",    "kernel",      "on-thread",     "on-interrupt",
    "event",  "exception", "nmi",      "null-ds", "odd-pending", "rip-in-region", "misaligned"};

// What follows reads a tree that check_tree has passed: what is there has its type, what is required is there.
std::string text_of(const toml::table& table, std::string_view key) { return table[key].value_or(std::string()); }
bool flag_of(const toml::table& table, std::string_view key, bool otherwise) { return table[key].value_or(otherwise); }

std::int64_t integer_of(const toml::table& table, std::string_view key) { return table[key].value_or(std::int64_t{0}); }

/// Of the key at `path`, whose row says what it is where the table does not.
std::uint32_t integer_or_default(const toml::table& table, std::string_view path) {
  const KeySpec& key = *find_key(path);
  return static_cast<std::uint32_t>(table[name_of_key(key)].value_or(key.otherwise.value()));
}

std::vector<std::string> texts_of(const toml::table& table, std::string_view key) {
  std::vector<std::string> texts;
  if (const toml::array* list = table[key].as_array()) {
    for (const toml::node& element : *list) texts.push_back(element.value_or(std::string()));
  }
  return texts;
}

StackDescription stack_of(const toml::table& table) {
  return {text_of(table, "symbol"), static_cast<std::uint64_t>(integer_of(table, "size"))};
}

std::optional<std::int64_t> returns_of(const toml::table& table, std::optional<std::int64_t> otherwise = {}) {
  return table.contains("returns") ? integer_of(table, "returns") : otherwise;
}

VectorDescription vector_of(const toml::table& table, std::string key, const HandlerDescription& handler) {
  VectorDescription vector;
  vector.key = std::move(key);
  vector.name = text_of(table, "name");
  vector.kind = text_of(table, "kind") == "event" ? DeliveryKind::event : DeliveryKind::exception;
  const bool event = vector.kind == DeliveryKind::event;
  vector.number = static_cast<std::uint8_t>(integer_of(table, "number"));
  vector.symbol = text_of(table, "symbol");
  vector.error_code = flag_of(table, "error_code", false);
  vector.masks_events = flag_of(table, "masks_events", event);
  vector.common_exit = flag_of(table, "common_exit", true);
  vector.handler = event ? handler.symbol : text_of(table, "handler");
  vector.returns = returns_of(table, handler.returns);
  return vector;
}

VectorDescription nmi_of(const toml::table& table, const HandlerDescription& handler) {
  VectorDescription vector;
  vector.key = "nmi";
  vector.name = "nmi";
  vector.kind = DeliveryKind::nmi;
  vector.number = 2;
  vector.symbol = text_of(table, "symbol");
  vector.masks_events = true;
  vector.common_exit = flag_of(table, "common_exit", true);
  vector.marks = flag_of(table, "marks", false);
  vector.handler = text_of(table, "handler");
  vector.returns = returns_of(table, handler.returns);
  return vector;
}

std::vector<VectorDescription> vectors_of(const toml::table& root, const HandlerDescription& handler) {
  std::vector<VectorDescription> vectors;
  const toml::array& list = *root["vectors"].as_array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    vectors.push_back(vector_of(*list[i].as_table(), fmt::format("vectors[{}]", i), handler));
  }
  if (const toml::table* nmi = root["nmi"].as_table()) vectors.push_back(nmi_of(*nmi, handler));
  return vectors;
}

// A register's name, or `nothing` ("stack", "none") for no register.
std::optional<Gpr> gpr_of(const Description& d, const toml::table& table, std::string_view key,
                          std::string_view nothing) {
  const std::string name = table[key].value_or(std::string(nothing));
  if (name == nothing) return std::nullopt;
  const std::optional<Gpr> gpr = gpr_from_name(name, d.width);
  if (!gpr || *gpr == Gpr::rsp) {
    throw description_error(
        d, fmt::format("handler.{}", key),
        fmt::format("expected a register of a {}-bit guest, not its stack pointer, or \"{}\", found \"{}\"",
                    d.width == Width::k64 ? 64 : 32, nothing, name.substr(0, 40)));
  }
  return gpr;
}

HandlerDescription handler_of(const Description& d, const toml::table& table) {
  HandlerDescription handler;
  handler.symbol = text_of(table, "symbol");
  handler.argument = gpr_of(d, table, "argument", "stack");
  handler.error_code_argument = gpr_of(d, table, "error_code_argument", "none");
  handler.stack_alignment = static_cast<std::uint32_t>(integer_of(table, "stack_alignment"));
  handler.returns = returns_of(table);
  return handler;
}

StacksDescription stacks_of(const toml::table& table) {
  StacksDescription stacks;
  stacks.thread = stack_of(*table["thread"].as_table());
  if (const toml::table* interrupt = table["interrupt"].as_table()) {
    stacks.interrupt = stack_of(*interrupt);
    stacks.interrupt_pointer = text_of(*interrupt, "pointer");
  }
  if (const toml::table* kernel = table["kernel"].as_table()) stacks.kernel = stack_of(*kernel);
  if (const toml::table* nesting = table["nesting"].as_table()) {
    stacks.nesting_count = text_of(*nesting, "symbol");
    stacks.on_thread = integer_of(*nesting, "on_thread");
    stacks.on_interrupt = integer_of(*nesting, "on_interrupt");
  }
  return stacks;
}

/// Rows of a symbol and a size.
template <typename Row>
std::vector<Row> sized_rows_of(toml::node_view<const toml::node> list) {
  std::vector<Row> rows;
  if (const toml::array* const array = list.as_array()) {
    for (const toml::node& element : *array) {
      const toml::table& table = *element.as_table();
      rows.push_back({text_of(table, "symbol"), static_cast<std::uint64_t>(integer_of(table, "size"))});
    }
  }
  return rows;
}

std::vector<CallDescription> calls_of(const toml::table& root) {
  std::vector<CallDescription> calls;
  const toml::array* const list = root["calls"].as_array();
  if (list == nullptr) return calls;
  for (const toml::node& element : *list) {
    const toml::table& table = *element.as_table();
    CallDescription call;
    call.symbol = text_of(table, "symbol");
    call.has_value = table.contains("returns");
    call.returns = integer_of(table, "returns");
    call.clobbers = flag_of(table, "clobbers", true);
    call.sets = text_of(table, "sets");
    call.to = integer_or_default(table, "calls[].to");
    call.takes_event = flag_of(table, "takes_event", false);
    call.never = flag_of(table, "never", false);
    calls.push_back(std::move(call));
  }
  return calls;
}

// Registers that differ in name only between the widths get one name, so that a comparison needs one.
std::string common_slot_name(std::string_view written) {
  if (written == "eip") return "rip";
  if (written == "eflags") return "rflags";
  if (written == "esp") return "rsp";
  return std::string(written);
}

FrameDescription frame_of(const Description& d, const toml::table& table) {
  FrameDescription frame;
  frame.size = static_cast<std::uint32_t>(integer_of(table, "size"));
  const toml::table& slots = *table["slots"].as_table();
  for (const auto& [name, node] : slots) {
    check_slot_name(d, std::string(name.str()));
    frame.slots.push_back({common_slot_name(name.str()), static_cast<std::uint32_t>(node.value_or(std::int64_t{0}))});
  }
  std::stable_sort(frame.slots.begin(), frame.slots.end(),
                   [](const FrameSlot& a, const FrameSlot& b) { return a.offset < b.offset; });
  return frame;
}

// The kinds of violations are known only to folders that build on this one: here a kind is a word, and no more.
std::vector<KnownDescription> known_of(const toml::table& root) {
  std::vector<KnownDescription> known;
  const toml::array* list = root["known"].as_array();
  if (list == nullptr) return known;
  for (const toml::node& element : *list) {
    const toml::table& table = *element.as_table();
    KnownDescription row;
    row.kind = text_of(table, "kind");
    const std::vector<std::string> at = texts_of(table, "at");
    row.first = at.front();
    row.last = at.back();
    for (const std::string& name : texts_of(table, "when")) row.when.push_back(known_condition_from_name(name).value());
    row.why = text_of(table, "why");
    row.reproducer = text_of(table, "reproducer");
    known.push_back(std::move(row));
  }
  return known;
}

std::vector<EquivalentDescription> equivalent_mutants_of(const toml::table& root) {
  std::vector<EquivalentDescription> rows;
  const toml::array* list = root["equivalent_mutants"].as_array();
  if (list == nullptr) return rows;
  for (const toml::node& element : *list) {
    const toml::table& table = *element.as_table();
    using Same = EquivalentDescription::Same;
    rows.push_back({texts_of(table, "at"), texts_of(table, "faults"), text_of(table, "why"),
                    text_of(table, "same") == "ends" ? Same::ends : Same::ways});
  }
  return rows;
}

void read_optional_tables(Description& d, const toml::table& root) {
  if (const toml::table* region = root["region"].as_table()) {
    d.region = {text_of(*region, "start"), text_of(*region, "end"), text_of(*region, "restore_end"),
                text_of(*region, "table")};
  }
  if (const toml::table* work_flag = root["work_flag"].as_table()) {
    d.work_flag = {text_of(*work_flag, "symbol"), integer_or_default(*work_flag, "work_flag.mask")};
  }
  d.counters = sized_rows_of<CounterDescription>(root["entry_data"]["counters"]);
  d.calls = calls_of(root);
  d.data = sized_rows_of<DataDescription>(root["data"]);
  if (const toml::array* segments = root["segments"].as_array()) {
    for (const toml::node& element : *segments) {
      const toml::table& segment = *element.as_table();
      d.segments.push_back({static_cast<std::uint16_t>(integer_of(segment, "selector")), text_of(segment, "base")});
    }
  }
  d.symbols = texts_of(root, "symbols");
  if (const toml::array* values = root["pending_values"].as_array()) {
    d.pending_values.clear();
    for (const toml::node& value : *values) {
      d.pending_values.push_back(static_cast<std::uint8_t>(value.value_or(std::int64_t{1})));
    }
  }
}

void read_tree(Description& d, const toml::table& root) {
  d.name = text_of(root, "name");
  d.summary = text_of(root, "summary");
  d.nests = flag_of(root, "nests", false);
  d.hypercall_page = text_of(root, "hypercall_page");
  d.gs_base = text_of(root, "gs_base");
  d.fs_base = text_of(root, "fs_base");
  d.handler = handler_of(d, *root["handler"].as_table());
  d.vectors = vectors_of(root, d.handler);
  d.stacks = stacks_of(*root["stacks"].as_table());
  if (const toml::table* const vcpu_info = root["vcpu_info"].as_table()) {
    d.vcpu_info = {text_of(*vcpu_info, "pointer"), text_of(*vcpu_info, "symbol"),
                   integer_or_default(*vcpu_info, "vcpu_info.index"),
                   integer_or_default(*vcpu_info, "vcpu_info.stride")};
  }
  d.frame = frame_of(d, *root["frame"].as_table());
  d.known = known_of(root);
  d.equivalent_mutants = equivalent_mutants_of(root);
  read_optional_tables(d, root);
}

void read_modes(Description& d, const toml::table& root) {
  const std::vector<std::string> modes = texts_of(root, "modes");
  d.user_mode = std::find(modes.begin(), modes.end(), "user") != modes.end();
  if (std::find(modes.begin(), modes.end(), "kernel") == modes.end()) {
    throw description_error(d, "modes", "expected \"kernel\" among them");
  }
}

}  // namespace

InputError::InputError(std::string line)
    : std::runtime_error([&] {
        constexpr std::size_t kLongest = 2000;
        constexpr std::size_t kKeptEnd = 300;
        constexpr std::string_view kLeftOut = " ... ";
        if (line.size() > kLongest) {
          line.replace(kLongest - kKeptEnd - kLeftOut.size(), line.size() - kLongest + kLeftOut.size(), kLeftOut);
        }
        for (char& c : line) {
          if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
        }
        return std::move(line);
      }()) {}

std::string_view name_of(DeliveryKind kind) { return kDeliveryNames.at(static_cast<std::size_t>(kind)); }

std::string_view name_of(KnownCondition condition) { return kConditionNames.at(static_cast<std::size_t>(condition)); }

std::optional<KnownCondition> known_condition_from_name(std::string_view name) {
  const auto found = std::find(kConditionNames.begin(), kConditionNames.end(), name);
  if (found == kConditionNames.end()) return std::nullopt;
  return static_cast<KnownCondition>(found - kConditionNames.begin());
}

namespace {

/// Of the key, or of the table that it would be in.
SourcePlace place_of(const Description& description, std::string_view key) {
  for (std::string_view path = key; !path.empty();) {
    const auto found = description.positions.find(path);
    if (found != description.positions.end()) return found->second;
    const std::size_t end = path.find_last_of(".[");
    path = end == std::string_view::npos ? std::string_view{} : path.substr(0, end);
  }
  return {};
}

}  // namespace

InputError description_error(const Description& description, std::string_view key, std::string_view text) {
  const SourcePlace place = place_of(description, key);
  return InputError(fmt::format("{}:{}:{}: {}: {}", description.file, place.line, place.column, key, text));
}

std::string key_and_line(const Description& description, std::string_view key) {
  return fmt::format("{} ({}:{})", key, description.file, place_of(description, key).line);
}

Description parse_description(std::string_view text, const std::string& file) { return parse_checked(text, file, {}); }

Description parse_checked(std::string_view text, const std::string& file, const WidthCheck& check_width) {
  Description description;
  description.file = file;
  const toml::table root = parse_toml(text, file);
  check_tree(root, description);
  description.image = text_of(root, "image");
  description.width = integer_of(root, "width") == 64 ? Width::k64 : Width::k32;
  if (check_width) check_width(description);
  read_modes(description, root);
  read_tree(description, root);
  check_rules(description);
  // Everybody else relies on the callback being the first; the NMI is the last already.
  std::stable_partition(description.vectors.begin(), description.vectors.end(),
                        [](const VectorDescription& vector) { return vector.kind == DeliveryKind::event; });
  return description;
}

}  // namespace framefold
