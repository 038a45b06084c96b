#include "check/check_fault.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "check/access_watch.hpp"
#include "check/check_frame.hpp"
#include "check/undefined_functions.hpp"
#include "machine/selectors.hpp"

namespace framefold {

namespace {

constexpr std::uint64_t kNullPage = 0x1000;  // below are null pointers, and what lies close behind them

/// A general protection fault of an instruction without operands that a description could set up.
bool traps_in_the_ring(const Instruction& instruction, const Violation& violation) {
  constexpr std::uint64_t kGeneralProtection = 13;
  const bool by_operand = instruction.memory_count != 0 || has(instruction.flags, InstructionFlag::loads_segment) ||
                          has(instruction.flags, InstructionFlag::branches);
  return violation.detail.what == "exception" && violation.detail.found == kGeneralProtection && !by_operand;
}

const Symbol* nearest_data(const Entry& entry, GuestAddress at) {
  const Symbol* nearest = nullptr;
  for (const Symbol& symbol : entry.symbols) {
    if (entry.text.contains(symbol.address) || symbol.address > at) continue;
    if (nearest == nullptr || nearest->address < symbol.address) nearest = &symbol;
  }
  return nearest;
}

class FaultInPlainContext {
 public:
  FaultInPlainContext(const FaultyRun& run, const Violation& violation)
      : execution_(run.execution),
        guest_(run.execution.guest()),
        entry_(run.execution.entry()),
        vector_(run.vector),
        use_(run.use),
        ran_(run.ran),
        violation_(violation),
        instruction_(find_instruction(entry_, violation.judged)),
        text_(instruction_ == nullptr ? "" : fmt::format(" ({})", instruction_->text)),
        what_(fmt::format("{} stops at {}{}: {} {:#x}", run.context, place(), text_, violation.detail.what,
                          violation.detail.found)),
        context_(run.context) {}

  [[noreturn]] void fail() {
    look_at_calls();
    if (instruction_ != nullptr && traps_in_the_ring(*instruction_, violation_)) {
      throw WrongCode(description_error(entry_.description, vector_.description.key + ".symbol",
                                        "expected code that runs in the guest's ring: " + what_));
    }
    look_at_page();
    look_at_traps();
    look_at_segments();
    look_at_stack();
    look_at_stack_base();
    look_at_pointer();
    look_at_null();
    look_at_undefined();
    fail(vector_.description.key + ".symbol", "expected code that returns to what it interrupted: " + what_);
  }

 private:
  [[noreturn]] void fail(std::string_view key, const std::string& text) const {
    throw description_error(entry_.description, key, text);
  }
  std::string place() const { return format_location(entry_, violation_.judged); }
  GuestRange page() const { return {entry_.hypercall_page, entry_.hypercall_page + layout::kPage}; }
  bool is_access() const { return violation_.detail.what.starts_with("cannot"); }

  void look_at_calls() const {
    for (std::size_t i = 0; i < entry_.calls.size(); ++i) {
      if (entry_.calls[i].description.never && entry_.calls[i].address == violation_.judged) {
        fail(fmt::format("calls[{}].never", i),
             fmt::format("expected a function that is not reached: {} reaches {}", context_, place()));
      }
    }
  }

  [[noreturn]] void fail_with_function(const std::string& name) const {
    fail("image", fmt::format("{}: {}", definition_expected(name), what_));
  }

  /// Where handlers get it.
  bool gets_the_frame() const {
    if (execution_.activations().empty()) return false;
    Registers registers;
    guest_.cpu().read_general(registers);
    const unsigned word = word_size(entry_.width());
    const std::optional<Gpr> argument = entry_.description.handler.argument;
    const std::uint8_t* const slot = guest_.memory().find({registers[Gpr::rsp] + word}, word);
    if (!argument && slot == nullptr) return false;
    const std::uint64_t given = argument ? registers[*argument] : load_word(slot, word);
    const FrameSeen seen = frame_seen(guest_, execution_.activations().youngest(), registers, given);
    return 2 * seen.slots > entry_.description.frame.slots.size();
  }

