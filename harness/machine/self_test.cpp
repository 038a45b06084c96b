#include "machine/self_test.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "machine/internal_error.hpp"
#include "machine/selectors.hpp"
#include "machine/self_test_checks.hpp"

namespace framefold {

namespace {

constexpr GuestAddress kGdt{0x100000};
constexpr std::uint64_t kDataBytes = 256;  // compared after each check

void apply(const SelfTestState& state, Registers& registers) {
  for (const auto& [gpr, value] : state.gprs) {
    registers[gpr] = value;
  }
  for (const auto& [segment, value] : state.segments) {
    registers[segment] = value;
  }
  registers.rflags = state.rflags.value_or(registers.rflags);
}

/// "rax is 0x1, expected 0x2" for the first register that differs.
std::optional<std::string> difference(Width width, const Registers& actual, const Registers& expected) {
  const auto say = [](std::string_view what, std::uint64_t is, std::uint64_t should_be) {
    return fmt::format("{} is {:#x}, expected {:#x}", what, is, should_be);
  };
  if (actual.rip != expected.rip) {
    return say("rip", actual.rip, expected.rip);
  }
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    if (actual.gpr[i] != expected.gpr[i]) {
      return say(name_of(static_cast<Gpr>(i), width), actual.gpr[i], expected.gpr[i]);
    }
  }
  if (actual.rflags != expected.rflags) {
    return say("rflags", actual.rflags, expected.rflags);
  }
  for (std::size_t i = 0; i < kSegmentCount; ++i) {
    if (actual.segment[i] != expected.segment[i]) {
      return say(name_of(static_cast<Segment>(i)), actual.segment[i], expected.segment[i]);
    }
  }
  return std::nullopt;
}

std::string describe(const std::optional<GuestFault>& fault) {
  if (!fault) {
    return "no fault";
  }
  if (fault->kind == GuestFault::Kind::exception) {
    return fmt::format("exception {} at {:#x}", fault->vector, fault->rip.value);
  }
  const std::string_view access = fault->kind == GuestFault::Kind::read    ? "read"
                                  : fault->kind == GuestFault::Kind::write ? "write"
                                                                           : "fetch";
  return fmt::format("{} of {:#x} at {:#x}", access, fault->address.value, fault->rip.value);
}

std::string describe(std::span<const std::uint8_t> offsets) { return fmt::format("{}", fmt::join(offsets, " ")); }

/// One check while it runs.
class CheckRun {
 public:
  CheckRun(Cpu& cpu, GuestMemory& memory, const SelfTestCheck& check, GuestAddress code)
      : cpu_(cpu), memory_(memory), check_(check), code_(code), start_(self_test_start(cpu.width())) {
    apply(check.start, start_);
  }

  std::optional<std::string> run() {
    put_memory();
    cpu_.reset();
    cpu_.write_general(start_);
    cpu_.write_data_segments(start_);
    const auto at_boundary = [](void* self, GuestAddress address) { static_cast<CheckRun*>(self)->boundary(address); };
    const std::optional<GuestFault> fault = cpu_.run(code_, at_boundary, this);
    if (seen_difference_) {
      return seen_difference_;
    }
    return judge(fault);
  }

 private:
  void put_memory() {
    std::uint8_t* data = memory_.find(kSelfTestData, kDataBytes);
    std::memset(data, 0, kDataBytes);
    std::copy(check_.data_before.begin(), check_.data_before.end(), data);
    if (!check_.frame) {
      return;
    }
    const SelfTestReturnFrame& frame = *check_.frame;
    const unsigned word = word_size(cpu_.width());
    std::uint8_t* stack = memory_.find(kSelfTestStack, std::uint64_t{5} * word);
    for (const std::uint64_t value : {(code_ + frame.target).value, frame.cs, frame.rflags, frame.rsp, frame.ss}) {
      store_word(stack, value, word);
      stack += word;
    }
  }

  Registers read_all() const {
    Registers registers = start_;
    cpu_.read_general(registers);
    cpu_.read_segments(registers);
    return registers;
  }

  void boundary(GuestAddress address) {
    const auto offset = static_cast<std::uint8_t>(address - code_);
    boundaries_.push_back(offset);
    const auto call = std::count(boundaries_.begin(), boundaries_.end(), offset);
    for (const SelfTestHook& hook : check_.hooks) {
      if (hook.at == offset && hook.call == call) {
        take(hook, address);
      }
    }
    // Where a fault is to end the run, one call more than there should be ends it: judge() sees that.
    if (boundaries_.size() >= check_.boundaries.size() + (check_.fault ? 1 : 0)) {
      cpu_.stop();
    }
  }

