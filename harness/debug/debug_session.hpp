// A scenario's run under a debugger: GDB's remote protocol, served while the run stands at a boundary.
//
// The run calls record() before each instruction; where it has to stop there, that call serves the debugger until it is
// told to go on. A run cannot be run backwards, but it is short and always the same: to go back, it runs to its end
// unwatched, and then again from its beginning up to the wanted boundary. What the debugger wrote is written again on
// the way; what it wrote behind the wanted boundary is forgotten.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "debug/connection.hpp"
#include "debug/exec_file.hpp"
#include "debug/machine_view.hpp"
#include "report/verdict.hpp"
#include "run/oracle.hpp"

namespace framefold {

class DebugSession final : public TraceSink {
 public:
  enum class End : std::uint8_t {
    detached,
    killed,
    gone,  // the client disappeared
  };

  /// `reference`: the reference run is debugged instead of the nested one.
  DebugSession(Oracle& oracle, const Scenario& scenario, bool reference, const ExecFile& image, Connection& connection);

  /// Runs until the client ends it. Throws InternalError.
  End serve();

  void record(const TraceEvent& event) override;

 private:
  /// Where the run stops next.
  struct Goal {
    std::uint32_t position = 0;  // there; 0: nowhere in particular
    bool breakpoints = false;    // at a breakpoint
    bool delivery = false;       // at the first instruction behind a delivery
  };

  void run_once();
  void stop_watching();
  bool stops_at(std::uint32_t position, GuestAddress address) const;
  void stand(std::uint32_t position, Registers registers);
  void stand_at_end();

  // Packets. Each answers; true where the run is to go on.
  bool handle(const std::string& packet);
  bool resume(char how);
  bool go_back(char how);
  void answer(std::string_view data) { connection_.send(data); }
  void answer_query(std::string_view query);
  void answer_monitor(std::string_view digits);
  void read_registers();
  void write_registers(std::string_view digits);
  void read_register(std::string_view text);
  void write_register(std::string_view text);
  void read_memory(std::string_view text);
  void write_memory(std::string_view text);
  void set_breakpoint(std::string_view text, bool on);
  void report_stop();
  std::string transfer(std::string_view contents, std::string_view range) const;
  std::string monitor(std::string_view command);
  std::string where() const;
  void say(std::string_view text);

  // What the debugger writes.
  bool edit_register(unsigned number, std::uint64_t value);
  void keep(GuestEdit edit);
  std::string first_written() const;
  bool apply_edits(std::uint32_t position, GuestAddress address);
  void apply(const GuestEdit& edit);

  Oracle& oracle_;
  const Scenario& scenario_;
  bool reference_;
  const ExecFile& image_;
  Connection& connection_;
  MachineView view_;
  FileReport verdict_;  // of the scenario
  Outcome outcome_;

  Goal goal_;
  std::set<GuestAddress> breakpoints_;
  std::vector<GuestEdit> edits_;
  std::string note_;  // for the console, with the next stop
  std::optional<End> end_;

  // Of the current run.
  TraceEvent last_;               // the boundary at which it stands or stood last
  GuestAddress last_place_;       // that it passed: a boundary, or a handler's first instruction
  Registers registers_;           // there
  std::uint32_t position_ = 0;    // 0: before the first boundary
  std::uint32_t last_hit_ = 0;    // of a breakpoint before `search_end_`
  std::uint32_t search_end_ = 0;  // a reverse-continue looks for breakpoints before it; 0: none does
  bool at_end_ = false;
  bool leaving_ = false;    // it runs to its end unwatched, because it is to be repeated
  bool skip_ = false;       // the next boundary is this one again: the run was redirected
  bool delivered_ = false;  // since the last boundary
  bool armed_ = false;      // `monitor next-delivery`
  bool resumed_ = false;    // the debugger waits for a stop reply
};

}  // namespace framefold
