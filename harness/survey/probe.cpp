#include "survey/probe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "image/image.hpp"
#include "machine/selectors.hpp"
#include "run/guest.hpp"
#include "scenario/scenario.hpp"
#include "survey/code_clues.hpp"
#include "xen/vcpu.hpp"

namespace framefold {

namespace {

constexpr std::uint32_t kLongestProbe = 1U << 14;  // boundaries; far above any way to a handler
constexpr std::uint64_t kPlace = 0x40;
/// How far above its argument a function's frame may hold the interrupted RIP.
constexpr std::uint32_t kFarthestRip = 1024;
/// Words that Xen pushes from RIP on for user mode, in either width: rip, cs, rflags, rsp, ss.
constexpr std::uint32_t kXenWords = 5;

class Probe {
 public:
  Probe(const ProbeCode& code, const ProbeVector& vector, const std::string& name)
      : code_(code), vector_(vector), name_(name), word_(word_size(code.width)) {
    map_image();
    shared_page_ = memory_.map(layout::kSharedInfo, layout::kPage, Access::read_write);
    memory_.map(resume_page(code_.width, GuestMode::kernel), kResumePageSize, Access::read_execute);
    memory_.map(kProbeStack, kProbeStackSize, Access::read_write);
    memory_.map(kProbeInterruptStack, kProbeStackSize, Access::read_write);
    fill_pointers();
  }

  ProbeResult run() {
    std::vector<GuestRange> hooked;
    for (const ElfSegment& segment : code_.image->segments) {
      if (segment.executable) hooked.push_back(segment.range);
    }
    Cpu cpu(code_.width, memory_, layout::kGdt, hooked);
    cpu_ = &cpu;
    for (const auto& [selector, base] : code_.segments) cpu.add_data_segment(selector, base);
    if (code_.width == Width::k32) {
      for (const auto& [own, base] : {std::pair{kOwnFs32, code_.fs_base}, std::pair{kOwnGs32, code_.gs_base}}) {
        cpu.add_data_segment(own.kernel, base);
        cpu.add_data_segment(own.user, base);  // another selector of the same, which marks
      }
    }
    const GuestAddress start = deliver_vector();
    cpu.write_general(registers_);
    cpu.write_data_segments(registers_);
    const std::optional<GuestFault> fault = cpu.run(
        start, [](void* self, GuestAddress address) { static_cast<Probe*>(self)->at(address); }, this);
    if (!result_.call && result_.stopped.empty()) result_.stopped = fault ? text_of(*fault) + lost_stack(*fault) : "";
    if (!result_.call && fault) result_.need = need_of(*fault);
    if (!result_.call && fault) result_.through = segment_at(*fault);
    return std::move(result_);
  }

 private:
  void map_image() {
    for (const ElfSegment& segment : code_.image->segments) {
      const GuestAddress begin{segment.range.begin.value & ~(layout::kPage - 1)};
      const GuestAddress end{(segment.range.end.value + layout::kPage - 1) & ~(layout::kPage - 1)};
      std::vector<GuestRange> kept(layout::kOwn.begin(), layout::kOwn.end());
      kept.insert(kept.end(), {kProbeStackRange, kProbeInterruptRange});
      for (const GuestRange& own : kept) {
        if (begin < own.end && own.begin < end) {
          throw InputError(
              fmt::format("{}: a segment at {:#x} overlaps {:#x} to {:#x}, which framefold keeps for itself", name_,
                          segment.range.begin.value, own.begin.value, own.end.value));
        }
      }
      Access access = segment.writable ? Access::read_write : Access::read_only;
      if (segment.executable) access = Access::read_execute;
      std::uint8_t* const host = memory_.map(begin, end - begin, access);
      std::copy(segment.bytes.begin(), segment.bytes.end(), host + (segment.range.begin - begin));
    }
  }

