#include "check/repair.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "check/check_entry.hpp"
#include "check/repair_lines.hpp"
#include "image/description_rules.hpp"
#include "survey/code_clues.hpp"

namespace framefold {

namespace {

/// The key, and what it should say.
struct Repair {
  std::string key;       // "gs_base", "calls[1].returns"
  std::string expected;  // as the description would write it
  bool only = true;      // false: what the complaint names would help as well
};

/// Each try runs the entry's code up to where it goes wrong, a few milliseconds.
constexpr std::size_t kMostTries = 256;

std::string key_of(const Entry& entry, const std::string& complaint) {
  const std::size_t place = entry.description.file.size();
  const std::size_t key = complaint.find(": ", place);
  if (key == std::string::npos) return "";
  return complaint.substr(key + 2, complaint.find(": ", key + 2) - key - 2);
}

class Repairer {
 public:
  Repairer(const Entry& entry, const std::string& complaint)
      : original_(entry), copy_(entry), complaint_(complaint), key_(key_of(entry, complaint)) {}

  std::optional<Repair> find() {
    // What a wrong base leads to is found in code's way, its data and its stacks.
    constexpr std::array<const char*, 6> kByBases = {"vectors[", "nmi.symbol", "vcpu_info",
                                                     "stacks.",  "entry_data", "image"};
    const auto starts = [this](const char* start) { return key_.starts_with(start); };
    if (std::any_of(kByBases.begin(), kByBases.end(), starts) && !lacks_a_stack()) try_bases();
    if (repair_ && key_.starts_with("vcpu_info.")) repair_->only = !another_index_helps() && !another_pointer_helps();
    if (key_.starts_with("frame.slots.")) try_callbacks();
    try_callbacks_instead();
    const bool at_vector = key_.starts_with("vectors[") || key_.starts_with("nmi.");
    if (key_.ends_with(".masks_events")) return std::nullopt;
    if (at_vector || key_ == "image" || key_ == "handler.symbol") try_handlers();
    // Of two vectors that seem to call one function, it may be the event's line.
    const bool by_two = complaint_.find("another function than the event handler's") != std::string::npos;
    if (key_ == "image" || key_ == "handler.argument" || by_two) try_event_handlers();
    if (at_vector && key_.ends_with(".symbol")) {
      try_returns();
      try_calls();
    }
    if (!repair_) try_exchanges();
    return repair_;
  }

 private:
  bool done() const { return repair_ || tries_ >= kMostTries; }

  /// `change`s the copy, and back where that does not help.
  void attempt(const std::string& key, const std::string& expected, const std::function<void(Entry&)>& change,
               const std::function<void(Entry&)>& undo) {
    if (done() || key == key_) return;
    ++tries_;
    change(copy_);
    try {
      check_as_described(copy_);
      repair_ = Repair{key, expected};
    } catch (const InputError&) {
      undo(copy_);
    }
  }

  std::vector<const Symbol*> symbols(bool code) const {
    std::vector<const Symbol*> found;
    for (const Symbol& symbol : original_.symbols) {
      const auto executable = [&](const LoadSegment& segment) {
        return segment.executable && symbol.address - segment.address < segment.bytes.size();
      };
      const bool is_code = std::any_of(original_.segments.begin(), original_.segments.end(), executable);
      const bool known = !found.empty() && found.back()->address == symbol.address;
      if (is_code == code && !known) found.push_back(&symbol);
    }
    return found;
  }

  /// Zeroes, mostly, with which much holds. Per-CPU data may begin with the interrupt stack.
  bool is_in_stack(GuestAddress at) const {
    const std::optional<StackRange>& interrupt = original_.interrupt_stack;
    const std::optional<StackRange>& kernel = original_.kernel_stack;
    return original_.thread_stack.range.contains(at) || (kernel && kernel->range.contains(at)) ||
           (interrupt && interrupt->range.contains(at) && at != interrupt->range.begin);
  }

  /// The end of one thing may be where the next begins.
  std::string names_at(GuestAddress at) const {
    std::set<std::string> names;
    for (const Symbol& symbol : original_.symbols) {
      if (symbol.address == at && !symbol.name.empty()) names.insert(symbol.name);
    }
    return fmt::format("{}", fmt::join(names, " or "));
  }

