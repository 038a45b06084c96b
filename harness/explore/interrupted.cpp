#include "explore/interrupted.hpp"

#include <algorithm>
#include <cstring>

#include "explore/state_key.hpp"
#include "machine/xen_public.hpp"
#include "run/coverage.hpp"
#include "xen/abi.hpp"

namespace framefold {

namespace {

// The low half is the high one, so that a 64-bit value whose low bytes were overwritten (`sete %al`) shows what they
// were.
constexpr std::uint32_t kOpaque = 0x5eedb000;
constexpr std::uint32_t kOpaqueMask = 0xfffff000;
constexpr unsigned kLevels = 8;  // that differ
constexpr unsigned kSetsOfLevel = 4;

std::uint64_t opaque_value(Width width, Gpr gpr, OpaqueNumber n, bool in_memory) {
  const std::size_t set = n.level % kLevels * kSetsOfLevel + (n.others ? 2 : 0) + (in_memory ? 1 : 0);
  const std::uint64_t low = kOpaque + static_cast<std::uint32_t>(set * kGprCount + static_cast<std::size_t>(gpr));
  return width == Width::k64 ? low << 32 | low : low;
}

/// Whether one of `size` bytes at `offset` of a word is of an opaque value of a level.
bool is_opaque(std::uint64_t value, std::uint64_t offset, std::uint64_t size, unsigned word, std::size_t level) {
  const std::uint64_t whole = word == 8 ? value >> 32 : value;
  if ((whole & kOpaqueMask) != kOpaque) return false;
  if ((whole & ~std::uint64_t{kOpaqueMask}) / (kSetsOfLevel * kGprCount) != level % kLevels) return false;
  std::uint64_t overwritten = 0;
  if (word == 8) {
    const std::uint64_t differs = (whole ^ value) & 0xffffffff;
    while (overwritten < 4 && differs >> (8 * overwritten) != 0) ++overwritten;
  }
  return offset + size > overwritten;
}

/// Whether the word at `address` is an opaque value of a level, all of it.
bool is_opaque_at(const Guest& guest, GuestAddress address, unsigned word, std::size_t level) {
  const std::uint8_t* const host = guest.memory().find(address, word);
  return host != nullptr && is_opaque(load_word(host, word), 0, word, word, level);
}

std::vector<ValueReads> reads_of(const Entry& entry, const Guest& guest, GuestRange range,
                                 std::span<const Instruction> code) {
  const std::uint8_t* const bytes = guest.memory().find(range.begin, range.size());
  if (bytes == nullptr) return std::vector<ValueReads>(code.size());
  return value_reads(entry.width(), range.begin, {bytes, range.size()}, code);
}

}  // namespace

Registers with_opaque_values(Registers registers, Width width, OpaqueNumber number) {
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    if (gpr != Gpr::rsp) registers[gpr] = opaque_value(width, gpr, number, false);
  }
  return registers;
}

namespace {

/// The live words of a stack that a frame may reach.
class FrameWords {
 public:
  FrameWords(std::span<std::uint8_t> live, unsigned size) : live_(live), size_(size) {}

  std::uint32_t count() const {
    return static_cast<std::uint32_t>(std::min<std::size_t>(live_.size() / size_, kFrameWords));
  }
  std::uint64_t read(std::uint32_t word) const { return load_word(at(word), size_); }
  void write(std::uint32_t word, std::uint64_t value) { store_word(at(word), value, size_); }
  /// Those that hold `value`.
  std::vector<std::uint32_t> find(std::uint64_t value) const {
    std::vector<std::uint32_t> found;
    for (std::uint32_t word = 0; word < count(); ++word) {
      if (read(word) == value) found.push_back(word);
    }
    return found;
  }

 private:
  std::uint8_t* at(std::uint32_t word) const { return live_.data() + std::size_t{word} * size_; }

  std::span<std::uint8_t> live_;
  unsigned size_;
};

/// Where RSP was when `activation` began, or the end of the stack: what lies below is its own.
std::uint64_t own_end(const Activation& activation, GuestRange stack) {
  const std::uint64_t rsp = activation.interrupted[Gpr::rsp];
  const bool same_stack = activation.mode == GuestMode::kernel && stack.begin.value < rsp && rsp <= stack.end.value;
  return same_stack ? rsp : stack.end.value;
}

/// How a register that was interrupted may be opaque.
struct Hiding {
  bool hides = false;
  std::optional<std::uint32_t> copy;  // the word that shows it
};

/// A selector, a flag or a count is the same as a word by chance: only what has not been saved, or has been restored,
/// is opaque then. A value that another register has is not, nor one of which a word is looked at. What lies above
/// `own` words is of older activations: what is copied from there is looked at.
Hiding hiding_of(const Registers& interrupted, Gpr gpr, Width width, bool restored, const FrameWords& words,
                 std::uint64_t own, const Looks& exact) {
  constexpr std::uint64_t kSmall = 0x10000;
  const auto end = interrupted.gpr.begin() + static_cast<std::ptrdiff_t>(gpr_count(width));
  const std::vector<std::uint32_t> copies = words.find(interrupted[gpr]);
  const auto looked_at = [&](std::uint32_t word) { return exact.words.count(word) != 0; };
  if (std::count(interrupted.gpr.begin(), end, interrupted[gpr]) != 1 ||
      std::any_of(copies.begin(), copies.end(), looked_at)) {
    return {};
  }
  if (interrupted[gpr] < kSmall) {
    return {restored, {}};
  }
  const auto of_own = std::lower_bound(copies.begin(), copies.end(), own);
  if (of_own - copies.begin() > 1) {
    return {};
  }
  return {true, of_own == copies.begin() ? std::nullopt : std::optional(copies.front())};
}

}  // namespace

