#include "image/image.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "image/check_places.hpp"
#include "image/description_rules.hpp"
#include "image/elf.hpp"
#include "image/input_file.hpp"
#include "image/link_objects.hpp"
#include "image/parse_checked.hpp"

namespace framefold {
namespace {

/// Far above any entry code (a few KiB); bounds the time that decoding a bad image takes.
constexpr std::uint64_t kMaxText = std::uint64_t{256} << 10;
constexpr std::size_t kMaxInstructions = 0xff00;  // boundaries have numbers of 16 bits: these, and a few of framefold's
constexpr std::size_t kMaxDescriptionFile = std::size_t{1} << 20;
constexpr std::uint64_t kHypercallPageSize = kPageSize;

bool contains(const GuestRange& outer, const GuestRange& inner) {
  return outer.begin <= inner.begin && inner.end <= outer.end && inner.begin <= inner.end;
}

bool overlap(const GuestRange& a, const GuestRange& b) { return a.begin < b.end && b.begin < a.end; }

LoadSegment pad_to_pages(ElfSegment segment) {
  const std::uint64_t head = segment.range.begin.value % kPageSize;
  LoadSegment padded;
  padded.address = segment.range.begin - head;
  padded.writable = segment.writable;
  padded.executable = segment.executable;
  padded.bytes = std::move(segment.bytes);
  padded.bytes.insert(padded.bytes.begin(), static_cast<std::size_t>(head), 0);
  padded.bytes.resize((padded.bytes.size() + kPageSize - 1) / kPageSize * kPageSize);
  return padded;
}

/// The linker fills a segment's last page with zeros, which would decode as instructions. An instruction may itself end
/// in zeros, but in no more than it has bytes.
std::span<const std::uint8_t> without_padding(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kLongestInstruction = 15;  // SDM Vol. 2, 2.3.11
  const auto last = std::find_if(bytes.rbegin(), bytes.rend(), [](std::uint8_t byte) { return byte != 0; });
  return bytes.first(std::min(bytes.size(), static_cast<std::size_t>(bytes.rend() - last) + kLongestInstruction));
}

/// Resolves a description against an image, in the order of the description's keys, and checks each against the other.
class EntryLoader {
 public:
  EntryLoader(Description description, ElfImage image, const std::string& elf_name)
      : elf_name_(elf_name), image_(std::move(image)), entry_(std::make_unique<Entry>()) {
    entry_->description = std::move(description);
  }

  std::unique_ptr<Entry> load() {
    resolve_vectors();
    find_text();
    check_handlers();
    resolve_region();
    resolve_data();
    for (std::size_t i = 0; i < description().symbols.size(); ++i) {
      name(address_of(fmt::format("symbols[{}]", i), description().symbols[i]), description().symbols[i]);
    }
    resolve_known();
    resolve_equivalent_mutants();
    sort_named();
    decode_text();
    entry_->symbols = std::move(image_.symbols);
    for (ElfSegment& segment : image_.segments) entry_->segments.push_back(pad_to_pages(std::move(segment)));
    return std::move(entry_);
  }

 private:
  const Description& description() const { return entry_->description; }

  [[noreturn]] void fail(std::string_view key, std::string_view text) const {
    throw description_error(description(), key, text);
  }

  GuestAddress address_of(std::string_view key, const std::string& symbol) const {
    const LocationText place = split_location(symbol).value();
    const std::optional<GuestAddress> address = find_symbol(image_.symbols, place.symbol);
    if (!address) fail_to_find(key, place.symbol);
    return *address + place.offset;
  }

  [[noreturn]] void fail_to_find(std::string_view key, std::string_view name) const {
    const auto count = std::count_if(image_.symbols.begin(), image_.symbols.end(),
                                     [=](const Symbol& symbol) { return symbol.name == name; });
    const std::string often =
        count == 0 ? "is not"
                   : fmt::format(
                         "is a local name that it has {} times. `objcopy --redefine-sym {}=NEW` on one of its "
                         "objects tells them apart",
                         count, name);
    fail(key, fmt::format("expected a symbol that {} defines, once: {} {}", elf_name_, name, often));
  }

  /// Names an address in locations. Of several names the first call's stays.
  void name(GuestAddress address, const std::string& symbol) { entry_->named.push_back({symbol, address, 0, true}); }

  GuestAddress named_address_of(std::string_view key, const std::string& symbol) {
    const GuestAddress address = address_of(key, symbol);
    const LocationText place = split_location(symbol).value();
    name({address.value - place.offset}, std::string(place.symbol));
    return address;
  }