  [[noreturn]] void fail_with_handler(const std::string& name) const {
    const bool event = vector_.description.kind == DeliveryKind::event;
    fail(event ? "handler.symbol" : vector_.description.key + ".handler",
         fmt::format("expected {}, which {} calls with its frame; or, where that is another function, a row of `calls` "
                     "that says what it does, or objects that define it: {}",
                     name, vector_.description.symbol, what_));
  }

  void look_at_traps() const {
    if (const std::optional<std::string> name = undefined_function_at(entry_, violation_.judged)) {
      if (gets_the_frame()) fail_with_handler(*name);
      fail_with_function(*name);
    }
  }

  /// A page that the description names otherwise is a function, or data, that nobody defines: hypercalls are 32 bytes
  /// apart behind its start, and what is there is no code. The first branch that leads there shows it, of those that
  /// ran.
  void look_at_page() const {
    constexpr std::uint64_t kEntrySize = 32;
    const auto is_named = [this](GuestAddress target) {
      return std::any_of(entry_.symbols.begin(), entry_.symbols.end(),
                         [=](const Symbol& symbol) { return symbol.address == target; });
    };
    const auto leads_to_entry = [&](GuestAddress target, const Symbol& symbol) {
      const std::uint64_t offset = target - symbol.address;
      return offset < layout::kPage && offset % kEntrySize == 0 && !is_named(target) && !page().contains(target);
    };
    const bool fetch = violation_.detail.what == "cannot execute";
    for (const Symbol& symbol : entry_.symbols) {
      if (!symbol.global || violation_.judged - symbol.address >= layout::kPage) continue;
      const auto branch =
          std::find_if(entry_.instructions.begin(), entry_.instructions.end(), [&](const Instruction& instruction) {
            return instruction.target && ran_.count(instruction.address) != 0 &&
                   leads_to_entry(*instruction.target, symbol);
          });
      const bool reached = fetch && leads_to_entry({violation_.detail.found}, symbol);
      if (branch == entry_.instructions.end() && !reached) continue;
      if (!is_undefined(entry_, symbol)) continue;
      const std::string where =
          reached ? "" : fmt::format(", to which {} leads", format_location(entry_, branch->address));
      fail("hypercall_page", fmt::format("expected {}, if that is the page{}: {}", symbol.name, where, what_));
    }
  }

  void look_at_segments() const {
    look_at_segment(Segment::fs, "fs_base");
    const bool loads = instruction_ != nullptr && has(instruction_->flags, InstructionFlag::loads_segment);
    if (loads && entry_.width() == Width::k32) {
      fail("segments", "expected the segment that the entry loads: " + what_);
    }
    look_at_segment(Segment::gs, "gs_base");
    if (page().contains(violation_.judged)) {
      look_at_return();
      fail("hypercall_page", "expected the page that the entry jumps to: " + what_);
    }
  }

  /// A hypercall that has returned to nowhere was the page's; what was on the stack is no frame. So the code was
  /// entered elsewhere than where Xen does.
  void look_at_return() const {
    constexpr std::uint64_t kIret = 23;  // __HYPERVISOR_iret
    const std::uint64_t number = (violation_.judged - entry_.hypercall_page) / 32;
    if (violation_.detail.what != "cannot execute" || number != kIret) return;
    fail(vector_.description.key + ".symbol",
         "expected where Xen enters: what the iret hypercall finds on the stack is no frame; " + what_);
  }