  void try_base(const std::string& key, GuestAddress& base, const GuestAddress& first) {
    if (first == GuestAddress{}) return;
    for (const Symbol* symbol : symbols(false)) {
      if (is_in_stack(symbol->address)) continue;
      attempt(
          key, names_at(symbol->address), [&](Entry&) { base = symbol->address; }, [&](Entry&) { base = first; });
    }
  }

  void try_bases() {
    try_base("gs_base", copy_.gs_base, original_.gs_base);
    try_base("fs_base", copy_.fs_base, original_.fs_base);
    for (std::size_t i = 0; i < original_.segment_bases.size(); ++i) {
      try_base(fmt::format("segments[{}].base", i), copy_.segment_bases[i], original_.segment_bases[i]);
    }
  }

  /// Code that switches stacks without a line that says where to: with a base over zeroes it may not, which is no
  /// better.
  bool lacks_a_stack() const { return !original_.interrupt_stack && key_ == "stacks.interrupt"; }

  /// Code that finds its vCPU's number through a base may as well be right, and the described vCPU another one.
  bool another_index_helps() {
    VcpuInfoDescription& info = copy_.description.vcpu_info;
    copy_ = original_;
    for (info.index = 0; info.index < kMostVcpus; ++info.index) {
      try {
        check_as_described(copy_);
        return true;
      } catch (const InputError&) {  // nor does this one
      }
    }
    return false;
  }

  /// A word beside the described one: where it lies is the base's word as well as the pointer's.
  bool another_pointer_helps() {
    constexpr std::uint64_t kBeside = 64;
    if (key_ != "vcpu_info.pointer") return false;
    const unsigned word = word_size(original_.width());
    copy_ = original_;
    for (std::uint64_t distance = 0; distance < 2 * kBeside; distance += word / 2) {
      const GuestAddress at = original_.vcpu_info - kBeside + distance;
      const auto holds_it = [=](const LoadSegment& segment) {
        return segment.writable && at >= segment.address && at - segment.address + word <= segment.bytes.size();
      };
      if (std::none_of(original_.segments.begin(), original_.segments.end(), holds_it)) continue;
      copy_.vcpu_info = at;
      try {
        check_as_described(copy_);
        return true;
      } catch (const InputError&) {  // nor is it there
      }
    }
    return false;
  }

  /// Where code is entered behind its first instructions, or before, some of its frame is not what it would be.
  void try_callbacks() {
    for (std::size_t i = 0; i < original_.vectors.size(); ++i) {
      const VectorDescription& description = original_.vectors[i].description;
      if (complaint_.find(fmt::format(" of {}, ", description.name)) == std::string::npos) continue;
      try_callbacks_of(i);
      if (repair_) repair_->only = true;
    }
  }

  void try_callbacks_of(std::size_t i) {
    for (const Symbol* symbol : symbols(true)) {
      if (symbol->address == original_.vectors[i].address) continue;
      attempt(
          original_.vectors[i].description.key + ".symbol", symbol->name,
          [&](Entry& entry) {
            entry.vectors[i].address = symbol->address;
            entry.vectors[i].description.symbol = symbol->name;
          },
          [&](Entry& entry) { entry.vectors[i] = original_.vectors[i]; });
    }
  }

  std::string handler_key(std::size_t i) const { return i == 0 ? "handler.symbol" : key_of_vector(i) + ".handler"; }
  const std::string& key_of_vector(std::size_t i) const { return original_.vectors[i].description.key; }