  const ElfSegment* segment_around(const GuestRange& range) const {
    const auto found = std::find_if(image_.segments.begin(), image_.segments.end(),
                                    [&](const ElfSegment& segment) { return contains(segment.range, range); });
    return found == image_.segments.end() ? nullptr : &*found;
  }

  GuestRange range_from(std::string_view key, GuestAddress begin, std::uint64_t size) const {
    const GuestRange range{begin, begin + size};
    if (segment_around(range) == nullptr) {
      fail(key, fmt::format("expected {} bytes inside a segment of {} at {:#x}", size, elf_name_, begin.value));
    }
    return range;
  }

  GuestRange writable(std::string_view key, const std::string& symbol, std::uint64_t size) {
    const GuestRange range = range_from(key, named_address_of(key, symbol), size);
    if (!segment_around(range)->writable)
      fail(key, fmt::format("expected {} in a writable segment of {}", symbol, elf_name_));
    for (const GuestRange& stack : stacks_) {
      if (overlap(stack, range)) fail(key, fmt::format("expected {} outside the stacks before it", symbol));
    }
    return range;
  }

  void resolve_vectors() {
    for (const VectorDescription& vector : description().vectors) {
      const GuestAddress address = named_address_of(vector.key + ".symbol", vector.symbol);
      const bool event = vector.kind == DeliveryKind::event;
      const std::string handler_key = event ? "handler.symbol" : vector.key + ".handler";
      entry_->vectors.push_back({vector, address, address_of(handler_key, vector.handler)});
    }
    for (const Vector& vector : entry_->vectors) name(vector.handler, vector.description.handler);
    check_returns(*entry_);
  }

  void resolve_hypercall_page() {
    const std::string& symbol = description().hypercall_page;
    entry_->hypercall_page = named_address_of("hypercall_page", symbol);
    if (entry_->hypercall_page.value % kHypercallPageSize != 0) {
      fail("hypercall_page",
           fmt::format("expected {} on a page boundary, found {:#x}", symbol, entry_->hypercall_page.value));
    }
    const GuestRange page = range_from("hypercall_page", entry_->hypercall_page, kHypercallPageSize);
    if (!segment_around(page)->executable) {
      fail("hypercall_page", fmt::format("expected {} in an executable segment of {}", symbol, elf_name_));
    }
  }

  /// The segment of the event callback: both sides of a hypercall page in it, or, of a segment that is too large for
  /// that, the callback's.
  void find_text() {
    resolve_hypercall_page();
    const Vector& event = entry_->event();
    const std::string key = event.description.key + ".symbol";
    const ElfSegment* const segment = segment_around({event.address, event.address + 1});
    if (segment == nullptr || !segment->executable) fail(key, fmt::format("expected code of {}", elf_name_));
    const GuestRange page = hypercall_page();
    if (page.contains(event.address)) fail(key, "expected code outside the hypercall page");
    entry_->text = {segment->range, {}};
    if (overlap(page, segment->range)) {
      const bool parts = segment->range.begin < page.begin && page.end < segment->range.end;
      if (parts && segment->range.size() <= kMaxText) {
        entry_->text.page = page;
      } else {
        (event.address < page.begin ? entry_->text.end : entry_->text.begin) =
            event.address < page.begin ? page.begin : page.end;
      }
    }
    if (entry_->text.size() > kMaxText) {
      fail(key,
           fmt::format("expected at most {} bytes of code in its segment, found {}", kMaxText, entry_->text.size()));
    }
    for (const Vector& vector : entry_->vectors) check_in_text(vector.description.key + ".symbol", vector.address);
  }

  GuestRange hypercall_page() const { return {entry_->hypercall_page, entry_->hypercall_page + kHypercallPageSize}; }

  void check_in_text(std::string_view key, GuestAddress address) const {
    if (!entry_->text.contains(address)) {
      const bool parted = segment_around({address, address + 1}) == segment_around(entry_->text);
      fail(key, fmt::format("expected an address in the entry's code, {:#x} to {:#x}, found {:#x}{}",
                            entry_->text.begin.value, entry_->text.end.value, address.value,
                            parted && !hypercall_page().contains(address)
                                ? fmt::format(", on the other side of the hypercall page; a segment of more than {} "
                                              "bytes is entry code on one side alone",
                                              kMaxText)
                                : ""));
    }
  }