std::uint64_t hide_interrupted(Snapshot& snapshot, StackId stack, GuestRange range, const Looks& exact, Width width,
                               OpaqueNumber number) {
  const SnapshotParts parts = parts_of(snapshot);
  FrameWords words(parts.stacks[static_cast<std::size_t>(stack)], word_size(width));
  const std::span<std::uint8_t> youngest = parts.activations.last(sizeof(Activation));
  const std::uint64_t rsp = snapshot.registers[Gpr::rsp];
  Activation activation;
  std::memcpy(&activation, youngest.data(), sizeof activation);
  const Registers interrupted = activation.interrupted;
  const std::uint64_t own = (own_end(activation, range) - rsp) / word_size(width);
  Registers hidden = with_opaque_values(snapshot.registers, width, number);
  std::uint64_t key = 1;
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    if (gpr == Gpr::rsp) continue;
    const bool restored = interrupted[gpr] == snapshot.registers[gpr];
    const Hiding hiding = hiding_of(interrupted, gpr, width, restored, words, own, exact);
    key = mix(key, std::uint64_t{restored} | std::uint64_t{hiding.hides} << 1);
    if (!hiding.hides || (!restored && !hiding.copy)) {
      key = mix(key, interrupted[gpr]);
      if (restored) hidden[gpr] = interrupted[gpr];
      continue;
    }
    activation.interrupted[gpr] = restored ? hidden[gpr] : opaque_value(width, gpr, number, true);
    if (hiding.copy) {
      words.write(*hiding.copy, activation.interrupted[gpr]);
      key = mix(key, *hiding.copy);
    }
  }
  for (const std::uint32_t word : exact.words) {
    if (word >= words.count()) continue;
    const std::uint64_t value = words.read(word);
    const bool pointer = range.begin.value <= value && value <= range.end.value;
    key = mix(mix(key, word), pointer ? value - rsp : value);
  }
  snapshot.registers = hidden;
  std::memcpy(youngest.data(), &activation, sizeof activation);
  return key;
}

void Looks::remove(const Looks& known) {
  set = static_cast<std::uint8_t>(set & ~known.set);
  for (const std::uint64_t border : known.borders) {
    borders.erase(border);
  }
  for (const std::uint32_t word : known.words) {
    words.erase(word);
  }
}

struct InterruptedReads::Place {
  const Registers& registers;
  const Guest& guest;
  Interrupted& of;
  Looks& looks;
};

struct InterruptedReads::Words {
  static constexpr std::size_t kMost = 16;
  std::array<Word, kMost> items;
  std::size_t count = 0;
  bool more = false;  // than fit

  void add(const Word& word) {
    if (count < kMost) {
      items[count++] = word;
    } else {
      more = true;
    }
  }
  std::span<const Word> view() const { return {items.data(), count}; }
};

InterruptedReads::InterruptedReads(const Entry& entry, const Guest& guest)
    : entry_(entry),
      frame_(entry),
      word_(word_size(entry.width())),
      stack_alignment_(std::max<std::uint64_t>(
          {entry.description.handler.stack_alignment, word_, bounce_frame_alignment(entry.width())})) {
  const auto add = [&](GuestRange range, std::span<const Instruction> code) {
    const std::vector<ValueReads> reads = reads_of(entry, guest, range, code);
    reads_.insert(reads_.end(), reads.begin(), reads.end());
    for (const Instruction& instruction : code) {
      instructions_.push_back(&instruction);
    }
  };
  add(entry.text, entry.instructions);
  add(guest.stub_range(), guest.stub());
  for (const ValueReads& reads : reads_) {
    stack_alignment_ = std::max<std::uint64_t>(stack_alignment_, reads.rounds_to);
  }
  reads_.resize(boundary_count(entry));
  instructions_.resize(boundary_count(entry));
  const auto is_modelled = [&](GuestAddress address) {
    if (const Instruction* const instruction = find_instruction(entry, address)) {
      instructions_[static_cast<std::size_t>(instruction - entry.instructions.data())] = nullptr;
    }
  };
  for (const Vector& vector : entry.vectors) is_modelled(vector.handler);
  for (const Call& call : entry.calls) is_modelled(call.address);
}