  void fill_pointers() {
    for (const GuestAddress pointer : code_.info_pointers) {
      if (std::uint8_t* const host = memory_.find_writable(pointer, word_)) {
        store_word(host, layout::kSharedInfo.value, word_);
      }
    }
    constexpr std::uint64_t kBelowEnd = 64;  // as Guest::bind_pointers
    for (const GuestAddress pointer : code_.stack_pointers) {
      if (std::uint8_t* const host = memory_.find_writable(pointer, word_)) {
        store_word(host, (kProbeInterruptRange.end - kBelowEnd).value, word_);
      }
    }
    for (const ElfSegment& segment : code_.image->segments) {
      if (!segment.writable) continue;
      const std::uint8_t* const host = memory_.find(segment.range.begin, segment.range.size());
      first_.push_back({segment.range, {host, host + segment.range.size()}});
    }
  }

  /// The context as it is interrupted, then Xen's frame. Gives the callback's address.
  GuestAddress deliver_vector() {
    const Selectors& selectors = selectors_of(code_.width);
    const bool wide = code_.width == Width::k64;
    for (std::size_t i = 0; i < gpr_count(code_.width); ++i) {
      registers_.gpr[i] = register_tag(static_cast<Gpr>(i), code_.width);
    }
    registers_[Gpr::rsp] = (kProbeStack + kProbeStackSize - layout::kAboveStack).value;
    registers_.rip = (resume_page(code_.width, GuestMode::kernel) + kPlace).value;
    registers_.rflags = rflags::kFixed | rflags::kIf;
    registers_[Segment::cs] = selectors.kernel_code;
    registers_[Segment::ss] = selectors.kernel_stack;
    for (const Segment segment : {Segment::ds, Segment::es, Segment::fs, Segment::gs}) {
      registers_[segment] = wide ? 0 : selectors.kernel_data;
      if (vector_.marked_segment == segment) registers_[segment] = selectors.user_data;
    }
    if (!wide && code_.fs_base != GuestAddress{}) set_own(Segment::fs, kOwnFs32);
    if (!wide && code_.gs_base != GuestAddress{}) set_own(Segment::gs, kOwnGs32);
    registers_.gs_base = code_.gs_base.value;
    registers_.fs_base = code_.fs_base.value;
    interrupted_ = registers_;
    Vector vector;
    vector.address = vector_.address;
    vector.description.kind = vector_.event ? DeliveryKind::event : DeliveryKind::exception;
    vector.description.number = static_cast<std::uint8_t>(vector_.number);
    vector.description.error_code = vector_.error_code;
    vector.description.masks_events = vector_.masks_events;
    Vcpu vcpu;
    vcpu.kernel_gs_base = code_.gs_base.value;
    const SharedInfo shared(shared_page_, shared_page_, abi_of(code_.width));
    shared.upcall_pending() = 1;
    Delivery delivery{&vector, kProbeErrorCode};
    deliver(vcpu, registers_, memory_, shared, delivery);
    exit_to_guest(vcpu, registers_);
    return vector_.address;
  }

  void set_own(Segment segment, const OwnSelectors& own) {
    registers_[segment] = vector_.marked_segment == segment ? own.user : own.kernel;
  }

  void at(GuestAddress address) {
    if (!result_.call) result_.executed.insert(address.value);
    if (++boundaries_ > kLongestProbe) {
      return stop(fmt::format("still running after {} instructions", kLongestProbe));
    }
    if (result_.call) return watch_function(address);
    if (const Instruction* const instruction = instruction_at(address)) {
      if (has(instruction->flags, InstructionFlag::returns) || has(instruction->flags, InstructionFlag::traps)) {
        return stop(
            fmt::format("{:#x}: {} before a function was called with a frame", address.value, instruction->text));
      }
    }
    if (const Instruction* const instruction = instruction_at(address)) note_loads(*instruction);
    const bool trap = code_.traps.count(address.value) != 0;
    if (std::exchange(called_, false) || trap) {
      if (code_.helpers.count(address.value) == 0 && is_call_with_frame(address)) {
        if (trap) cpu_->stop();
        return;
      }
      if (trap) return return_at_once(address);
    }
    const Instruction* const instruction = instruction_at(address);
    called_ = instruction != nullptr && has(instruction->flags, InstructionFlag::calls);
  }