  void check_handlers() const {
    for (const Vector& vector : entry_->vectors) {
      const bool event = vector.description.kind == DeliveryKind::event;
      const std::string key = event ? "handler.symbol" : vector.description.key + ".handler";
      const ElfSegment* const segment = segment_around({vector.handler, vector.handler + 1});
      if (segment == nullptr || !segment->executable || hypercall_page().contains(vector.handler)) {
        fail(key, fmt::format("expected code of {} outside the hypercall page", elf_name_));
      }
      check_in_text(key, vector.handler);
    }
    check_vectors_differ(*entry_);
  }

  void resolve_region() {
    const RegionDescription& region = description().region;
    entry_->region = {entry_->text.begin, entry_->text.begin};
    entry_->critical = entry_->region;
    if (region.start.empty()) return;
    entry_->region = {named_address_of("region.start", region.start), named_address_of("region.end", region.end)};
    check_in_text("region.start", entry_->region.begin);
    if (!region.restore_end.empty()) entry_->restore_end = named_address_of("region.restore_end", region.restore_end);
    check_region_order(*entry_);
    entry_->critical = entry_->region;
    if (overlap(entry_->region, hypercall_page())) {
      fail("region.end",
           fmt::format("expected {} on the side of the hypercall page that {} is on", region.end, region.start));
    }
    if (!region.table.empty()) {
      entry_->table = range_from("region.table", named_address_of("region.table", region.table), entry_->region.size());
    }
  }

  StackRange resolve_stack(const std::string& key, const StackDescription& stack) {
    const GuestRange range = writable(key + ".symbol", stack.symbol, stack.size);
    if (range.begin.value % 16 != 0)
      fail(key + ".symbol", fmt::format("expected {} at a multiple of 16", stack.symbol));
    stacks_.push_back(range);
    return {range};
  }

  void resolve_data() {
    const StacksDescription& stacks = description().stacks;
    entry_->thread_stack = resolve_stack("stacks.thread", stacks.thread);
    if (stacks.interrupt) entry_->interrupt_stack = resolve_stack("stacks.interrupt", *stacks.interrupt);
    if (!stacks.interrupt_pointer.empty()) {
      entry_->interrupt_pointer =
          writable("stacks.interrupt.pointer", stacks.interrupt_pointer, word_size(entry_->width())).begin;
    }
    if (stacks.kernel) entry_->kernel_stack = resolve_stack("stacks.kernel", *stacks.kernel);
    if (!stacks.nesting_count.empty()) {
      entry_->nesting_count = writable("stacks.nesting.symbol", stacks.nesting_count, 4).begin;
    }
    resolve_vcpu_info();
    if (description().work_flag) {
      entry_->work_flag = writable("work_flag.symbol", description().work_flag->symbol, 4).begin;
      expect_apart("work_flag.symbol", {*entry_->work_flag, *entry_->work_flag + 4});
    }
    for (std::size_t i = 0; i < description().counters.size(); ++i) {
      const CounterDescription& counter = description().counters[i];
      const std::string key = fmt::format("entry_data.counters[{}].symbol", i);
      entry_->counters.push_back(writable(key, counter.symbol, counter.size));
      expect_apart(key, entry_->counters.back());
    }
    resolve_calls();
    if (!description().fs_base.empty()) entry_->fs_base = named_address_of("fs_base", description().fs_base);
    for (std::size_t i = 0; i < description().segments.size(); ++i) {
      entry_->segment_bases.push_back(
          named_address_of(fmt::format("segments[{}].base", i), description().segments[i].base));
    }
    if (!description().gs_base.empty()) entry_->gs_base = named_address_of("gs_base", description().gs_base);
  }

  /// The first of them may have room, and this vCPU's none.
  void expect_room(const VcpuInfoDescription& info, std::uint64_t size) {
    const GuestAddress first = address_of("vcpu_info.symbol", info.symbol);
    const auto has_room = [&](std::uint64_t bytes) {
      const GuestRange range{first, first + bytes};
      return segment_around(range) != nullptr &&
             std::none_of(stacks_.begin(), stacks_.end(), [&](const auto& stack) { return overlap(stack, range); });
    };
    if (info.offset() == 0 || !has_room(kVcpuInfoSize) || has_room(size)) return;
    const bool wide = info.stride != kVcpuInfoSize;  // which is the default, and the least
    fail("vcpu_info.index",
         fmt::format("expected {} bytes inside a segment of {}, outside the stacks, at {:#x}, {}{}", size, elf_name_,
                     first.value, key_and_line(description(), "vcpu_info.symbol"),
                     wide ? fmt::format("; or a smaller {}", key_and_line(description(), "vcpu_info.stride")) : ""));
  }