void InterruptedReads::look(const Boundary& boundary, const Registers& registers, const Execution& execution,
                            Interrupted& of, Looks& looks) const {
  const Place place{registers, execution.guest(), of, looks};
  const ValueReads& reads = reads_[boundary.index];
  const std::uint64_t popped = std::max<std::uint64_t>(1, reads.popped);
  look_at_interrupted({registers[Gpr::rsp]}, popped * word_, true, place);  // what a pop would take
  if (boundary.handler != nullptr) {
    look_at_arguments(execution.activations().youngest(), place);
    return;
  }
  const Instruction* const instruction = instructions_[boundary.index];
  if (instruction == nullptr) return;
  Words words;
  read_registers(reads, place, words);
  if (instruction->memory_count != 0) read_memory(reads, *instruction, place, words);
  if (reads.pops_part != 0) read_words({registers[Gpr::rsp]}, reads.pops_part, place, words);
  if (words.count != 0) look_at(reads, words, place);
  if (reads.popped != 0) look_at_stack(0, reads.popped, place);
  if (has(instruction->flags, InstructionFlag::traps)) look_at_hypercall(place);
}

void InterruptedReads::read_registers(const ValueReads& reads, const Place& place, Words& words) const {
  for (const RegisterRead& read : reads.view()) {
    words.add({place.registers[read.gpr], read.offset, read.size, read.address});
  }
  if (reads.stack_pointer) words.add({place.registers[Gpr::rsp], 0, word_, false});
}

void InterruptedReads::read_memory(const ValueReads& reads, const Instruction& instruction, const Place& place,
                                   Words& words) const {
  for (const MemoryOperand& operand : instruction.accesses()) {
    const GuestAddress at = effective_address(operand, place.registers, instruction.next());
    look_at_interrupted(at, operand.size, operand.read, place);
    if (reads.memory && operand.read) read_words(at, operand.size, place, words);
    if (!reads.memory && !is_aligned(at, place)) place.looks.add(Look::values);  // parts of words are copied
  }
}

/// The words that hold `size` bytes at `at`.
void InterruptedReads::read_words(GuestAddress at, std::uint64_t size, const Place& place, Words& words) const {
  const GuestAddress first{at.value - (at.value - base_of(at, place)) % word_};
  for (GuestAddress word = first; word < at + size; word = word + word_) {
    const std::uint8_t* const host = place.guest.memory().find(word, word_);
    if (host == nullptr) continue;
    const std::uint64_t part = std::min(at + size, word + word_) - std::max(at, word);
    words.add({load_word(host, word_), std::max(at, word) - word, part, false});
  }
}

/// Words of a stack are as far apart as it is used: from RSP.
std::uint64_t InterruptedReads::base_of(GuestAddress address, const Place& place) const {
  return is_in_stack(address.value, place.guest) ? place.registers[Gpr::rsp] % word_ : 0;
}

bool InterruptedReads::is_aligned(GuestAddress address, const Place& place) const {
  return (address.value - base_of(address, place)) % word_ == 0;
}

/// A stack pointer may be used as an address, and shifted within stacks: beyond them, nobody would know it again.
void InterruptedReads::look_at(const ValueReads& reads, const Words& words, const Place& place) const {
  unsigned pointers = 0;
  std::uint64_t sum = static_cast<std::uint64_t>(reads.adds.value_or(0));
  if (words.more) place.looks.add(Look::values);
  for (const Word& word : words.view()) {
    sum += word.address ? 0 : word.value;
    if (word.value == place.of.registers.rip || place.of.shifted.count(word.value) != 0) {
      look_at_place(reads, words, word.value, place);
    } else if (is_opaque(word.value, word.offset, word.size, word_, place.of.level)) {
      place.looks.add(Look::values);
    } else if (!word.address && is_in_stack(word.value, place.guest)) {
      ++pointers;
    }
  }
  if (word_ == 4) sum &= 0xffffffff;
  const bool leaves = pointers != 0 && reads.adds && !is_in_stack(sum, place.guest);
  if (pointers > reads.shifts || leaves) place.looks.add(Look::stack);
}