  /// Code that is entered elsewhere calls another function, on another stack, or what nobody describes. Where nothing
  /// else mends the described handler, and where a described stack is one that the code switches to, it is that line.
  void try_callbacks_instead() {
    constexpr std::array<const char*, 5> kByCallbacks = {"stacks.interrupt", "image", "segments", "calls[", "handler."};
    for (std::size_t i = 0; i < original_.vectors.size() && !done(); ++i) {
      const bool named = is_named(i) || key_.starts_with("calls[");
      const bool concerned = std::any_of(kByCallbacks.begin(), kByCallbacks.end(),
                                         [this](const char* start) { return key_.starts_with(start); });
      if (key_ != handler_key(i) && !(named && concerned)) continue;
      try_callbacks_of(i);
      if (!repair_) continue;
      const bool by_stack = key_.starts_with("stacks.interrupt") && original_.interrupt_stack;
      repair_->only = by_stack || (key_ == handler_key(i) && (is_entered_by_two(i) || !another_handler_helps(i)));
    }
  }

  /// Another vector is entered there as well, and says that another handler is called.
  bool is_entered_by_two(std::size_t i) const {
    return std::any_of(original_.vectors.begin(), original_.vectors.end(), [&](const Vector& other) {
      return other.address == original_.vectors[i].address && other.handler != original_.vectors[i].handler;
    });
  }

  /// Two names that stand in each other's line, of a vector that the complaint is about: its two, or one of it and the
  /// same of another vector.
  void try_exchanges() {
    copy_ = original_;
    for (std::size_t i = 0; i < original_.vectors.size(); ++i) {
      if (key_ != handler_key(i) && !key_.starts_with(key_of_vector(i) + ".") && !is_named(i)) continue;
      try_exchange(symbol_of(i), handler_of(i));
      for (std::size_t other = 0; other < original_.vectors.size(); ++other) {
        if (other == i) continue;
        try_exchange(symbol_of(i), symbol_of(other));
        try_exchange(handler_of(i), handler_of(other));
      }
    }
  }

  /// A line that names a place in the code.
  struct CodeLine {
    std::string key;
    GuestAddress* address;
    std::string* name;
  };
  CodeLine symbol_of(std::size_t i) {
    Vector& vector = copy_.vectors[i];
    return {vector.description.key + ".symbol", &vector.address, &vector.description.symbol};
  }
  CodeLine handler_of(std::size_t i) {
    Vector& vector = copy_.vectors[i];
    return {handler_key(i), &vector.handler, &vector.description.handler};
  }

  void try_exchange(const CodeLine& one, const CodeLine& other) {
    if (repair_ || *one.address == *other.address) return;
    std::swap(*one.address, *other.address);
    std::swap(*one.name, *other.name);
    try {
      check_as_described(copy_);
      const auto place = original_.description.positions.find(other.key);
      const std::string line = place == original_.description.positions.end()
                                   ? ""
                                   : fmt::format(" ({}:{})", original_.description.file, place->second.line);
      repair_ = Repair{one.key, fmt::format("{}, and {}{} {}", *one.name, other.key, line, *other.name), true};
    } catch (const InputError&) {
      std::swap(*one.address, *other.address);
      std::swap(*one.name, *other.name);
    }
  }

  bool is_named(std::size_t i) const {
    const std::string& name = original_.vectors[i].description.name;
    return complaint_.find(name + ", kernel on ") != std::string::npos ||
           complaint_.find(name + ", user") != std::string::npos;
  }

  static void set_handler(Entry& entry, std::size_t i, const Symbol& symbol) {
    entry.vectors[i].handler = symbol.address;
    entry.vectors[i].description.handler = symbol.name;
  }

  bool another_handler_helps(std::size_t i) {
    copy_ = original_;
    for (const Symbol* symbol : functions()) {
      if (++tries_ > kMostTries) return true;  // nobody knows
      set_handler(copy_, i, *symbol);
      try {
        check_as_described(copy_);
        return true;
      } catch (const InputError&) {  // nor is it this one
      }
    }
    return false;
  }

  /// Where something else is taken for the event's handler, no frame may be where it should be, or the handler itself
  /// is what nobody describes. Of an argument that was measured, it is not that.
  void try_event_handlers() {
    if (complaint_.find(": there the handler of ") != std::string::npos) return;
    for (const Symbol* symbol : functions()) {
      if (symbol->address == original_.event().handler) continue;
      attempt(
          "handler.symbol", symbol->name, [&](Entry& entry) { set_handler(entry, 0, *symbol); },
          [&](Entry& entry) { entry.vectors[0] = original_.vectors[0]; });
    }
    if (repair_ && repair_->key == "handler.symbol" && key_ != "image") repair_->only = true;
  }