  void resolve_vcpu_info() {
    const VcpuInfoDescription& vcpu_info = description().vcpu_info;
    const unsigned word = word_size(entry_->width());
    if (!vcpu_info.pointer.empty()) {
      entry_->vcpu_info = writable("vcpu_info.pointer", vcpu_info.pointer, word).begin;
    } else if (!vcpu_info.symbol.empty()) {
      const std::uint64_t size = vcpu_info.offset() + kVcpuInfoSize;
      expect_room(vcpu_info, size);
      entry_->vcpu_info = writable("vcpu_info.symbol", vcpu_info.symbol, size).begin + vcpu_info.offset();
    }
    const GuestRange info{entry_->vcpu_info, entry_->vcpu_info + word};
    if (entry_->nesting_count && overlap({*entry_->nesting_count, *entry_->nesting_count + 4}, info)) {
      fail("stacks.nesting.symbol", "expected a word of its own: vcpu_info is there");
    }
  }

  /// Where another line describes data, that decides what it is. (The work flag counts as a counter.)
  void expect_apart(const std::string& key, const GuestRange& range) const {
    const auto expect = [&](std::string_view what, std::optional<GuestAddress> begin, std::uint64_t size) {
      if (!begin || !overlap(range, {*begin, *begin + size})) return;
      fail(key, fmt::format("expected data of its own: {} is there", what));
    };
    const VcpuInfoDescription& info = description().vcpu_info;
    const unsigned word = word_size(entry_->width());
    if (!info.symbol.empty()) expect("vcpu_info", entry_->vcpu_info, kVcpuInfoSize);
    if (!info.pointer.empty()) expect("vcpu_info.pointer", entry_->vcpu_info, word);
    expect("stacks.nesting", entry_->nesting_count, 4);
    expect("stacks.interrupt.pointer", entry_->interrupt_pointer, word);
  }

  void resolve_calls() {
    for (std::size_t i = 0; i < description().calls.size(); ++i) {
      const CallDescription& call = description().calls[i];
      const std::string key = fmt::format("calls[{}]", i);
      const GuestAddress address = named_address_of(key + ".symbol", call.symbol);
      check_in_text(key + ".symbol", address);
      for (const Vector& vector : entry_->vectors) {
        if (vector.address == address || vector.handler == address) {
          fail(key + ".symbol",
               fmt::format("expected a function that nothing else describes: {} is at {}",
                           vector.address == address ? vector.description.symbol : vector.description.handler,
                           call.symbol));
        }
      }
      entry_->calls.push_back({call, address, std::nullopt});
      if (call.sets.empty()) continue;
      const GuestRange word = writable(key + ".sets", call.sets, 4);
      expect_apart(key + ".sets", word);
      entry_->calls.back().sets = word.begin;
    }
  }

  GuestAddress boundary_of(const std::string& key, const std::string& text) const {
    const LocationText location = split_location(text).value();
    const GuestAddress address = address_of(key, std::string(location.symbol)) + location.offset;
    // The hypercall page's boundaries are the guest's too.
    if (!hypercall_page().contains(address)) check_in_text(key, address);
    return address;
  }

  void resolve_known() {
    for (std::size_t i = 0; i < description().known.size(); ++i) {
      const KnownDescription& known = description().known[i];
      const std::string key = fmt::format("known[{}].at", i);
      const GuestAddress first = boundary_of(key + "[0]", known.first);
      const GuestAddress last = boundary_of(key + "[1]", known.last);
      if (last < first)
        fail(key + "[1]", fmt::format("expected a boundary not before {}, found {}", known.first, known.last));
      entry_->known.push_back({known, first, last});
    }
  }

  void resolve_equivalent_mutants() {
    for (std::size_t i = 0; i < description().equivalent_mutants.size(); ++i) {
      const EquivalentDescription& row = description().equivalent_mutants[i];
      for (std::size_t j = 0; j < row.at.size(); ++j) {
        const std::string key = fmt::format("equivalent_mutants[{}].at[{}]", i, j);
        if (!split_location(row.at[j])) fail(key, fmt::format("expected \"symbol+0x12\", found \"{}\"", row.at[j]));
        entry_->equivalent_mutants.push_back({i, j, boundary_of(key, row.at[j])});
      }
    }
  }

  void sort_named() {
    std::vector<Symbol>& named = entry_->named;
    std::stable_sort(named.begin(), named.end(),
                     [](const Symbol& a, const Symbol& b) { return a.address < b.address; });
    const auto same = [](const Symbol& a, const Symbol& b) { return a.address == b.address; };
    named.erase(std::unique(named.begin(), named.end(), same), named.end());
  }