  void take(const SelfTestHook& hook, GuestAddress address) {
    if (hook.seen) {
      Registers expected = start_;
      expected.rip = address.value;
      apply(*hook.seen, expected);
      if (const auto what = difference(cpu_.width(), read_all(), expected); what && !seen_difference_) {
        seen_difference_ = fmt::format("at the boundary {}: {}", hook.at, *what);
      }
    }
    if (hook.write_rflags) {
      cpu_.write_rflags(*hook.write_rflags);
    }
    for (const auto& [gpr, value] : hook.write) {
      cpu_.write(gpr, value);
    }
    if (hook.redirect) {
      cpu_.redirect(code_ + *hook.redirect);
    }
  }

  std::optional<GuestFault> expected_fault() const {
    if (!check_.fault) {
      return std::nullopt;
    }
    const SelfTestFault& fault = *check_.fault;
    const auto* offset = std::get_if<std::uint8_t>(&fault.rip);
    const GuestAddress rip = offset != nullptr ? code_ + *offset : std::get<GuestAddress>(fault.rip);
    return GuestFault{fault.kind, fault.vector, rip, fault.address};
  }

  std::optional<std::string> judge(const std::optional<GuestFault>& fault) const {
    const std::optional<GuestFault> expected = expected_fault();
    if (fault != expected) {
      return fmt::format("ended with {}, expected {}", describe(fault), describe(expected));
    }
    if (boundaries_ != check_.boundaries) {
      return fmt::format("hook calls at {}, expected {}", describe(boundaries_), describe(check_.boundaries));
    }
    Registers registers = start_;
    registers.rip = expected ? expected->rip.value : (code_ + check_.boundaries.back()).value;
    apply(check_.end, registers);
    if (auto what = difference(cpu_.width(), read_all(), registers)) {
      return what;
    }
    std::vector<std::uint8_t> data = check_.data_after;
    data.resize(kDataBytes);
    const std::uint8_t* actual = memory_.find(kSelfTestData, kDataBytes);
    if (!std::equal(data.begin(), data.end(), actual)) {
      return fmt::format("memory is {:02x}, expected {:02x}",
                         fmt::join(actual, actual + std::max<std::size_t>(check_.data_after.size(), 16), " "),
                         fmt::join(data.begin(), data.begin() + 16, " "));
    }
    return std::nullopt;
  }

  Cpu& cpu_;
  GuestMemory& memory_;
  const SelfTestCheck& check_;
  GuestAddress code_;
  Registers start_;
  std::vector<std::uint8_t> boundaries_;
  std::optional<std::string> seen_difference_;
};

}  // namespace

Registers self_test_start(Width width) {
  Registers registers;
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    const std::uint64_t value = 0x1010101010101010 + i * 0x0101010101010101;
    registers.gpr[i] = width == Width::k64 ? value : value & 0xffffffff;
  }
  registers[Gpr::rsp] = kSelfTestStack.value;
  registers.rflags = 0x202;
  const Selectors& selectors = selectors_of(width);
  registers[Segment::cs] = selectors.kernel_code;
  registers[Segment::ss] = selectors.kernel_stack;
  registers[Segment::ds] = selectors.kernel_data;
  registers[Segment::es] = selectors.kernel_data;
  return registers;
}

std::optional<std::string> first_self_test_difference(Width width, std::span<const SelfTestCheck> checks) {
  GuestMemory memory;
  std::uint8_t* code = memory.map(kSelfTestCode, checks.size() * kSelfTestCodeStride, Access::read_execute);
  memory.map(kSelfTestData, GuestMemory::kPageSize, Access::read_write);
  memory.map(kSelfTestReadOnly, GuestMemory::kPageSize, Access::read_only);
  memory.map(kSelfTestStack, GuestMemory::kPageSize / 2, Access::read_write);
  for (const SelfTestCheck& check : checks) {
    std::copy(check.code.begin(), check.code.end(), code);
    code += kSelfTestCodeStride;
  }
  const GuestRange hooked{kSelfTestCode, kSelfTestCode + checks.size() * kSelfTestCodeStride};
  Cpu cpu(width, memory, kGdt, {&hooked, 1});
  GuestAddress address = kSelfTestCode;
  for (const SelfTestCheck& check : checks) {
    const bool holds = !check.since_2_1 || is_unicorn_2_1();
    if (const auto what = holds ? CheckRun(cpu, memory, check, address).run() : std::nullopt) {
      return fmt::format("{}: {}", check.name, *what);
    }
    address = address + kSelfTestCodeStride;
  }
  return std::nullopt;
}

void run_self_test(Width width, std::span<const SelfTestCheck> checks) {
  if (const auto what = first_self_test_difference(width, checks)) {
    throw InternalError(
        fmt::format("self-test: {} ({}-bit, Unicorn {})", *what, width == Width::k64 ? 64 : 32, unicorn_version()));
  }
}

void run_self_test(Width width) { run_self_test(width, self_test_checks(width)); }

}  // namespace framefold
