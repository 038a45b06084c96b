#include "cli/settle_description.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "check/byte_accesses.hpp"
#include "check/check_entry.hpp"
#include "check/check_fault.hpp"
#include "image/description_rules.hpp"
#include "image/link_objects.hpp"
#include "machine/internal_error.hpp"
#include "survey/code_clues.hpp"
#include "survey/symbol_names.hpp"

namespace framefold {

namespace {

/// A description that was tried.
struct Tried {
  std::unique_ptr<const Entry> entry;
  CheckReport report;
  std::vector<std::string> traps;  // functions that nobody defines or describes
  std::string complaint;           // empty: it holds
};

class Settler {
 public:
  Settler(Survey survey, const std::string& path) : survey_(std::move(survey)), path_(path) {}

  FirstDescription settle() {
    best_ = attempt(survey_.first);
    describe_calls();
    try_infos();
    describe_calls();
    measure_info();
    describe_counters();
    try_nesting();
    try_marks();
    try_returns();
    ask_for_returns();
    find_bases();
    drop_vectors();
    ask_for_info();
    if (holds()) {
      note_common_exits();
      try_user_mode();
      find_region();
    } else {
      survey_.first.region_comment = "where events are unmasked shows once the lines above hold.";
      survey_.first.modes_comment =
          "guessed: whether \"user\" as well shows once all lines hold; stacks.kernel then says where kernel_sp points";
    }
    note_complaint();
    return std::move(survey_.first);
  }

 private:
  bool holds() const { return best_.complaint.empty(); }

  Tried attempt(const FirstDescription& first) const {
    Tried tried;
    try {
      Description description = parse_description(text_of(first), path_);
      const ImageFile image = read_image_file(description);
      tried.traps = image.traps;
      tried.entry = load_image(std::move(description), image);
      tried.report = check_as_described(*tried.entry);
    } catch (const InputError& error) {
      tried.complaint = error.what();
      const std::string place = path_ + ":";
      if (tried.complaint.starts_with(place)) tried.complaint.erase(0, place.size());
    }
    return tried;
  }

  /// Takes `changed` where it holds.
  bool take_if_it_holds(const FirstDescription& changed) {
    Tried tried = attempt(changed);
    if (!tried.complaint.empty()) return false;
    survey_.first = changed;
    best_ = std::move(tried);
    return true;
  }

  /// What the way out calls and nobody defines: check names one at a time.
  void describe_calls() {
    for (bool found = true; found && !holds();) {
      found = false;
      for (const std::string& trap : best_.traps) {
        if (!is_symbol_name(trap)) continue;
        const auto says = [&](const std::string& what) { return best_.complaint.find(what) != std::string::npos; };
        const bool is_asked_for = says(fmt::format("expected objects that define {} as well", trap)) ||
                                  says(fmt::format("expected {}, which ", trap));  // the handler is measured
        if (!is_asked_for) continue;
        survey_.first.calls.push_back(trap);
        best_ = attempt(survey_.first);
        found = true;
        break;
      }
    }
  }

  /// What a plain delivery leaves changed: check names one at a time.
  void describe_counters() {
    constexpr std::size_t kMost = 16;
    while (!holds() && survey_.first.counters.size() < kMost) {
      std::smatch match;
      const std::regex named("entry_data: expected ([A-Za-z0-9_.$]+) among its counters");
      if (!std::regex_search(best_.complaint, match, named)) return;
      survey_.first.counters.push_back(match[1]);
      best_ = attempt(survey_.first);
    }
  }

  void try_nesting() {
    if (holds() || best_.complaint.find(" nests: expected true") == std::string::npos) return;
    FirstDescription changed = survey_.first;
    changed.nests = true;
    take_if_it_holds(changed);
  }

  /// Where no instruction tests bit 31 alone.
  void try_marks() {
    if (holds() || best_.complaint.find(" nmi.marks: expected true") == std::string::npos) return;
    FirstDescription changed = survey_.first;
    for (FirstVector& vector : changed.vectors) vector.marks = vector.kind == DeliveryKind::nmi;
    take_if_it_holds(changed);
  }