  void decode_text() {
    const CodeRange& text = entry_->text;
    std::vector<GuestAddress> starts;
    for (const Symbol& symbol : image_.symbols) {
      if (text.contains(symbol.address)) starts.push_back(symbol.address);
    }
    if (text.page.size() == 0) {
      decode_side(text, starts);
    } else {
      decode_side({text.begin, text.page.begin}, starts);
      decode_side({text.page.end, text.end}, starts);
    }
    if (entry_->instructions.size() > kMaxInstructions) {
      fail("image", fmt::format("expected at most {} instructions in the segment of the entry code, found {}",
                                kMaxInstructions, entry_->instructions.size()));
    }
    entry_->instruction_at.assign(static_cast<std::size_t>(text.size()), -1);
    for (std::size_t i = 0; i < entry_->instructions.size(); ++i) {
      entry_->instruction_at[entry_->instructions[i].address - text.begin] = static_cast<std::int32_t>(i);
    }
    for (const Vector& vector : entry_->vectors) mark_entry_point(vector);
    if (text.page.size() != 0) mark_targets();
  }

  /// Of branches from one side to the other, of which decode saw one at a time.
  void mark_targets() {
    std::vector<GuestAddress> targets;
    for (const Instruction& instruction : entry_->instructions) {
      if (instruction.target && entry_->text.contains(*instruction.target)) targets.push_back(*instruction.target);
    }
    for (const GuestAddress target : targets) {
      const std::int32_t index = entry_->instruction_at[target - entry_->text.begin];
      if (index < 0) continue;
      Instruction& instruction = entry_->instructions[static_cast<std::size_t>(index)];
      instruction.flags = instruction.flags | InstructionFlag::block_leader;
    }
  }

  /// Of the hypercall page.
  void decode_side(const GuestRange& side, std::span<const GuestAddress> starts) {
    const ElfSegment& segment = *segment_around(side);
    const std::span<const std::uint8_t> bytes =
        std::span(segment.bytes)
            .subspan(static_cast<std::size_t>(side.begin - segment.range.begin), static_cast<std::size_t>(side.size()));
    std::vector<Instruction> code = decode(entry_->width(), side.begin, without_padding(bytes), starts);
    std::move(code.begin(), code.end(), std::back_inserter(entry_->instructions));
  }

  void mark_entry_point(const Vector& vector) {
    const std::int32_t index = entry_->instruction_at[vector.address - entry_->text.begin];
    if (index < 0)
      fail(vector.description.key + ".symbol", fmt::format("expected an instruction at {}", vector.description.symbol));
    Instruction& instruction = entry_->instructions[static_cast<std::size_t>(index)];
    instruction.flags = instruction.flags | InstructionFlag::block_leader;
  }

  const std::string& elf_name_;
  ElfImage image_;
  std::unique_ptr<Entry> entry_;
  std::vector<GuestRange> stacks_;  // those resolved so far
};

}  // namespace

namespace {

std::unique_ptr<Entry> load(Description description, std::span<const std::uint8_t> elf, const std::string& elf_name) {
  check_width(description, elf, elf_name);
  std::optional<ElfImage> image;
  try {
    image = read_elf(elf, description.width, elf_name);
  } catch (const InputError& error) {
    throw image_error(description, error);
  }
  return EntryLoader(std::move(description), *std::move(image), elf_name).load();
}

}  // namespace

std::unique_ptr<Entry> load_entry(Description description, std::span<const std::uint8_t> elf,
                                  const std::string& elf_name) {
  return load(std::move(description), elf, elf_name);
}

std::unique_ptr<Entry> load_image(Description description, const ImageFile& image) {
  std::copy_if(image.traps.begin(), image.traps.end(), std::back_inserter(description.symbols), is_symbol_name);
  std::unique_ptr<Entry> entry = load(std::move(description), image.elf, image.name);
  entry->zeroed = image.zeroed;
  entry->absent = image.absent;
  return entry;
}

std::unique_ptr<Entry> load_entry_file(const std::string& path) {
  const std::vector<std::uint8_t> text = read_input_file(path, kMaxDescriptionFile);
  Description description =
      parse_checked({reinterpret_cast<const char*>(text.data()), text.size()}, path, check_file_widths);
  const ImageFile image = read_image_file(description);
  return load_image(std::move(description), image);
}

}  // namespace framefold