  /// Functions, those that are handlers already and those that nobody defines before the rest.
  std::vector<const Symbol*> functions() const {
    std::vector<const Symbol*> found = symbols(true);
    std::stable_partition(found.begin(), found.end(), [&](const Symbol* symbol) {
      const auto handles = [&](const Vector& vector) { return vector.handler == symbol->address; };
      return symbol->global || std::any_of(original_.vectors.begin(), original_.vectors.end(), handles);
    });
    return found;
  }

  /// Those of exceptions and the NMI, which may be reached on the event's way as well. The event's own is measured.
  void try_handlers() {
    const std::vector<const Symbol*> candidates = functions();
    for (std::size_t i = 1; i < original_.vectors.size(); ++i) {
      const VectorDescription& description = original_.vectors[i].description;
      for (const Symbol* symbol : candidates) {
        const bool is_handler = original_.event().handler == symbol->address;
        if (is_handler || symbol->address == original_.vectors[i].handler) continue;
        attempt(
            description.key + ".handler", symbol->name, [&](Entry& entry) { set_handler(entry, i, *symbol); },
            [&](Entry& entry) { entry.vectors[i] = original_.vectors[i]; });
      }
    }
  }

  /// Numbers that the code may look for, the likely ones first.
  std::vector<std::int64_t> numbers() const {
    std::set<std::int64_t> compared;
    for (const Comparison& comparison : comparisons(original_.instructions, original_.width())) {
      const auto constant = static_cast<std::int64_t>(comparison.constant);
      if (constant >= INT32_MIN && constant <= UINT32_MAX) compared.insert(constant);
    }
    std::vector<std::int64_t> numbers = {0, 1};
    numbers.insert(numbers.end(), compared.begin(), compared.end());
    numbers.push_back(-1);
    return numbers;
  }

  /// What handlers return, where that is said: of all that say nothing else, or of one vector.
  void try_returns() {
    const Description& description = original_.description;
    const auto says_itself = [&](const Vector& vector) {
      return description.positions.count(vector.description.key + ".returns") != 0;
    };
    const auto try_those = [&](const std::string& key, const std::function<bool(const Vector&)>& concerned) {
      for (const std::int64_t number : numbers()) {
        const auto change = [&](Entry& entry) {
          for (Vector& vector : entry.vectors) {
            if (concerned(vector)) vector.description.returns = number;
          }
        };
        attempt(key, fmt::format("{}", number), change, [&](Entry& entry) { entry.vectors = original_.vectors; });
      }
    };
    if (description.handler.returns) {
      try_those("handler.returns", [&](const Vector& vector) { return !says_itself(vector); });
    }
    for (const Vector& own : original_.vectors) {
      if (!says_itself(own)) continue;
      const std::string key = own.description.key;
      try_those(key + ".returns", [&](const Vector& vector) { return vector.description.key == key; });
    }
  }

  void try_call(std::size_t i, const std::string& key, const std::string& expected,
                const std::function<void(CallDescription&)>& change) {
    attempt(
        fmt::format("calls[{}].{}", i, key), expected, [&](Entry& entry) { change(entry.calls[i].description); },
        [&](Entry& entry) { entry.calls[i].description = original_.calls[i].description; });
  }

  void try_calls() {
    for (std::size_t i = 0; i < original_.calls.size(); ++i) {
      const CallDescription& call = original_.calls[i].description;
      if (call.never) continue;
      try_call(i, "clobbers", call.clobbers ? "false" : "true", [](CallDescription& c) { c.clobbers = !c.clobbers; });
      try_call(i, "takes_event", call.takes_event ? "false" : "true",
               [](CallDescription& c) { c.takes_event = !c.takes_event; });
      for (const std::int64_t number : numbers()) {
        try_call(i, "returns", fmt::format("{}", number), [=](CallDescription& c) {
          c.has_value = true;
          c.returns = number;
        });
        if (call.sets.empty() || number < 0 || number > UINT32_MAX) continue;
        try_call(i, "to", fmt::format("{}", number),
                 [=](CallDescription& c) { c.to = static_cast<std::uint32_t>(number); });
      }
      if (!call.sets.empty()) try_words(i);
    }
  }