  void look_at_segment(Segment segment, const char* key) const {
    const std::string name(name_of(segment));
    if (text_.find(fmt::format("%{}:", name)) == std::string::npos) return;
    const std::uint64_t base = guest_.cpu().segment_base(segment);
    if (base == (entry_.width() == Width::k64 ? kUserFsBase : kUserBase32.value)) {
      throw WrongCode(description_error(
          entry_.description, "modes",
          fmt::format("expected only \"kernel\", or code that does not go through {} while user code's is there, which "
                      "Xen leaves{}: {}",
                      name, entry_.width() == Width::k64 ? " (it swaps GS alone)" : "", what_)));
    }
    const std::uint16_t selector = guest_.cpu().read(segment);
    for (std::size_t i = 0; i < entry_.segment_bases.size(); ++i) {
      if (with_rpl(entry_.description.segments[i].selector, 0) != with_rpl(selector, 0)) continue;
      fail(fmt::format("segments[{}].base", i), "expected the per-CPU data of the entry: " + what_);
    }
    fail(key, "expected the per-CPU data of the entry: " + what_);
  }

  void look_at_stack() {
    const std::uint64_t stack = guest_.cpu().read(Gpr::rsp);
    if (!is_access() || guest_.stack_of({stack}) || guest_.stack_of({stack - 1})) return;
    fail(entry_.interrupt_stack ? "stacks.interrupt.symbol" : "stacks.interrupt",
         fmt::format(
             "{}expected the stack that the entry switches to, or the word that points at it{}: the stack pointer is "
             "{:#x}; {}",
             entry_.interrupt_stack ? "" : "missing: ", returned_as(stack), stack, what_));
  }

  /// A function that says what it returns may return a stack pointer.
  std::string returned_as(std::uint64_t stack) const {
    constexpr std::uint64_t kAligned = 64;  // at most, to; and what is pushed below is not read
    for (std::size_t i = 0; i < entry_.calls.size(); ++i) {
      const CallDescription& call = entry_.calls[i].description;
      if (call.has_value && static_cast<std::uint64_t>(call.returns) - stack < kAligned) {
        return fmt::format(" (or, where {} returns it, calls[{}].returns)", call.symbol, i);
      }
    }
    return "";
  }

  /// Data at the lower end of a stack, which code finds by masking the stack pointer (Linux, thread_info).
  void look_at_stack_base() const {
    constexpr std::uint64_t kMostData = 256;
    constexpr std::array<std::string_view, 3> kKeys{"stacks.thread.symbol", "stacks.interrupt.symbol",
                                                    "stacks.kernel.symbol"};
    const GuestAddress at{violation_.detail.found};
    const std::optional<StackId> id = guest_.stack_of(at);
    if (violation_.detail.what != "reads below RSP" || !id || *id == StackId::user) return;
    if (at - guest_.stack_range(*id).begin >= kMostData) return;
    fail(kKeys[static_cast<std::size_t>(*id)],
         fmt::format("expected a stack without data at its lower end (a thread_info), which no key describes: {}",
                     what_));
  }

  bool reaches_event_byte() const {
    const std::span<const MemoryOperand> accesses =
        instruction_ == nullptr ? std::span<const MemoryOperand>() : instruction_->accesses();
    return std::any_of(accesses.begin(), accesses.end(), [](const MemoryOperand& operand) {
      return operand.size <= 2 && (operand.displacement == 0 || operand.displacement == 1);
    });
  }

  /// Where framefold has put the vcpu_info's address is not where the code loads it from: half of it is, or what the
  /// code loads, one or two bytes behind which it goes, is something else.
  void look_at_pointer() const {
    const std::optional<GuestAddress> from = use_.pointer();
    const bool described = !entry_.description.vcpu_info.pointer.empty();
    if (!is_access() || !described || !from || *from == entry_.vcpu_info || guest_.stack_of(*from)) return;
    const unsigned word = word_size(entry_.width());
    const bool half = overlaps({*from, *from + word}, {entry_.vcpu_info, entry_.vcpu_info + word});
    if (!half && (violation_.detail.found < kNullPage || !reaches_event_byte())) return;
    fail("vcpu_info.pointer",
         fmt::format("expected {}, where the entry loads what it reads the event bytes through: {}",
                     data_name(entry_, *from), what_));
  }

