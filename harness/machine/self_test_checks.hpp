// The self-test's checks as data, for self_test.cpp and the test that shows that each of them can fail.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "image/guest_address.hpp"
#include "image/registers.hpp"
#include "image/width.hpp"
#include "machine/cpu.hpp"

namespace framefold {

/// Registers by name; those that are not named are as a check's start leaves them.
struct SelfTestState {
  std::vector<std::pair<Gpr, std::uint64_t>> gprs{};
  std::vector<std::pair<Segment, std::uint16_t>> segments{};
  std::optional<std::uint64_t> rflags{};
};

/// What the stack holds at RSP, as an iret pops it: one word each, the target as an offset into the check's code.
struct SelfTestReturnFrame {
  std::uint8_t target = 0;
  std::uint64_t cs = 0;
  std::uint64_t rflags = 0;
  std::uint64_t rsp = 0;
  std::uint64_t ss = 0;
};

/// What the hook does at one of its calls.
struct SelfTestHook {
  std::uint8_t at = 0;                          // offset into the code
  std::uint8_t call = 1;                        // which of the calls there, counted from 1
  std::optional<std::uint8_t> redirect{};       // go on at this offset
  std::optional<std::uint64_t> write_rflags{};  // before the instruction
  std::vector<std::pair<Gpr, std::uint64_t>> write{};
  std::optional<SelfTestState> seen{};  // what the hook must read; unnamed registers as at the start
};

struct SelfTestFault {
  GuestFault::Kind kind = GuestFault::Kind::exception;
  std::uint8_t vector = 0;
  std::variant<std::uint8_t, GuestAddress> rip = std::uint8_t{0};  // an offset into the code, or an address elsewhere
  GuestAddress address{};
};

/// A few instructions and all that must come of them.
struct SelfTestCheck {
  std::string_view name;
  std::vector<std::uint8_t> code{};
  SelfTestState start{};  // on top of the registers of self_test_start()
  std::optional<SelfTestReturnFrame> frame{};
  std::vector<SelfTestHook> hooks{};
  /// Offsets of the hook's calls, in order. Without a fault the run stops at the last of them.
  std::vector<std::uint8_t> boundaries{};
  std::optional<SelfTestFault> fault{};
  SelfTestState end{};  // what differs from the start
  /// The first bytes at kSelfTestData, before and after; zero where nothing is said.
  std::vector<std::uint8_t> data_before{};
  std::vector<std::uint8_t> data_after{};
  bool since_2_1 = false;  // Unicorn 2.0 does otherwise, and README says what that costs
};

// Where things lie, for both widths. Each check's code has a stretch of its own: Unicorn keeps its translations.
inline constexpr GuestAddress kSelfTestCode{0x10000};
inline constexpr std::uint64_t kSelfTestCodeStride = 64;
inline constexpr GuestAddress kSelfTestData{0x20000};
inline constexpr GuestAddress kSelfTestReadOnly{0x30000};
inline constexpr GuestAddress kSelfTestUnmapped{0x40000};
inline constexpr GuestAddress kSelfTestStack{0x50800};       // RSP at the start
inline constexpr GuestAddress kSelfTestOtherStack{0x50c00};  // RSP in return frames

/// The registers that each check starts from: recognisable values, flags 0x202, the kernel's flat selectors.
Registers self_test_start(Width width);

/// The table.
std::vector<SelfTestCheck> self_test_checks(Width width);

/// Runs `checks` on an engine of their own. The first difference as "<check>: rax is 0x1, expected 0x2", or nothing.
std::optional<std::string> first_self_test_difference(Width width, std::span<const SelfTestCheck> checks);

/// run_self_test on a table of one's own.
void run_self_test(Width width, std::span<const SelfTestCheck> checks);

}  // namespace framefold
