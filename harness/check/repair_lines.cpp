#include "check/repair_lines.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "check/access_watch.hpp"
#include "check/byte_accesses.hpp"
#include "check/check_entry.hpp"
#include "check/check_fault.hpp"
#include "image/description_rules.hpp"

namespace framefold {

namespace {

constexpr std::array<const char*, 4> kInfoKeys = {"vcpu_info.symbol", "vcpu_info.pointer", "vcpu_info.index",
                                                  "vcpu_info.stride"};

bool says(const Description& description, const std::string& key) { return description.positions.count(key) != 0; }

/// Where framefold may put something of its own.
bool is_data(const Entry& entry, GuestAddress at, std::uint64_t size) {
  const auto holds_it = [=](const LoadSegment& segment) {
    return segment.writable && at >= segment.address && at - segment.address + size <= segment.bytes.size();
  };
  const auto is_in = [=](const std::optional<StackRange>& stack) {
    return stack && overlaps(stack->range, {at, at + size});
  };
  return std::any_of(entry.segments.begin(), entry.segments.end(), holds_it) && !is_in(entry.thread_stack) &&
         !is_in(entry.interrupt_stack) && !is_in(entry.kernel_stack);
}

bool holds(const Entry& entry) {
  try {
    check_as_described(entry);
    return true;
  } catch (const InputError&) {
    return false;
  }
}

class InfoLines {
 public:
  explicit InfoLines(const Entry& entry) : entry_(entry), info_(entry.description.vcpu_info) {}

  std::vector<OtherLine> find() {
    if (info_.symbol.empty() && info_.pointer.empty()) return {};
    std::vector<GuestAddress> seen;
    for (const GuestAddress byte : byte_accesses(entry_)) {
      for (const GuestAddress at : {byte - 1, byte}) {  // of the mask, which most code stores first
        if (std::find(seen.begin(), seen.end(), at) != seen.end()) continue;
        seen.push_back(at);
        if (seen.size() > kMostPlaces) return {};
        if (at != own()) look_at(at);
        if (!lines_.empty()) return std::move(lines_);
      }
    }
    return {};
  }

 private:
  static constexpr std::size_t kMostPlaces = 16;
  static constexpr std::uint32_t kMostStride = 4096;  // as the key's

  bool by_pointer() const { return info_.symbol.empty(); }
  GuestAddress first() const { return by_pointer() ? layout::kSharedInfo : entry_.vcpu_info - info_.offset(); }
  GuestAddress own() const { return first() + info_.offset(); }

  /// Where the code's vcpu_info is `at`, what says so.
  void look_at(GuestAddress at) {
    const std::uint64_t distance = at - first();  // enormous where it lies before
    for (std::uint32_t i = 0; i < kMostVcpus; ++i) {
      if (i != info_.index && std::uint64_t{i} * info_.stride == distance) add("index", at, i, info_.stride);
    }
    for (std::uint32_t stride = kVcpuInfoSize; info_.index != 0 && stride <= kMostStride; stride += kVcpuInfoSize) {
      if (stride != info_.stride && std::uint64_t{info_.index} * stride == distance)
        add("stride", at, info_.index, stride);
    }
    if (!by_pointer()) look_at_symbol(at);
    std::stable_partition(lines_.begin(), lines_.end(),
                          [this](const OtherLine& line) { return says(entry_.description, line.key); });
  }

  void add(const char* key, GuestAddress at, std::uint32_t index, std::uint32_t stride) {
    if (!holds_with(at, index, stride)) return;
    lines_.push_back(
        {fmt::format("vcpu_info.{}", key), fmt::format("{}", key == std::string("index") ? index : stride)});
  }

  bool holds_with(GuestAddress at, std::uint32_t index, std::uint32_t stride) const {
    if (!by_pointer() && !is_data(entry_, at, kVcpuInfoSize)) return false;
    Entry copy = entry_;
    copy.description.vcpu_info.index = index;
    copy.description.vcpu_info.stride = stride;
    if (!by_pointer()) copy.vcpu_info = at;
    return holds(copy);
  }