  /// Code that looks at what its handlers return.
  void try_returns() {
    for (const unsigned value : {0U, 1U}) {
      if (holds()) return;
      FirstDescription changed = survey_.first;
      changed.returns = value;
      take_if_it_holds(changed);
    }
  }

  void try_infos() {
    for (std::size_t i = 1; i < survey_.infos.size() && !holds(); ++i) {
      FirstDescription changed = survey_.first;
      changed.info = survey_.infos[i].guess;
      changed.info_is_pointer = survey_.infos[i].pointer;
      take_if_it_holds(changed);
    }
  }

  /// One of several, or one that no instruction shows: the code reaches its bytes 0 and 1.
  void measure_info() {
    if (holds() || best_.complaint.find(" vcpu_info") == std::string::npos) return;
    const FirstDescription first = survey_.first;
    for (const Survey::Info& info : survey_.infos) {
      FirstDescription changed = first;
      changed.info = info.guess;
      changed.info_is_pointer = info.pointer;
      const Tried tried = attempt(changed);
      if (tried.entry && take_info_where_bytes_are_used(*tried.entry, changed)) return;
    }
    if (survey_.infos.empty() && best_.entry) take_info_where_bytes_are_used(*best_.entry, first);
  }

  bool take_info_where_bytes_are_used(const Entry& entry, const FirstDescription& first) {
    for (const GuestAddress byte : byte_accesses(entry)) {
      for (const GuestAddress info : {byte - 1, byte}) {
        if (take_info_at(entry, first, info, byte)) return true;
      }
    }
    return false;
  }

  bool take_info_at(const Entry& entry, const FirstDescription& first, GuestAddress info, GuestAddress byte) {
    if (info - layout::kSharedInfo < layout::kPage) {
      return first.info_is_pointer && take_info(first, info - layout::kSharedInfo);
    }
    const std::vector<const Symbol*> data = data_before(entry, info);
    return std::any_of(data.begin(), data.end(), [&](const Symbol* symbol) {
      FirstDescription changed = first;
      changed.no_info = false;
      changed.info_is_pointer = false;
      changed.info = {symbol->name, fmt::format("measured: the code reaches a byte at {}", data_name(entry, byte))};
      return take_info(changed, info - symbol->address);
    });
  }

  /// With the smallest stride that divides the distance from the first.
  bool take_info(FirstDescription changed, std::uint64_t distance) {
    constexpr std::uint64_t kLargestStride = 4096;
    for (std::uint64_t stride = kVcpuInfoSize; stride <= kLargestStride; stride += kVcpuInfoSize) {
      if (distance % stride != 0 || distance / stride >= kMostVcpus) continue;
      changed.info_stride = stride;
      changed.info_index = distance / stride;
      return take_if_it_holds(changed);
    }
    return false;
  }

  /// The nearest first; of several there, what has such a name.
  static std::vector<const Symbol*> data_before(const Entry& entry, GuestAddress address) {
    constexpr std::uint64_t kFarthest = std::uint64_t{31} * 4096;
    std::vector<const Symbol*> found;
    for (const Symbol& symbol : entry.symbols) {
      if (symbol.address <= address && address - symbol.address <= kFarthest && !entry.text.contains(symbol.address) &&
          is_nameable(entry.symbols, symbol)) {
        found.push_back(&symbol);
      }
    }
    std::stable_sort(found.begin(), found.end(), [](const Symbol* a, const Symbol* b) {
      if (a->address != b->address) return a->address > b->address;
      return likeness(Role::vcpu_info, a->name) > likeness(Role::vcpu_info, b->name);
    });
    return found;
  }

  /// Code that does touch one, by something that no instruction shows.
  void ask_for_info() {
    if (!survey_.first.no_info || holds() || best_.complaint.find(" vcpu_info") == std::string::npos) return;
    survey_.first.no_info = false;
    best_ = attempt(survey_.first);
  }

  /// What the functions return that nobody defines and the code looks at: check names one at a time.
  void ask_for_returns() {
    const std::regex asked("calls\\[[0-9]+\\]\\.returns: missing: expected what (\\S+) returns: (.*) looks at it");
    std::smatch match;
    if (holds() || !std::regex_search(best_.complaint, match, asked)) return;
    survey_.first.returns_of[match[1]] = {"", fmt::format("what it returns: {} looks at it", match[2].str())};
    best_ = attempt(survey_.first);
  }