  /// What the stack pointer, or a segment register, is loaded from: a word, or a register that was loaded from one.
  void note_loads(const Instruction& instruction) {
    const std::span<const MemoryOperand> accesses = instruction.accesses();
    std::optional<GuestAddress> from;
    if (!accesses.empty() && accesses[0].read) {
      Registers registers;
      cpu_->read_general(registers);
      registers.gs_base = code_.gs_base.value;
      registers.fs_base = code_.fs_base.value;
      from = effective_address(accesses[0], registers, instruction.next());
    } else if (const std::optional<Gpr> source = first_register(instruction)) {
      from = loaded_from_[static_cast<std::size_t>(*source)];
    }
    if (has(instruction.flags, InstructionFlag::moves_stack) && from) stack_loaded_from_ = from;
    const std::optional<Gpr> loaded = loaded_register(instruction, code_.width);
    if (loaded) loaded_from_[static_cast<std::size_t>(*loaded)] = from;
    const std::size_t operand = instruction.text.find(" %");
    if (has(instruction.flags, InstructionFlag::loads_segment) && operand != std::string::npos) {
      const std::size_t comma = instruction.text.find(',', operand);
      const auto gpr = gpr_from_name(instruction.text.substr(operand + 2, comma - operand - 2), code_.width);
      if (gpr) selector_ = static_cast<std::uint16_t>(cpu_->read(*gpr));
    }
  }

  /// In AT&T syntax the source, or what its address is made of; of an exchange with the stack pointer, the other one.
  std::optional<Gpr> first_register(const Instruction& instruction) const {
    const bool exchange = instruction.text.starts_with("xchg");
    std::size_t end = 0;
    for (std::size_t at = 0; (at = instruction.text.find('%', end)) != std::string::npos;) {
      end = instruction.text.find_first_of(",)", at);
      const auto gpr = gpr_from_name(instruction.text.substr(at + 1, end - at - 1), code_.width);
      if (!exchange || gpr != Gpr::rsp) return gpr;
    }
    return std::nullopt;
  }

  std::optional<ProbeNeed> need_of(const GuestFault& fault) const {
    constexpr std::uint8_t kGeneralProtection = 13;
    const Instruction* const instruction = instruction_at(fault.rip);
    const std::uint64_t stack = cpu_->read(Gpr::rsp);
    if (fault.kind == GuestFault::Kind::fetch && is_data(fault.address.value)) {
      return ProbeNeed{ProbeNeed::Kind::function, fault.address, 0};
    }
    if (fault.kind == GuestFault::Kind::exception) {
      const bool loads = instruction != nullptr && has(instruction->flags, InstructionFlag::loads_segment);
      if (!loads || fault.vector != kGeneralProtection || !selector_) return std::nullopt;
      return ProbeNeed{ProbeNeed::Kind::segment, {}, *selector_};
    }
    if (!stack_loaded_from_ || is_data(stack) || is_data(stack - word_)) return std::nullopt;
    return ProbeNeed{ProbeNeed::Kind::stack_pointer, *stack_loaded_from_, 0};
  }

  /// FS or GS, where what cannot be accessed is behind it.
  std::optional<Segment> segment_at(const GuestFault& fault) const {
    const Instruction* const instruction = instruction_at(fault.rip);
    const bool is_access = fault.kind == GuestFault::Kind::read || fault.kind == GuestFault::Kind::write;
    if (instruction == nullptr || !is_access) return std::nullopt;
    for (const MemoryOperand& operand : instruction->accesses()) {
      if (operand.segment == Segment::fs || operand.segment == Segment::gs) return operand.segment;
    }
    return std::nullopt;
  }