  /// A null pointer: that to the event bytes, or one that start-up code, or another object, would have set.
  void look_at_null() const {
    if (!is_access() || violation_.detail.found >= kNullPage) return;
    const std::optional<GuestAddress> pointer = use_.pointer();
    const std::string from = pointer ? fmt::format(", that at {}", data_name(entry_, *pointer)) : std::string();
    const bool executes = violation_.detail.what == "cannot execute";
    const std::optional<std::string> zeroed = pointer ? use_.zeroed_at(*pointer) : std::nullopt;
    if (zeroed && (executes || !reaches_event_byte())) {
      fail("image",
           fmt::format("expected objects that define {} as well: the code goes through the pointer there, which "
                       "is null; {}",
                       *zeroed, what_));
    }
    if (!pointer && !entry_.absent.empty()) {
      fail("image",
           fmt::format("expected objects that define what the code uses there, of {} (weak, so at address 0), or "
                       "a row of `data` or `calls` that says what it is: {}",
                       fmt::join(entry_.absent, ", "), what_));
    }
    if (executes) {
      fail(vector_.description.key + ".symbol",
           fmt::format("expected code that returns to what it interrupted: a pointer to a function is null{}; {}", from,
                       what_));
    }
    fail(vcpu_info_key(entry_.description),
         fmt::format("expected what the entry reads the event bytes through: a pointer is null{}; {}", from, what_));
  }

  /// What nobody defines is reached through a pointer, or is larger than what stands for it. What the description names
  /// is neither.
  void look_at_undefined() const {
    const GuestAddress at{violation_.detail.found};
    const Symbol* const symbol = is_access() ? nearest_data(entry_, at) : nullptr;
    const auto is_it = [&](const Symbol& named) { return named.address == symbol->address; };
    if (symbol == nullptr || !symbol->global || std::any_of(entry_.named.begin(), entry_.named.end(), is_it)) return;
    if (violation_.detail.what == "cannot execute") {
      if (symbol->address == at) fail_with_function(symbol->name);
      return;
    }
    constexpr std::uint64_t kMostOfARow = 256 << 10;
    if (at - symbol->address >= kMostOfARow) return;
    const std::string which = fmt::format("{}, which is {}", what_, data_name(entry_, at));
    const std::vector<DataDescription>& rows = entry_.description.data;
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const auto& each) { return each.symbol == symbol->name; });
    if (row != rows.end()) {
      fail(fmt::format("data[{}].size", row - rows.begin()), "expected as many bytes as the code uses: " + which);
    }
    fail("image",
         fmt::format("expected objects that define {} as well, or a row of `data` that says how large it is: {}",
                     symbol->name, which));
  }

  Execution& execution_;
  Guest& guest_;
  const Entry& entry_;
  const Vector& vector_;
  const DataUse& use_;
  const std::set<GuestAddress>& ran_;
  const Violation& violation_;
  const Instruction* instruction_;
  std::string text_;
  std::string what_;
  const std::string& context_;
};

}  // namespace

void fail_with_fault(const FaultyRun& run, const Violation& violation) { FaultInPlainContext(run, violation).fail(); }

std::string vcpu_info_key(const Description& description) {
  const VcpuInfoDescription& info = description.vcpu_info;
  if (info.pointer.empty() && info.symbol.empty()) return "vcpu_info";
  return info.symbol.empty() ? "vcpu_info.pointer" : "vcpu_info.symbol";
}

std::string data_name(const Entry& entry, GuestAddress at) {
  const Symbol* const nearest = nearest_data(entry, at);
  if (nearest == nullptr) return fmt::format("{:#x}", at.value);
  const std::uint64_t offset = at - nearest->address;
  return offset == 0 ? nearest->name : fmt::format("{}+{:#x}", nearest->name, offset);
}

}  // namespace framefold