  /// Per-CPU data whose base shows behind the handler alone.
  void find_bases() {
    find_base("gs_base: ", &FirstDescription::gs_base);
    find_base("fs_base: ", &FirstDescription::fs_base);
  }

  /// What is named like it, that most like it first. Functions are none, be they defined or not.
  static std::vector<Symbol> per_cpu_data(const Entry& entry) {
    std::vector<Symbol> found;
    for (const Symbol& symbol : entry.symbols) {
      const auto holds_it = [&](const LoadSegment& segment) {
        return segment.writable && symbol.address - segment.address < segment.bytes.size();
      };
      const bool data = std::any_of(entry.segments.begin(), entry.segments.end(), holds_it);
      if (data && likeness(Role::per_cpu, symbol.name) > 0 && is_nameable(entry.symbols, symbol))
        found.push_back(symbol);
    }
    std::stable_sort(found.begin(), found.end(), [](const Symbol& a, const Symbol& b) {
      return likeness(Role::per_cpu, a.name) > likeness(Role::per_cpu, b.name);
    });
    return found;
  }

  void find_base(const char* key, std::optional<Guess> FirstDescription::*line) {
    if (holds() || !without_place(best_.complaint).starts_with(key) || survey_.first.*line || !best_.entry) return;
    for (const Symbol& symbol : per_cpu_data(*best_.entry)) {
      FirstDescription changed = survey_.first;
      changed.*line =
          Guess{symbol.name, "guessed from its name: with it the code gets on; check what the base is set to"};
      Tried tried = attempt(changed);
      if (without_place(tried.complaint).starts_with(key)) continue;
      survey_.first = std::move(changed);
      best_ = std::move(tried);
      measure_info();  // which may be one of several, by a number there
      return;
    }
    survey_.first.*line = Guess{"", "what the base points at: the per-CPU data"};
    best_ = attempt(survey_.first);
  }

  /// "12:3: key: ...": lines move with what is above them.
  static std::string without_place(const std::string& complaint) {
    return std::regex_replace(complaint, std::regex("^[0-9]+:[0-9]+: "), "");
  }

  /// An exception whose stub does not do what its name promises is described by nobody.
  void drop_vectors() {
    for (std::size_t i = survey_.first.vectors.size(); !holds() && i-- > 1;) {
      FirstDescription changed = survey_.first;
      const std::string name = changed.vectors[i].symbol.value;
      changed.vectors.erase(changed.vectors.begin() + static_cast<std::ptrdiff_t>(i));
      Tried tried = attempt(changed);
      if (without_place(tried.complaint) == without_place(best_.complaint)) continue;
      changed.notes.push_back(fmt::format("{} is not described: with it, check says {}", name, best_.complaint));
      survey_.first = std::move(changed);
      best_ = std::move(tried);
    }
  }

  void note_common_exits() {
    const std::set<GuestAddress>& events = best_.report.deliveries.front().exit;
    for (const CheckReport::Delivery& delivery : best_.report.deliveries) {
      const bool common = std::any_of(delivery.exit.begin(), delivery.exit.end(),
                                      [&](GuestAddress address) { return events.count(address) != 0; });
      for (FirstVector& vector : survey_.first.vectors) {
        if (!common && delivery.context.starts_with(vector.name + ",")) vector.common_exit = false;
      }
    }
  }

  void try_user_mode() {
    for (const FirstStack& stack : survey_.kernel_stacks) {
      FirstDescription changed = survey_.first;
      changed.user = true;
      changed.kernel = stack;
      changed.modes_comment = "measured: an upcall from user mode resumes as well; check that there is a user mode";
      if (take_if_it_holds(changed)) return;
      changed.work_flag.reset();  // guessed from its name, and not looked at
      if (survey_.first.work_flag && take_if_it_holds(changed)) return;
    }
    survey_.first.work_flag.reset();  // it is judged before user mode resumes
    survey_.first.modes_comment =
        survey_.kernel_stacks.empty()
            ? "\"user\" as well where user mode can be interrupted; stacks.kernel then says where kernel_sp points"
            : "measured: an upcall from user mode does not resume in user mode";
  }