  /// Whether what was called is a function: entry code may call a part of its own, which then drops the return address.
  void watch_function(GuestAddress address) {
    constexpr std::uint32_t kLongEnough = 64;  // instructions; Mini-OS drops it in the first
    const std::uint64_t entered = result_.call->registers[Gpr::rsp];
    const std::uint64_t stack = cpu_->read(Gpr::rsp);
    const std::uint8_t* const slot = memory_.find({entered}, word_);
    const bool returned = stack == entered + word_ && slot != nullptr && load_word(slot, word_) == address.value;
    if (returned || ++watched_ == kLongEnough) {
      cpu_->stop();
    } else if (stack > entered && stack - entered < kProbeStackSize) {
      result_.call.reset();
      watched_ = 0;
      at(address);
    }
  }

  void stop(std::string why) {
    result_.stopped = std::move(why);
    cpu_->stop();
  }

  void return_at_once(GuestAddress function) {
    if (std::find(result_.trapped.begin(), result_.trapped.end(), function) == result_.trapped.end()) {
      result_.trapped.push_back(function);
    }
    const std::uint64_t stack = cpu_->read(Gpr::rsp);
    const std::uint8_t* const slot = memory_.find({stack}, word_);
    if (slot == nullptr) return stop(fmt::format("{:#x}: no stack to return from", function.value));
    cpu_->write(Gpr::rsp, stack + word_);
    const auto value = code_.returns.find(function.value);
    cpu_->write(Gpr::rax, value == code_.returns.end() ? 0 : value->second);
    cpu_->redirect({load_word(slot, word_)});
  }

  const Instruction* instruction_at(GuestAddress address) const {
    const auto at = std::lower_bound(code_.instructions.begin(), code_.instructions.end(), address,
                                     [](const Instruction& i, GuestAddress a) { return i.address < a; });
    return at == code_.instructions.end() || at->address != address ? nullptr : &*at;
  }

  /// System V: rdi, or eax (regparm) or the first stack slot; then whatever else could carry it.
  std::vector<ArgumentPlace> arguments(const Registers& registers) const {
    std::vector<ArgumentPlace> places;
    const auto add_slot = [&] {
      const std::uint8_t* const slot = memory_.find({registers[Gpr::rsp] + word_}, word_);
      if (slot != nullptr) places.push_back({std::nullopt, load_word(slot, word_)});
    };
    const bool wide = code_.width == Width::k64;
    if (!wide) add_slot();
    constexpr std::array<Gpr, 8> kOrder{Gpr::rdi, Gpr::rax, Gpr::rsi, Gpr::rdx, Gpr::rcx, Gpr::rbx, Gpr::rbp, Gpr::r8};
    for (const Gpr gpr : kOrder) {
      if (wide || gpr != Gpr::r8) places.push_back({gpr, registers[gpr]});
    }
    if (wide) add_slot();
    return places;
  }

  /// The offset of the interrupted RIP in a frame at `address`.
  std::optional<std::uint32_t> find_rip(std::uint64_t address) const {
    if (address % word_ != 0 || !is_data(address)) return std::nullopt;
    for (std::uint32_t at = 0; at < kFarthestRip; at += word_) {
      const std::uint8_t* const host = memory_.find({address + at}, 3 * std::uint64_t{word_});
      if (host == nullptr) return std::nullopt;
      const std::uint64_t selector = load_word(host + word_, word_) & 0xfffc;
      if (load_word(host, word_) == interrupted_.rip && selector == (interrupted_[Segment::cs] & 0xfffcU)) return at;
    }
    return std::nullopt;
  }

  bool is_data(std::uint64_t address) const { return memory_.find_writable({address}, word_) != nullptr; }

  bool is_call_with_frame(GuestAddress function) {
    ProbeCall call;
    cpu_->read_general(call.registers);
    for (const ArgumentPlace& place : arguments(call.registers)) {
      const std::optional<std::uint32_t> rip = find_rip(place.value);
      if (!rip) continue;
      if (call.frames.empty()) {
        call.rip_offset = *rip;
      } else if (place.value != call.frames.front().value) {
        continue;
      }
      call.frames.push_back(place);
    }
    if (call.frames.empty()) return false;
    call.function = function;
    call.interrupted = interrupted_;
    read_frame(call);
    for (std::size_t i = 0; i < gpr_count(code_.width); ++i) {
      const bool holds = (call.registers.gpr[i] & 0xffffffff) == kProbeErrorCode;
      if (vector_.error_code && holds) call.error_code_in.push_back(static_cast<Gpr>(i));
    }
    note_changes(call);
    result_.call = std::move(call);
    return true;
  }