/// At `value`, which is the interrupted RIP, or was made of it by adding. Compared with another word, all that can be
/// told is on which side of that it lies; where something was added, what wraps around is less than what does not. Of
/// other looks, each RIP is one by itself: of each that is a value by chance, that is enough.
void InterruptedReads::look_at_place(const ValueReads& reads, const Words& words, std::uint64_t value,
                                     const Place& place) const {
  const std::uint64_t all = word_ == 8 ? ~std::uint64_t{0} : 0xffffffff;
  const auto found = place.of.shifted.find(value);
  const std::uint64_t shift = value == place.of.registers.rip ? 0 : found->second;
  if (reads.by && words.count == 1 && words.items[0].size == word_) {
    const auto by = static_cast<std::uint64_t>(*reads.by);
    place.of.shifted.emplace((value + by) & all, (shift + by) & all);
    return;
  }
  std::optional<std::uint64_t> other;
  unsigned compared = reads.with ? 1 : 0;
  if (reads.with) other = static_cast<std::uint64_t>(*reads.with) & all;
  for (const Word& word : words.view()) {
    if (word.address) continue;
    ++compared;
    if (word.value != value) other = word.value;
  }
  if (!reads.compares || compared != 2 || !other) {
    place.looks.borders.insert({place.of.registers.rip, place.of.registers.rip + 1});
    return;
  }
  for (const std::uint64_t border : {*other, *other + 1, std::uint64_t{0}}) {
    place.looks.borders.insert((border - shift) & all);
  }
}

/// At words from RSP up, from number `first`. That an interrupted RIP is gone back to is what it is there for.
void InterruptedReads::look_at_stack(std::uint64_t first, std::uint64_t words, const Place& place) const {
  const GuestAddress rsp{place.registers[Gpr::rsp]};
  for (std::uint64_t i = first; i < first + words; ++i) {
    if (is_opaque_at(place.guest, rsp + i * word_, word_, place.of.level)) place.looks.add(Look::values);
  }
}

/// What a handler is given: the address of a frame, which may be the interrupted one.
void InterruptedReads::look_at_arguments(const Activation& youngest, const Place& place) const {
  const std::optional<Gpr> argument = entry_.description.handler.argument;
  std::uint64_t frame = 0;
  if (argument) {
    frame = place.registers[*argument];
  } else if (const std::uint8_t* const host =
                 place.guest.memory().find(GuestAddress{place.registers[Gpr::rsp]} + word_, word_)) {
    frame = load_word(host, word_);
  }
  if (is_opaque(frame, 0, word_, word_, place.of.level)) place.looks.add(Look::values);
  if (is_interrupted_memory({frame}, frame_.size_for(youngest), place)) place.looks.add(Look::memory);
}

/// What Xen takes besides the number: for iret, a frame above what it gives back as it is (RAX, R11 and RCX; EAX: Xen
/// arch/x86/pv/iret.c, do_iret and compat_iret).
void InterruptedReads::look_at_hypercall(const Place& place) const {
  const bool wide = entry_.width() == Width::k64;
  if ((place.registers[Gpr::rax] & 0xffffffff) == __HYPERVISOR_iret) {
    look_at_stack(wide ? 3 : 1, wide ? 6 : 3, place);
    return;
  }
  for (const Gpr argument : {wide ? Gpr::rdi : Gpr::rbx, wide ? Gpr::rsi : Gpr::rcx}) {
    if (is_opaque(place.registers[argument], 0, word_, word_, place.of.level)) place.looks.add(Look::values);
  }
}

/// At memory that was live when it was interrupted.
void InterruptedReads::look_at_interrupted(GuestAddress address, std::uint64_t size, bool read,
                                           const Place& place) const {
  if (!is_interrupted_memory(address, size, place)) return;
  place.looks.add(Look::memory);
  if (!place.of.folds || !read) return;
  const GuestAddress live = place.of.live[static_cast<std::size_t>(*place.of.stack)];
  if (place.guest.stack_of(address) != place.of.stack) {
    place.looks.add(Look::values);
    return;
  }
  for (std::uint64_t word = address < live ? 0 : (address - live) / word_; live + word * word_ < address + size;
       ++word) {
    if (word >= kFrameWords) {
      place.looks.add(Look::values);
    } else if (!is_opaque_at(place.guest, live + word * word_, word_, place.of.level)) {
      place.looks.words.insert(static_cast<std::uint32_t>(word));
    }
  }
}

bool InterruptedReads::is_interrupted_memory(GuestAddress address, std::uint64_t size, const Place& place) const {
  for (std::size_t i = 0; i < kStackCount; ++i) {
    const GuestRange& range = place.guest.stack_range(static_cast<StackId>(i));
    if (address < range.end && place.of.live[i] < address + size && range.begin <= address) return true;
  }
  return false;
}

bool InterruptedReads::is_in_stack(std::uint64_t value, const Guest& guest) const {
  for (std::size_t i = 0; i < kStackCount; ++i) {
    const GuestRange& range = guest.stack_range(static_cast<StackId>(i));
    if (range.begin.value <= value && value <= range.end.value && range.size() != 0) return true;
  }
  return false;
}

}  // namespace framefold