  // ---- the region ----

  void find_region() {
    const std::vector<GuestAddress>& unmasked = best_.report.unmasked;
    if (unmasked.empty()) {
      survey_.first.region_comment = "events are unmasked at no instruction of the way out.";
      return;
    }
    const Entry& entry = *best_.entry;
    survey_.first.region_comment =
        fmt::format("events are unmasked from {} to {}, and no labels stand around that.",
                    format_location(entry, unmasked.front()), format_location(entry, unmasked.back()));
    const std::string start = best_name_at(entry.symbols, unmasked.front(), Role::region_start);
    if (start.empty()) return;
    FirstRegion region;
    region.start = {start, "measured: the first instruction with events unmasked"};
    for (const Symbol* end : ends(entry, unmasked.back())) {
      region.end = {end->name, end_comment(entry, *end)};
      FirstDescription changed = survey_.first;
      changed.region = region;
      if (!take_if_it_holds(changed)) continue;
      find_restore_end();
      find_table();
      return;
    }
  }

  static bool is_compared(const Entry& entry, GuestAddress address) {
    const std::vector<Comparison> all = comparisons(entry.instructions, entry.width());
    return std::any_of(all.begin(), all.end(), [&](const Comparison& c) { return c.constant == address.value; });
  }

  static std::string end_comment(const Entry& entry, const Symbol& end) {
    return is_compared(entry, end.address) ? "guessed: behind the last instruction with events unmasked, and the code "
                                             "compares with it"
                                           : "guessed from its name or place, behind the last instruction with events "
                                             "unmasked: check it";
  }

  /// What could end the region: what the code compares addresses with before what has such a name, before what is next.
  static std::vector<const Symbol*> ends(const Entry& entry, GuestAddress last) {
    std::vector<const Symbol*> found;
    for (const Symbol& symbol : entry.symbols) {
      if (symbol.address > last && symbol.address <= entry.text.end && is_nameable(entry.symbols, symbol))
        found.push_back(&symbol);
    }
    const auto score = [&](const Symbol* symbol) {
      return (is_compared(entry, symbol->address) ? 100 : 0) + likeness(Role::region_end, symbol->name);
    };
    std::stable_sort(found.begin(), found.end(), [&](const Symbol* a, const Symbol* b) { return score(a) > score(b); });
    return found;
  }

  void find_restore_end() {
    if (!best_.report.restored) return;
    const std::string name = best_name_at(best_.entry->symbols, *best_.report.restored, Role::region_end);
    const bool inside = best_.entry->region.contains(*best_.report.restored);
    if (name.empty() || !inside) return;
    FirstDescription changed = survey_.first;
    changed.region->restore_end = Guess{name, "measured: all registers are back, and events still unmasked"};
    take_if_it_holds(changed);
  }

  void find_table() {
    const Entry& entry = *best_.entry;
    for (const Symbol& symbol : entry.symbols) {
      const auto holds_it = [&](const LoadSegment& segment) {
        const GuestRange range{segment.address, segment.address + segment.bytes.size()};
        return !segment.writable && !segment.executable && range.contains(symbol.address);
      };
      const bool constant = std::any_of(entry.segments.begin(), entry.segments.end(), holds_it);
      if (!constant || likeness(Role::fixup_table, symbol.name) <= 0 || !is_nameable(entry.symbols, symbol)) continue;
      FirstDescription changed = survey_.first;
      changed.region->table = Guess{symbol.name, "guessed from its name: one byte for each byte of the region"};
      if (take_if_it_holds(changed)) return;
    }
  }

  void note_complaint() {
    if (!holds()) survey_.first.notes.push_back("framefold check says of this: " + best_.complaint);
  }

  Survey survey_;
  const std::string& path_;
  Tried best_;
};

}  // namespace

FirstDescription settle(Survey survey, const std::string& description_path) {
  return Settler(std::move(survey), description_path).settle();
}

}  // namespace framefold