  void try_words(std::size_t i) {
    for (const Symbol* symbol : symbols(false)) {
      attempt(
          fmt::format("calls[{}].sets", i), symbol->name, [&](Entry& entry) { entry.calls[i].sets = symbol->address; },
          [&](Entry& entry) { entry.calls[i].sets = original_.calls[i].sets; });
    }
  }

  const Entry& original_;
  Entry copy_;
  std::string complaint_;
  std::string key_;
  std::size_t tries_ = 0;
  std::optional<Repair> repair_;
};

/// No stub is its own handler. As a handler it is no code of the entry's, whoever gets there.
std::string or_own_handler(const Entry& entry) {
  const auto own = std::find_if(entry.vectors.begin(), entry.vectors.end(), [](const Vector& vector) {
    return vector.description.kind != DeliveryKind::event && vector.address == vector.handler;
  });
  if (own == entry.vectors.end()) return "";
  const std::string& key = own->description.key;
  return fmt::format("; or another function in {} than in {}", key_and_line(entry.description, key + ".handler"),
                     key_and_line(entry.description, key + ".symbol"));
}

bool is_base(const std::string& key) { return key == "gs_base" || key == "fs_base" || key.starts_with("segments["); }

/// Of what is said by several lines together, those with which the description holds.
std::vector<OtherLine> lines_together(const Entry& entry, const std::string& key, const std::optional<Repair>& repair) {
  constexpr std::array<const char*, 8> kByWords = {"vectors[", "nmi.",       "stacks.", "vcpu_info",
                                                   "image",    "entry_data", "calls[",  "handler.symbol"};
  if (repair && !is_base(repair->key)) return {};
  if (key.starts_with("vcpu_info")) {
    std::vector<OtherLine> lines = vcpu_info_lines(entry);
    if (!lines.empty()) return lines;
  }
  const auto starts = [&](const char* start) { return key.starts_with(start); };
  if (std::none_of(kByWords.begin(), kByWords.end(), starts)) return {};
  return interrupt_word_lines(entry, key);
}

/// Each of them helps alone, and so does `base`, where there is one.
InputError with_lines(const Entry& entry, const std::vector<OtherLine>& lines, const std::optional<Repair>& base,
                      const std::string& as_it_is) {
  std::string expected = lines.front().expected;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    expected += fmt::format(", or {} {}", key_and_line(entry.description, lines[i].key), lines[i].expected);
  }
  const std::string or_base = base ? fmt::format("; or {} = {}", base->key, base->expected) : "";
  const char* const with = lines.size() == 1 ? "it" : "one of them";
  return description_error(
      entry.description, lines.front().key,
      fmt::format("expected {}: with {} the description holds; as it is, {}{}", expected, with, as_it_is, or_base));
}

}  // namespace

InputError repaired(const Entry& entry, const InputError& error) {
  const std::string complaint = error.what();
  const std::size_t at = complaint.find(": ", entry.description.file.size());
  const std::string as_it_is = complaint.substr(at == std::string::npos ? 0 : at + 2);
  const std::string key = key_of(entry, complaint);
  const std::optional<Repair> repair = Repairer(entry, complaint).find();
  const std::vector<OtherLine> lines = lines_together(entry, key, repair);
  if (!lines.empty()) return with_lines(entry, lines, repair, as_it_is);
  if (!repair) {
    const std::string said = key.starts_with("vcpu_info.") ? vcpu_info_said(entry.description) : "";
    const std::string together = said.empty() ? "" : fmt::format("; {} together say which it is", said);
    return InputError(complaint + together + or_own_handler(entry));
  }
  if (!repair->only) return InputError(fmt::format("{}; or {} = {}", complaint, repair->key, repair->expected));
  return description_error(
      entry.description, repair->key,
      fmt::format("expected {}: with it the description holds; as it is, {}", repair->expected, as_it_is));
}

}  // namespace framefold
