#include "check/check_event_bytes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "check/access_watch.hpp"
#include "check/check_fault.hpp"
#include "image/link_objects.hpp"

namespace framefold {

namespace {

constexpr std::uint64_t kBytes = 2;  // evtchn_upcall_pending and evtchn_upcall_mask

class EventBytes {
 public:
  explicit EventBytes(const Entry& entry) : entry_(entry), watch_(entry) {
    const VcpuInfoDescription& info = entry.description.vcpu_info;
    if (!info.pointer.empty()) {
      const GuestAddress own = layout::kSharedInfo + info.offset();
      bytes_ = {own, own + kBytes};
    } else if (!info.symbol.empty()) {
      bytes_ = {entry.vcpu_info, entry.vcpu_info + kBytes};
      around_ = extent_of(std::string(split_location(info.symbol).value().symbol));
    }
    describe_words();
    for (const std::string& name : entry.zeroed) {
      if (const std::optional<GuestAddress> at = find_symbol(entry.symbols, name)) {
        undefined_.push_back({*at, *at + kUndescribedData});
      }
    }
  }

  /// True where the run touches the described bytes: then all is well.
  bool run(const Scenario& scenario) {
    watch_.run(scenario);
    if (bytes_.size() != 0 && watch_.touches(bytes_)) return true;
    const auto store = std::find_if(watch_.accesses().begin(), watch_.accesses().end(),
                                    [this](const DataAccess& access) { return is_strange(access); });
    if (store != watch_.accesses().end() && !store_) store_ = *store;
    return false;
  }

  const std::optional<DataAccess>& store() const { return store_; }

  [[noreturn]] void fail() const {
    const std::string key = vcpu_info_key(entry_.description);
    const bool none = bytes_.size() == 0;
    const Instruction& instruction = *find_instruction(entry_, store_->at);
    throw description_error(
        entry_.description, key,
        fmt::format("{}expected what the code unmasks through: {} ({}) stores to {}, which no line describes{}. Where "
                    "that is something else, a row of `entry_data.counters` says so",
                    none ? "missing: " : "", format_location(entry_, store_->at), instruction.text,
                    data_name(entry_, store_->range.begin),
                    none ? "" : ", and nothing reads or writes the described bytes 0 and 1"));
  }

 private:
  /// Up to the next symbol.
  GuestRange extent_of(const std::string& name) const {
    constexpr std::uint64_t kMost = 4096;  // a shared info page
    const GuestAddress begin = find_symbol(entry_.symbols, name).value();
    GuestAddress end = begin + kMost;
    for (const Symbol& symbol : entry_.symbols) {
      if (symbol.address > begin) end = std::min(end, symbol.address);
    }
    return {begin, end};
  }

  void describe_words() {
    constexpr std::uint64_t kWord = sizeof(std::uint32_t);
    const auto describe = [this](std::optional<GuestAddress> at, std::uint64_t size) {
      if (at) described_.push_back({*at, *at + size});
    };
    describe(entry_.nesting_count, kWord);
    describe(entry_.work_flag, kWord);
    describe(entry_.interrupt_pointer, word_size(entry_.width()));
    for (const Call& call : entry_.calls) describe(call.sets, kWord);
    described_.insert(described_.end(), entry_.counters.begin(), entry_.counters.end());
  }

  bool is_strange(const DataAccess& access) const {
    const auto overlaps_it = [&](const GuestRange& range) { return overlaps(range, access.range); };
    if (!access.write || std::any_of(described_.begin(), described_.end(), overlaps_it)) return false;
    return overlaps_it(around_) || std::any_of(undefined_.begin(), undefined_.end(), overlaps_it) ||
           is_like_event_byte(access);
  }

  /// Of data that the objects define: a byte that lies in its word, or is called, as one of the two does. An entry that
  /// keeps a flag of its own in such a place touches its vcpu_info elsewhere.
  bool is_like_event_byte(const DataAccess& access) const {
    const GuestAddress at = access.range.begin;
    if (access.range.size() > kBytes || !is_own_data(at)) return false;
    const Symbol* const symbol = symbol_before(at);
    if (symbol == nullptr) return false;
    const std::uint64_t offset = at - symbol->address;
    const bool is_mask = offset % sizeof(std::uint32_t) == 1;
    return is_mask || (offset == 0 && is_event_byte_name(symbol->name));
  }

  /// "evtchn_upcall_mask", and not "irq_mask".
  static bool is_event_byte_name(const std::string& name) {
    const auto has = [&](const char* word) { return name.find(word) != std::string::npos; };
    return (has("upcall") || has("evtchn")) && (has("mask") || has("pending"));
  }

  /// In the image, and on none of the stacks, which lie there as well.
  bool is_own_data(GuestAddress at) const {
    const auto holds = [=](const std::optional<StackRange>& stack) { return stack && stack->range.contains(at); };
    if (holds(entry_.thread_stack) || holds(entry_.interrupt_stack) || holds(entry_.kernel_stack)) return false;
    return std::any_of(entry_.segments.begin(), entry_.segments.end(), [=](const LoadSegment& segment) {
      return segment.writable && GuestRange{segment.address, segment.address + segment.bytes.size()}.contains(at);
    });
  }

  const Symbol* symbol_before(GuestAddress at) const {
    const Symbol* before = nullptr;
    for (const Symbol& symbol : entry_.symbols) {
      if (symbol.address <= at && (before == nullptr || before->address < symbol.address)) before = &symbol;
    }
    return before;
  }

  const Entry& entry_;
  AccessWatch watch_;
  GuestRange bytes_;   // empty where none are described
  GuestRange around_;  // of the described structure's symbol
  std::vector<GuestRange> described_;
  std::vector<GuestRange> undefined_;
  std::optional<DataAccess> store_;
};

}  // namespace

void check_event_bytes(const Entry& entry, std::span<const PlainRun> runs) {
  EventBytes bytes(entry);
  for (const PlainRun& run : runs) {
    if (bytes.run(run.scenario)) return;
  }
  if (!bytes.store()) return;
  for (const PlainRun& run : runs) {
    bool touched = false;
    visit_events(run, entry, [&](const Scenario& scenario) { touched = touched || bytes.run(scenario); });
    if (touched) return;
  }
  bytes.fail();
}

}  // namespace framefold