  /// A symbol, or a place behind the one that is described.
  void look_at_symbol(GuestAddress at) {
    const GuestAddress first_then = at - info_.offset();
    const std::string name = data_name(entry_, first_then);
    const std::string described = info_.symbol.substr(0, info_.symbol.find('+'));
    const bool is_symbol = name.find('+') == std::string::npos && !name.starts_with("0x");
    if (!is_symbol && !name.starts_with(described + "+")) return;
    if (holds_with(at, info_.index, info_.stride)) lines_.push_back({"vcpu_info.symbol", name});
  }

  const Entry& entry_;
  const VcpuInfoDescription& info_;
  std::vector<OtherLine> lines_;
};

/// Words of the image's data: those that have a name, and those beside the described one; the nearest first.
std::vector<GuestAddress> words_around(const Entry& entry, GuestAddress described, unsigned word) {
  constexpr std::uint64_t kBeside = 64;
  constexpr std::size_t kMost = 96;  // of each kind; a try is a few milliseconds
  const auto distance = [=](GuestAddress at) { return at < described ? described - at : at - described; };
  std::vector<GuestAddress> words;
  for (const Symbol& symbol : entry.symbols) {
    if (is_data(entry, symbol.address, word) && (words.empty() || words.back() != symbol.address))
      words.push_back(symbol.address);
  }
  std::stable_sort(words.begin(), words.end(),
                   [=](GuestAddress a, GuestAddress b) { return distance(a) < distance(b); });
  if (words.size() > kMost) words.resize(kMost);
  for (std::uint64_t by = 4; by <= kBeside; by += 4) {
    for (const GuestAddress at : {described - by, described + by}) {
      if (is_data(entry, at, word) && std::find(words.begin(), words.end(), at) == words.end()) words.push_back(at);
    }
  }
  return words;
}

/// The first with which the description holds, by its name.
std::optional<std::string> other_word(const Entry& entry, std::optional<GuestAddress> Entry::*word, unsigned size) {
  Entry copy = entry;
  for (const GuestAddress at : words_around(entry, *(entry.*word), size)) {
    if (at == *(entry.*word)) continue;
    copy.*word = at;
    if (holds(copy)) return data_name(entry, at);
  }
  return std::nullopt;
}

std::optional<std::string> other_pointer(const Entry& entry) {
  Entry copy = entry;
  copy.interrupt_pointer.reset();
  if (holds(copy)) return "no such word, or the one that the code loads (the image's data point at the stack already)";
  return other_word(entry, &Entry::interrupt_pointer, word_size(entry.width()));
}

}  // namespace

std::vector<OtherLine> vcpu_info_lines(const Entry& entry) { return InfoLines(entry).find(); }

std::string vcpu_info_said(const Description& description) {
  std::vector<std::string> said;
  for (const char* key : kInfoKeys) {
    if (says(description, key)) said.push_back(key_and_line(description, key));
  }
  if (said.size() < 2) return "";
  const std::string last = said.back();
  said.pop_back();
  return fmt::format("{} and {}", fmt::join(said, ", "), last);
}

std::vector<OtherLine> interrupt_word_lines(const Entry& entry, const std::string& complained) {
  std::vector<OtherLine> lines;
  if (!entry.interrupt_stack) return lines;
  if (entry.interrupt_pointer && complained != "stacks.interrupt.pointer") {
    if (const auto word = other_pointer(entry)) lines.push_back({"stacks.interrupt.pointer", *word});
  }
  if (entry.nesting_count && !complained.starts_with("stacks.nesting")) {
    const auto word = other_word(entry, &Entry::nesting_count, sizeof(std::uint32_t));
    if (word) lines.push_back({"stacks.nesting.symbol", *word});
  }
  return lines;
}

}  // namespace framefold
