#include "debug/debug_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "debug/run_end.hpp"
#include "report/place.hpp"
#include "run/replay.hpp"

namespace framefold {

namespace {

constexpr std::string_view kOk = "OK";
constexpr std::string_view kBadRequest = "E16";  // EINVAL
constexpr std::string_view kBadAddress = "E0e";  // EFAULT
// What gdb prints when it writes a register.
constexpr std::string_view kEnded = "E.the run has ended; reverse-stepi or reverse-continue first";
constexpr std::string_view kNotLoadable = "E.the guest could not load that";
constexpr std::string_view kThread = "1";
constexpr std::uint64_t kMostMemory = kMaxPacket / 2 - 16;  // bytes of one answer

constexpr std::string_view kMonitorHelp =
    "next-delivery  the next continue stops where Xen has entered the guest\n"
    "where          step, place, what is masked and pending\n"
    "goto STEP      the next continue or reverse-continue stops there\n";

/// Little-endian digits, as registers are sent.
std::string register_hex(std::uint64_t value, unsigned size) {
  std::string bytes;
  for (unsigned i = 0; i < size; ++i) {
    bytes += static_cast<char>(value >> (8 * i));
  }
  return to_hex(bytes);
}

std::optional<std::uint64_t> register_value(std::string_view digits) {
  const std::optional<std::string> bytes = from_hex(digits);
  if (!bytes || bytes->empty() || bytes->size() > sizeof(std::uint64_t)) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (std::size_t i = bytes->size(); i-- > 0;) {
    value = value << 8 | static_cast<std::uint8_t>((*bytes)[i]);
  }
  return value;
}

}  // namespace

DebugSession::DebugSession(Oracle& oracle, const Scenario& scenario, bool reference, const ExecFile& image,
                           Connection& connection)
    : oracle_(oracle),
      scenario_(scenario),
      reference_(reference),
      image_(image),
      connection_(connection),
      view_(oracle.execution().guest()),
      verdict_(describe(oracle, scenario, oracle.judge(scenario), true)) {}

DebugSession::End DebugSession::serve() {
  goal_ = {1, false, false};  // a debugger finds its program stopped at the first instruction
  while (!end_) {
    run_once();
    if (!end_ && !leaving_) {
      stand_at_end();
    }
    if (std::exchange(leaving_, false) && search_end_ != 0) {
      last_hit_ = 1;  // a reverse-continue that finds nothing stops at the beginning
      run_once();
      goal_ = {last_hit_, false, false};
      search_end_ = 0;
    }
  }
  return *end_;
}

void DebugSession::run_once() {
  at_end_ = skip_ = delivered_ = false;
  position_ = 0;
  Execution& execution = oracle_.execution();
  Replay replay;
  if (reference_) {
    Outcome nested;
    execution.run_nested(scenario_, kMaxArrivals, nested);
    replay = oracle_.replay(scenario_, nested);
  }
  execution.set_trace(this);
  execution.set_tolerant(!edits_.empty());
  try {
    if (reference_) {
      execution.run_reference(replay.scenario, outcome_);
    } else {
      execution.run_nested(scenario_, kMaxArrivals, outcome_);
    }
  } catch (...) {
    stop_watching();
    throw;
  }
  stop_watching();
}

void DebugSession::stop_watching() {
  oracle_.execution().set_trace(nullptr);
  oracle_.execution().set_tolerant(false);
}

void DebugSession::record(const TraceEvent& event) {
  delivered_ = delivered_ || event.kind == TraceEvent::Kind::delivery;
  if (event.kind == TraceEvent::Kind::handler) {
    last_place_ = event.address;  // the call is done, and a run may end there
  }
  if (event.kind != TraceEvent::Kind::boundary || end_) {
    return;
  }
  last_place_ = event.address;
  const bool behind_delivery = std::exchange(delivered_, false);
  const std::uint32_t position = event.step;
  if (leaving_ || (std::exchange(skip_, false) && position != goal_.position)) {
    return;
  }
  const bool edited = apply_edits(position, event.address);
  if (search_end_ != 0) {
    if (position < search_end_ && breakpoints_.count(event.address) != 0) {
      last_hit_ = position;
    }
  } else if (stops_at(position, event.address) || (goal_.delivery && behind_delivery)) {
    last_ = event;
    stand(position, edited ? registers_ : view_.registers_at(event.address));
  }
}

bool DebugSession::stops_at(std::uint32_t position, GuestAddress address) const {
  return position == goal_.position || (goal_.breakpoints && breakpoints_.count(address) != 0);
}

/// Serves the debugger until the run goes on.
void DebugSession::stand(std::uint32_t position, Registers registers) {
  position_ = position;
  registers_ = registers;
  goal_ = {};
  report_stop();
  while (!end_) {
    const std::optional<std::string> packet = connection_.receive();
    if (!packet) {
      end_ = End::gone;
    } else if (handle(*packet)) {
      return;
    }
  }
}

/// The context has resumed, or the run ended in a violation.
void DebugSession::stand_at_end() {
  at_end_ = true;
  // A program counter that the debugger wrote may lead nowhere.
  const GuestAddress stuck = skip_ ? GuestAddress{registers_.rip} : last_place_;
  const Registers registers = outcome_.resumed ? outcome_.registers : view_.registers_at(stuck);
  last_.address = {registers.rip};
  stand(outcome_.boundaries + 1, registers);
}

void DebugSession::report_stop() {
  if (!std::exchange(resumed_, false)) {
    return;
  }
  say(std::exchange(note_, {}));
  if (at_end_) {
    say(where());
  }
  const bool breakpoint = !at_end_ && breakpoints_.count({registers_.rip}) != 0;  // it may have been written
  std::string_view reason = breakpoint ? "swbreak:;" : "";
  if (at_end_) {
    reason = "replaylog:end;";
  } else if (position_ == 1) {
    reason = "replaylog:begin;";
  }
  answer(fmt::format("T05thread:{};{}", kThread, reason));
}

/// On the debugger's console, which listens while it waits for a stop.
void DebugSession::say(std::string_view text) {
  if (!text.empty()) {
    answer("O" + to_hex(text));
  }
}

bool DebugSession::handle(const std::string& packet) {
  const std::string_view text(packet);
  const std::string_view rest = text.empty() ? text : text.substr(1);
  switch (text.empty() ? '\0' : text.front()) {
    case '?':
      answer(fmt::format("T05thread:{};", kThread));
      return false;
    case 'g':
      read_registers();
      return false;
    case 'G':
      write_registers(rest);
      return false;
    case 'p':
      read_register(rest);
      return false;
    case 'P':
      write_register(rest);
      return false;
    case 'm':
      read_memory(rest);
      return false;
    case 'M':
      write_memory(rest);
      return false;
    case 'Z':
    case 'z':
      set_breakpoint(rest, text.front() == 'Z');
      return false;
    case 'c':
    case 's':
      return resume(text.front());
    case 'b':
      return rest == "s" || rest == "c" ? go_back(rest.front()) : (answer(""), false);
    case 'D':
      answer(kOk);
      end_ = End::detached;
      return true;
    case 'k':
      end_ = End::killed;
      return true;
    case 'H':
    case 'T':
      answer(kOk);
      return false;
    case 'v':
      if (text == "vCont?") {
        answer("vCont;c;C;s;S");
      } else if (text.starts_with("vCont;") && text.size() > 6) {
        return resume(text[6] == 's' || text[6] == 'S' ? 's' : 'c');
      } else if (text.starts_with("vFile:")) {
        answer(image_.answer(text.substr(6)));
      } else if (text.starts_with("vKill")) {
        answer(kOk);
        end_ = End::killed;
        return true;
      } else {
        answer("");
      }
      return false;
    case 'q':
    case 'Q':
      answer_query(text);
      return false;
    case '\x03':  // it stands already
      return false;
    default:
      answer("");  // not known
      return false;
  }
}

bool DebugSession::resume(char how) {
  resumed_ = true;
  if (at_end_) {
    report_stop();
    return false;
  }
  const bool to_delivery = how == 'c' && std::exchange(armed_, false);
  if (goal_.position != 0 && how == 'c') {
    return goal_.position > position_ ? true : go_back('g');
  }
  goal_ = {how == 's' ? position_ + (skip_ ? 2 : 1) : 0, how == 'c', to_delivery};
  return true;
}

/// To one boundary before, to the breakpoint before, or to the goal that stands.
bool DebugSession::go_back(char how) {
  resumed_ = true;
  if (position_ <= 1) {
    report_stop();
    return false;
  }
  if (how == 's') {
    goal_ = {position_ - 1, false, false};
  } else if (how == 'c' && goal_.position == 0) {
    search_end_ = position_;
    last_hit_ = 0;
  }
  const std::uint32_t kept = how == 'c' && search_end_ != 0 ? position_ : goal_.position;
  edits_.erase(std::remove_if(edits_.begin(), edits_.end(), [kept](const GuestEdit& e) { return e.position > kept; }),
               edits_.end());
  leaving_ = true;
  return true;
}

void DebugSession::read_registers() {
  std::string digits;
  for (unsigned i = 0; i < view_.register_count(); ++i) {
    digits += register_hex(view_.read(registers_, i), view_.register_size(i));
  }
  answer(digits);
}

void DebugSession::write_registers(std::string_view digits) {
  for (unsigned i = 0; i < view_.register_count(); ++i) {
    const std::size_t size = std::size_t{2} * view_.register_size(i);
    const std::optional<std::uint64_t> value = register_value(digits.substr(0, size));
    if (!value || digits.size() < size) {
      answer(kBadRequest);
      return;
    }
    digits.remove_prefix(size);
    if (*value != view_.read(registers_, i) && !edit_register(i, *value)) {
      answer(kBadRequest);
      return;
    }
  }
  answer(kOk);
}

void DebugSession::read_register(std::string_view text) {
  const std::optional<std::uint64_t> number = take_number(text);
  if (!number || *number >= view_.register_count()) {
    answer("xxxxxxxx");  // there is none that one could read: x87 and so on
    return;
  }
  const auto n = static_cast<unsigned>(*number);
  answer(register_hex(view_.read(registers_, n), view_.register_size(n)));
}

void DebugSession::write_register(std::string_view text) {
  const std::optional<std::uint64_t> number = take_number(text);
  if (!number || !text.starts_with('=')) {
    answer(kBadRequest);
    return;
  }
  const std::optional<std::uint64_t> value = register_value(text.substr(1));
  if (!value || view_.register_count() <= *number) {
    answer(kBadRequest);
  } else if (at_end_) {
    answer(kEnded);
  } else {
    answer(edit_register(static_cast<unsigned>(*number), *value) ? kOk : kNotLoadable);
  }
}

void DebugSession::read_memory(std::string_view text) {
  const std::optional<std::uint64_t> address = take_number(text);
  const bool comma = text.starts_with(',');
  text.remove_prefix(comma ? 1 : 0);
  const std::optional<std::uint64_t> size = take_number(text);
  if (!address || !comma || !size) {
    answer(kBadRequest);
    return;
  }
  const std::string bytes = view_.read({*address}, std::min(*size, kMostMemory));
  answer(bytes.empty() && *size != 0 ? std::string(kBadAddress) : to_hex(bytes));
}

void DebugSession::write_memory(std::string_view text) {
  const std::optional<std::uint64_t> address = take_number(text);
  const bool comma = text.starts_with(',');
  text.remove_prefix(comma ? 1 : 0);
  const std::optional<std::uint64_t> size = take_number(text);
  const std::optional<std::string> bytes = from_hex(text.starts_with(':') ? text.substr(1) : "x");
  if (!address || !comma || !bytes || size != bytes->size()) {
    answer(kBadRequest);
    return;
  }
  if (at_end_ || !view_.write({*address}, *bytes)) {
    answer(kBadAddress);
    return;
  }
  keep({position_, std::nullopt, {*address}, 0, *bytes});
  answer(kOk);
}

void DebugSession::set_breakpoint(std::string_view text, bool on) {
  const bool code = text.starts_with("0,") || text.starts_with("1,");
  text.remove_prefix(code ? 2 : text.size());
  const std::optional<std::uint64_t> address = take_number(text);
  if (!code || !address) {
    answer("");  // no watchpoints
    return;
  }
  if (on) {
    breakpoints_.insert({*address});
  } else {
    breakpoints_.erase({*address});
  }
  answer(kOk);
}

void DebugSession::answer_query(std::string_view query) {
  const auto is = [query](std::string_view name) { return query.starts_with(name); };
  if (is("qSupported")) {
    answer(
        fmt::format("PacketSize={:x};QStartNoAckMode+;qXfer:features:read+;qXfer:exec-file:read+;ReverseStep+;"
                    "ReverseContinue+;swbreak+;vContSupported+",
                    kMaxPacket));
  } else if (query == "QStartNoAckMode") {
    answer(kOk);
    connection_.stop_acknowledging();
  } else if (is("qXfer:features:read:target.xml:")) {
    const std::string_view architecture = oracle_.entry().width() == Width::k64 ? "i386:x86-64" : "i386";
    answer(transfer(fmt::format("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target "
                                "version=\"1.0\"><architecture>{}</architecture></target>",
                                architecture),
                    query.substr(query.rfind(':') + 1)));
  } else if (is("qXfer:exec-file:read:")) {
    answer(transfer(image_.path(), query.substr(query.rfind(':') + 1)));
  } else if (is("qRcmd,")) {
    answer_monitor(query.substr(6));
  } else if (query == "qC") {
    answer(fmt::format("QC{}", kThread));
  } else if (query == "qfThreadInfo") {
    answer(fmt::format("m{}", kThread));
  } else if (query == "qsThreadInfo") {
    answer("l");
  } else if (is("qAttached")) {
    answer("1");
  } else {
    answer("");
  }
}

/// A part of some contents: "offset,length".
std::string DebugSession::transfer(std::string_view contents, std::string_view range) const {
  const std::optional<std::uint64_t> offset = take_number(range);
  range.remove_prefix(range.starts_with(',') ? 1 : 0);
  const std::optional<std::uint64_t> length = take_number(range);
  if (!offset || !length) {
    return std::string(kBadRequest);
  }
  const std::string_view part = contents.substr(std::min<std::size_t>(*offset, contents.size()), *length);
  const bool last = *offset + part.size() >= contents.size();
  return (last ? "l" : "m") + std::string(part);
}

void DebugSession::answer_monitor(std::string_view digits) {
  const std::optional<std::string> command = from_hex(digits);
  if (!command) {
    answer(kBadRequest);
    return;
  }
  answer(to_hex(monitor(*command)));
}

std::string DebugSession::monitor(std::string_view command) {
  if (command == "next-delivery") {
    armed_ = true;
    return "the next continue stops where Xen has entered the guest\n";
  }
  if (command == "where") {
    return where();
  }
  if (command.starts_with("goto ")) {
    unsigned long long step = 0;
    const std::string number(command.substr(5));
    char* end = nullptr;
    step = std::strtoull(number.c_str(), &end, 10);
    if (end == number.c_str() || *end != '\0' || step >= UINT32_MAX) {
      return "goto: expected a step, as `monitor where` tells them\n";
    }
    goal_.position = static_cast<std::uint32_t>(step);
    return fmt::format("the next continue or reverse-continue stops at step {}\n", step);
  }
  return std::string(kMonitorHelp);
}

std::string DebugSession::where() const {
  const Guest& guest = oracle_.execution().guest();
  if (at_end_) {
    return end_text(outcome_, verdict_, first_written(), oracle_.entry().width());
  }
  const GuestAddress here{registers_.rip};  // the debugger may have written it
  return fmt::format("step {}: {}: {}\nevent mask {:#x}, pending {:#x}, {} deliver{} not ended\n", position_,
                     place_text(guest, here), instruction_text(guest, here), last_.mask, last_.pending, last_.depth,
                     last_.depth == 1 ? "y" : "ies");
}

}  // namespace framefold