  void read_frame(ProbeCall& call) const {
    const std::uint64_t base = call.frames.front().value;
    const std::uint32_t end = call.rip_offset + kXenWords * word_;
    for (std::uint32_t at = 0; at < end; at += word_) {
      const std::uint8_t* const host = memory_.find({base + at}, word_);
      call.words.push_back(host == nullptr ? 0 : load_word(host, word_));
    }
  }

  void note_changes(ProbeCall& call) const {
    constexpr std::uint64_t kStackRoom = 4096;  // around RSP, where a stack of the image's is written
    const std::uint64_t stack = call.registers[Gpr::rsp];
    call.stack_switched = stack - kProbeStack.value > kProbeStackSize;
    for (const auto& [range, bytes] : first_) {
      const std::uint8_t* const host = memory_.find(range.begin, range.size());
      for (std::uint64_t at = 0; at + 4 <= bytes.size(); at += 4) {
        const std::uint64_t address = range.begin.value + at;
        const auto before = static_cast<std::uint32_t>(load_word(bytes.data() + at, 4));
        const auto after = static_cast<std::uint32_t>(load_word(host + at, 4));
        // What lies above the stack pointer may be behind the stack's end: a count is.
        const bool counts = after - before == 1 || before - after == 1;
        const bool on_stack =
            address + kStackRoom > stack && (address < stack || (address < stack + kStackRoom && !counts));
        if (before != after && !on_stack) call.changes.push_back({{address}, before, after});
      }
    }
  }

  /// As check says it.
  std::string lost_stack(const GuestFault& fault) const {
    const std::uint64_t stack = cpu_->read(Gpr::rsp);
    const bool access = fault.kind == GuestFault::Kind::read || fault.kind == GuestFault::Kind::write;
    if (!access || is_data(stack) || is_data(stack - word_)) return "";
    return fmt::format(
        "; the stack pointer is {:#x}, where no data is: `stacks.interrupt` would say where the entry "
        "switches to, `pointer` through which word",
        stack);
  }

  static std::string text_of(const GuestFault& fault) {
    switch (fault.kind) {
      case GuestFault::Kind::exception:
        return fmt::format("{:#x}: exception {}", fault.rip.value, fault.vector);
      case GuestFault::Kind::read:
        return fmt::format("{:#x}: cannot read {:#x}", fault.rip.value, fault.address.value);
      case GuestFault::Kind::write:
        return fmt::format("{:#x}: cannot write {:#x}", fault.rip.value, fault.address.value);
      case GuestFault::Kind::fetch:
        break;
    }
    return fmt::format("{:#x}: cannot execute {:#x}", fault.rip.value, fault.address.value);
  }

  const ProbeCode& code_;
  const ProbeVector& vector_;
  const std::string& name_;
  unsigned word_;
  GuestMemory memory_;
  std::uint8_t* shared_page_ = nullptr;
  Cpu* cpu_ = nullptr;
  Registers registers_;
  Registers interrupted_;
  std::vector<std::pair<GuestRange, std::vector<std::uint8_t>>> first_;  // writable data, first contents
  ProbeResult result_;
  std::array<std::optional<GuestAddress>, kGprCount> loaded_from_;
  std::optional<GuestAddress> stack_loaded_from_;
  std::optional<std::uint16_t> selector_;
  std::uint32_t boundaries_ = 0;
  bool called_ = false;
  std::uint32_t watched_ = 0;  // instructions behind the call
};

}  // namespace

ProbeResult probe(const ProbeCode& code, const ProbeVector& vector, const std::string& name) {
  return Probe(code, vector, name).run();
}

}  // namespace framefold
