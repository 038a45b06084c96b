#include "run/guest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "machine/selectors.hpp"
#include "run/clobbers.hpp"
#include "scenario/context_places.hpp"

namespace framefold {

namespace {

constexpr std::uint8_t kNop = 0x90;
/// Never executed: runs end before it. One byte that ends a block, since the engine translates from wherever a context
/// resumes to the end of the block, at the price of a hook for each instruction.
constexpr std::uint8_t kHlt = 0xf4;
constexpr std::uint8_t kRet = 0xc3;

/// Caller-saved registers (System V ABI): what a C function leaves in them is nobody's tag.
constexpr std::array<Gpr, 9> kCallerSaved64{Gpr::rax, Gpr::rcx, Gpr::rdx, Gpr::rsi, Gpr::rdi,
                                            Gpr::r8,  Gpr::r9,  Gpr::r10, Gpr::r11};
constexpr std::array<Gpr, 3> kCallerSaved32{Gpr::rax, Gpr::rcx, Gpr::rdx};

/// CF PF AF ZF SF OF all set, as after nothing that entry code computes: an addition that overflows sets OF, sahf the
/// others (SDM Vol. 2, SAHF).
constexpr std::array<std::uint8_t, 7> kClobberFlags{0xb0, 0x7f,  // mov $0x7f,%al
                                                    0x04, 0x01,  // add $1,%al
                                                    0xb4, 0xd7,  // mov $0xd7,%ah
                                                    0x9e};       // sahf

/// First contents of a stack: every byte depends on its address, so that a copy from the wrong slot shows.
std::uint8_t stack_byte(GuestAddress address) {
  const std::uint64_t word = address.value / 8;
  return static_cast<std::uint8_t>(0x41 + (word * 0x1d + address.value) % 0x5b);
}

/// FNV-1a over words, with a rotation that brings their high bits down: over bytes it took 60 % of a hashed run.
void hash_bytes(std::uint64_t& hash, const std::uint8_t* bytes, std::size_t size) {
  constexpr std::uint64_t kFnvPrime = 0x100000001b3;
  constexpr int kRotation = 29;
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  for (std::size_t at = 0; at < size; at += kWord) {
    const auto length = static_cast<unsigned>(std::min(kWord, size - at));
    hash = std::rotl(hash ^ load_word(bytes + at, length), kRotation) * kFnvPrime;
  }
}

/// Where boundaries lie. One range over everything executable where that can be: Unicorn looks through its list of
/// hooks before every instruction.
std::vector<GuestRange> boundaries_of(const Entry& entry) {
  const GuestRange code{std::min(entry.text.begin, entry.hypercall_page),
                        std::max(entry.text.end, entry.hypercall_page + layout::kPage)};
  const GuestRange own{has_low_page(entry) ? kLowPage : layout::kHandlerPage, layout::clobber_page(entry.width())};
  if (code.end <= own.end) {
    return {{std::min(code.begin, own.begin), own.end}};
  }
  return {own, code};
}

}  // namespace

Guest::Guest(const Entry& entry, BoundaryHook hook, void* self)
    : entry_(entry), shared_(nullptr, nullptr, abi_of(entry.width())) {
  map_image();
  map_own_pages();
  bind_pointers();
  add_stack(StackId::thread, entry.thread_stack.range);
  if (entry.interrupt_stack) {
    add_stack(StackId::interrupt, entry.interrupt_stack->range);
  }
  if (entry.kernel_stack) {
    add_stack(StackId::kernel, entry.kernel_stack->range);
  }
  add_stack(StackId::user, layout::user_stack(entry.width()));
  split_data();
  cpu_ = std::make_unique<Cpu>(entry.width(), memory_, layout::kGdt, boundaries_of(entry), hook, self);
  for (std::size_t i = 0; i < entry.segment_bases.size(); ++i) {
    cpu_->add_data_segment(entry.description.segments[i].selector, entry.segment_bases[i]);
  }
  const auto add_own = [this](const OwnSelectors& own, GuestAddress base) {
    cpu_->add_data_segment(own.kernel, base);
    cpu_->add_data_segment(own.user, kUserBase32);
  };
  if (entry.width() == Width::k32 && entry.fs_base != GuestAddress{}) add_own(kOwnFs32, entry.fs_base);
  if (entry.width() == Width::k32 && entry.gs_base != GuestAddress{}) add_own(kOwnGs32, entry.gs_base);
}

void Guest::map_image() {
  for (const LoadSegment& segment : entry_.segments) {
    const GuestAddress end = segment.address + segment.bytes.size();
    for (const GuestRange& own : layout::kOwn) {
      if (segment.address < own.end && own.begin < end) {
        throw InputError(
            fmt::format("{}: image: a segment at {:#x} overlaps {:#x} to {:#x}, which framefold keeps for itself",
                        entry_.description.file, segment.address.value, own.begin.value, own.end.value));
      }
    }
    Access access = Access::read_only;
    if (segment.writable) {
      access = Access::read_write;
    } else if (segment.executable) {
      access = Access::read_execute;
    }
    std::uint8_t* host = memory_.map(segment.address, segment.bytes.size(), access);
    std::copy(segment.bytes.begin(), segment.bytes.end(), host);
  }
  std::uint8_t* page = memory_.find(entry_.hypercall_page, layout::kPage);
  fill_hypercall_page(page, entry_.width());
  const IretStub stub = iret_stub(entry_.width());
  stub_range_ = {entry_.hypercall_page + stub.offset, entry_.hypercall_page + stub.offset + stub.length};
  const std::array<GuestAddress, 1> starts{stub_range_.begin};
  stub_ = decode(entry_.width(), stub_range_.begin, {page + stub.offset, stub.length}, starts);
}

void Guest::map_own_pages() {
  std::uint8_t* handlers = memory_.map(layout::kHandlerPage, layout::kPage, Access::read_execute);
  std::fill_n(handlers, layout::kPage, kNop);
  for (std::size_t i = 0; i < entry_.vectors.size(); ++i) {
    write_return(handlers + (layout::handler_return(i) - layout::kHandlerPage), entry_.vectors[i].description.returns);
  }
  for (std::size_t i = 0; i < entry_.calls.size(); ++i) {
    const CallDescription& call = entry_.calls[i].description;
    write_return(handlers + (layout::call_return(i) - layout::kHandlerPage),
                 call.has_value ? std::optional(call.returns) : std::nullopt);
  }
  map_context_places();
  memory_.map(layout::user_stack(entry_.width()).begin, layout::kUserStackSize, Access::read_write);
  write_clobber_code();
}

void Guest::map_context_places() {
  const auto map = [this](GuestAddress begin, std::uint64_t size) {
    std::fill_n(memory_.map(begin, size, Access::read_execute), size, kHlt);
  };
  map(resume_page(entry_.width(), GuestMode::kernel), kResumePageSize);
  if (has_low_page(entry_)) {
    map(kLowPage, kLowPageSize);
  }
  if (entry_.width() == Width::k64) {
    map(resume_page(Width::k64, GuestMode::user), kResumePageSize);
    for (const GuestMode mode : {GuestMode::kernel, GuestMode::user}) {
      map({twin_of_region(entry_, mode).value & ~(layout::kPage - 1)}, 2 * layout::kPage);
    }
  }
}

/// `mov $value,%rax; ret`: the flags are those of the code before.
void Guest::write_return(std::uint8_t* at, std::optional<std::int64_t> value) const {
  constexpr std::uint8_t kRexW = 0x48;
  constexpr std::uint8_t kLoadRax = 0xb8;
  const unsigned word = word_size(entry_.width());
  if (value) {
    if (entry_.width() == Width::k64) {
      *at++ = kRexW;
    }
    *at++ = kLoadRax;
    store_word(at, static_cast<std::uint64_t>(*value), word);
    at += word;
  }
  *at = kRet;
}

void Guest::write_clobber_code() {
  const unsigned word = word_size(entry_.width());
  const bool wide = entry_.width() == Width::k64;
  const GuestAddress clobber = layout::clobber_page(entry_.width());
  const GuestAddress target = layout::handler_target(entry_.width());
  std::uint8_t* const page = memory_.map(clobber, layout::kPage, Access::read_execute);
  std::uint8_t* at = std::copy(kClobberFlags.begin(), kClobberFlags.end(), page);
  const auto load_immediate = [&](Gpr gpr, std::uint64_t value) {  // SDM Vol. 2, MOV: b8+r
    const auto number = static_cast<std::uint8_t>(gpr);
    if (wide) {
      *at++ = number < 8 ? 0x48 : 0x49;
    }
    *at++ = static_cast<std::uint8_t>(0xb8 + number % 8);
    store_word(at, value, word);
    at += word;
  };
  const std::span<const Gpr> clobbered = wide ? std::span<const Gpr>(kCallerSaved64) : kCallerSaved32;
  for (const Gpr gpr : clobbered) {
    load_immediate(gpr, unsaid_value(entry_.width()) + static_cast<std::uint64_t>(gpr));
  }
  // jmp *target: from the next instruction on 64-bit, absolute on 32-bit.
  constexpr unsigned kJumpLength = 6;
  const std::uint64_t next = clobber.value + static_cast<std::uint64_t>(at - page) + kJumpLength;
  *at++ = 0xff;
  *at++ = 0x25;
  store_word(at, target.value - (wide ? next : 0), sizeof(std::uint32_t));
  handler_target_ = page + (target - clobber);
}

void Guest::bind_pointers() {
  shared_page_ = memory_.map(layout::kSharedInfo, layout::kPage, Access::read_write);
  const VcpuInfoDescription& info = entry_.description.vcpu_info;
  if (!info.symbol.empty()) {
    vcpu_info_address_ = entry_.vcpu_info;
    vcpu_info_ = memory_.find(entry_.vcpu_info, kVcpuInfoSize);
  } else {
    vcpu_info_address_ = layout::kSharedInfo + info.offset();
    vcpu_info_ = shared_page_ + info.offset();
  }
  if (!info.pointer.empty()) {
    const unsigned word = word_size(entry_.width());
    store_word(memory_.find(entry_.vcpu_info, word), layout::kSharedInfo.value, word);
  }
  if (entry_.interrupt_pointer) {
    constexpr std::uint64_t kBelowEnd = 64;  // kernels keep words there
    const unsigned word = word_size(entry_.width());
    const GuestAddress top = entry_.interrupt_stack->range.end - kBelowEnd;
    store_word(memory_.find(*entry_.interrupt_pointer, word), top.value, word);
  }
  shared_ = SharedInfo(vcpu_info_, shared_page_, abi_of(entry_.width()));
}

void Guest::add_stack(StackId id, GuestRange range) {
  Stack& stack = stacks_[static_cast<std::size_t>(id)];
  stack.range = range;
  stack.host = memory_.find(range.begin, range.size());
  stack.first.resize(range.size());
  for (std::uint64_t i = 0; i < range.size(); ++i) {
    stack.first[i] = stack_byte(range.begin + i);
  }
  stack.dirty = range.begin;  // the first reset fills all of it
}

void Guest::add_data(GuestRange range, DataUse use) {
  if (range.begin < range.end) {
    std::uint8_t* host = memory_.find(range.begin, range.size());
    data_.push_back({range, host, {host, host + range.size()}, use});
    data_.back().forget_stores();
  }
}

/// A counter is a word that the guest may write at any time: it counts as written.
void Guest::Data::forget_stores() {
  const bool written = use == DataUse::counter;
  dirty_begin = written ? 0 : first.size();
  dirty_end = written ? first.size() : 0;
}

void Guest::split_data() {
  std::vector<std::pair<GuestRange, bool>> apart;  // what is not the entry's own data, and whether it is a counter
  for (const Stack& stack : stacks_) {
    if (stack.host != nullptr) {
      apart.emplace_back(stack.range, false);
    }
  }
  for (const GuestRange& counter : entry_.counters) {
    apart.emplace_back(counter, true);
  }
  if (entry_.work_flag) {  // judged by `work-missed`
    apart.emplace_back(GuestRange{*entry_.work_flag, *entry_.work_flag + sizeof(std::uint32_t)}, true);
  }
  if (!entry_.description.vcpu_info.symbol.empty()) {
    apart.emplace_back(GuestRange{entry_.vcpu_info, entry_.vcpu_info + kVcpuInfoSize}, false);
  }
  std::sort(apart.begin(), apart.end(), [](const auto& a, const auto& b) { return a.first.begin < b.first.begin; });
  for (const LoadSegment& segment : entry_.segments) {
    if (!segment.writable) {
      continue;
    }
    GuestAddress at = segment.address;
    const GuestAddress end = segment.address + segment.bytes.size();
    for (const auto& [range, counter] : apart) {
      if (range.begin < at || end < range.end) {
        continue;
      }
      add_data({at, range.begin}, DataUse::judged);
      if (counter) {
        add_data(range, DataUse::counter);
      }
      at = range.end;
    }
    add_data({at, end}, DataUse::judged);
  }
  add_shared_data();
}

/// What `reset` does not restore anyway.
void Guest::add_shared_data() {
  const Abi& abi = shared_.abi();
  const auto bitmap = [](std::uint32_t offset) {
    const GuestAddress begin = layout::kSharedInfo + offset;
    return GuestRange{begin, begin + kPortCount / 8};
  };
  const GuestAddress info_end = vcpu_info_address_ + (abi.cr2 + abi.word);
  std::array<GuestRange, 3> restored{GuestRange{vcpu_info_address_, info_end}, bitmap(abi.evtchn_pending),
                                     bitmap(abi.evtchn_mask)};
  std::sort(restored.begin(), restored.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  GuestAddress at = layout::kSharedInfo;
  for (const GuestRange& range : restored) {
    if (layout::kSharedInfo <= range.begin && range.end <= layout::kSharedInfo + layout::kPage) {
      add_data({at, range.begin}, DataUse::shared);
      at = range.end;
    }
  }
  add_data({at, layout::kSharedInfo + layout::kPage}, DataUse::shared);
  if (vcpu_info_ != shared_page_ && !entry_.description.vcpu_info.symbol.empty()) {
    add_data({info_end, vcpu_info_address_ + kVcpuInfoSize}, DataUse::shared);
  }
}

void Guest::reset() {
  for (Stack& stack : stacks_) {
    if (stack.host != nullptr && stack.dirty < stack.range.end) {
      const std::uint64_t offset = stack.dirty - stack.range.begin;
      std::memcpy(stack.host + offset, stack.first.data() + offset, stack.first.size() - offset);
      stack.dirty = stack.range.end;
    }
  }
  for (Data& data : data_) {
    if (data.dirty_begin < data.dirty_end) {
      std::memcpy(data.host + data.dirty_begin, data.first.data() + data.dirty_begin,
                  data.dirty_end - data.dirty_begin);
      data.forget_stores();
    }
  }
  const Abi& abi = shared_.abi();
  std::memset(vcpu_info_, 0, abi.cr2 + abi.word);
  std::memset(shared_page_ + abi.evtchn_pending, 0, kPortCount / 8);
  std::memset(shared_page_ + abi.evtchn_mask, 0, kPortCount / 8);
}

void Guest::set_first_data(GuestAddress address, std::uint32_t value) {
  for (Data& data : data_) {
    if (data.range.contains(address)) {
      const std::uint64_t offset = address - data.range.begin;
      store_word(data.first.data() + offset, value, sizeof value);
      store_word(data.host + offset, value, sizeof value);
    }
  }
}

bool Guest::restores_always(GuestAddress address, std::uint64_t size) const {
  const GuestAddress end = address + size;
  const auto overlaps = [&](GuestRange range) { return address < range.end && range.begin < end; };
  const GuestRange info{vcpu_info_address_, vcpu_info_address_ + kVcpuInfoSize};
  return !overlaps(info) && !overlaps({layout::kSharedInfo, layout::kSharedInfo + layout::kPage}) &&
         std::none_of(stacks_.begin(), stacks_.end(), [&](const Stack& stack) { return overlaps(stack.range); }) &&
         std::none_of(data_.begin(), data_.end(),
                      [&](const Data& data) { return data.use != DataUse::counter && overlaps(data.range); });
}

void Guest::note_store(GuestAddress address, std::uint64_t size) {
  for (Stack& stack : stacks_) {
    if (stack.range.contains(address)) {
      stack.dirty = std::min(stack.dirty, address);
      return;
    }
  }
  for (Data& data : data_) {
    if (address < data.range.end && data.range.begin < address + size) {
      const GuestAddress begin = std::max(address, data.range.begin);
      const GuestAddress end = std::min(address + size, data.range.end);
      data.dirty_begin = std::min(data.dirty_begin, begin - data.range.begin);
      data.dirty_end = std::max(data.dirty_end, end - data.range.begin);
    }
  }
}

void Guest::note_port() {
  const Abi& abi = shared_.abi();
  for (const std::uint32_t bitmap : {abi.evtchn_pending, abi.evtchn_mask}) {
    constexpr std::uint32_t kInUse = kPortCount / 8;
    note_store(layout::kSharedInfo + bitmap + kInUse, abi.ports / 8 - kInUse);
  }
}

void Guest::note_lost_stack() {
  for (Data& data : data_) {
    data.dirty_begin = 0;
    data.dirty_end = data.first.size();
  }
}

void Guest::note_stack_write(GuestAddress top, std::uint64_t depth) {
  for (Stack& stack : stacks_) {
    if (stack.range.contains(top - 1)) {
      const std::uint64_t room = top - stack.range.begin;
      stack.dirty = std::min(stack.dirty, top - std::min(depth, room));
      if (depth > room) {
        note_lost_stack();
      }
      return;
    }
  }
}

void Guest::kill_stack_below(GuestAddress top, std::uint64_t size) {
  const std::optional<StackId> id = stack_of(top - 1);
  if (!id) {
    return;
  }
  Stack& stack = stacks_[static_cast<std::size_t>(*id)];
  const std::uint64_t room = std::min(size, top - stack.range.begin);
  std::memset(stack.host + (top - room - stack.range.begin), kDeadStackByte, room);
  stack.dirty = std::min(stack.dirty, top - room);
}

std::optional<StackId> Guest::stack_of(GuestAddress address) const {
  for (std::size_t i = 0; i < kStackCount; ++i) {
    if (stacks_[i].range.contains(address)) {
      return static_cast<StackId>(i);
    }
  }
  return std::nullopt;
}

std::optional<GuestAddress> Guest::first_change(StackId id, GuestAddress from) const {
  const Stack& stack = stacks_[static_cast<std::size_t>(id)];
  const std::uint64_t offset = std::max(from, stack.range.begin) - stack.range.begin;
  const std::uint8_t* first = stack.first.data();
  const std::size_t size = stack.first.size();
  if (std::memcmp(stack.host + offset, first + offset, size - offset) == 0) {
    return std::nullopt;
  }
  return stack.range.begin +
         static_cast<std::uint64_t>(std::mismatch(first + offset, first + size, stack.host + offset).first - first);
}

std::optional<GuestAddress> Guest::first_data_change() const {
  for (const Data& data : data_) {
    for (std::uint64_t at = data.dirty_begin; data.use == DataUse::judged && at < data.dirty_end; ++at) {
      if (data.host[at] != data.first[at]) {
        return data.range.begin + at;
      }
    }
  }
  return std::nullopt;
}

void Guest::hash_memory(std::uint64_t& hash) const {
  for (const Stack& stack : stacks_) {
    if (stack.host != nullptr) {
      // From the first byte that changed: what may have changed depends on what this guest did before.
      const auto from =
          std::mismatch(stack.first.begin() + static_cast<std::ptrdiff_t>(stack.dirty - stack.range.begin),
                        stack.first.end(), stack.host + (stack.dirty - stack.range.begin))
              .first;
      const auto offset = static_cast<std::size_t>(from - stack.first.begin());
      hash_bytes(hash, stack.host + offset, stack.first.size() - offset);
    }
  }
  for (const Data& data : data_) {
    if (data.use != DataUse::shared) {
      hash_bytes(hash, data.host, data.first.size());
    }
  }
  hash_bytes(hash, shared_page_, layout::kPage);
  if (vcpu_info_ != shared_page_) {
    hash_bytes(hash, vcpu_info_, kVcpuInfoSize);
  }
}

}  // namespace framefold
