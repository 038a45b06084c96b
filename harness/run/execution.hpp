// One run of a scenario: the nested run takes arrivals when they come, the reference run holds each back until the
// context has resumed. Judges every absolute promise on the way; nothing here allocates once it is built.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <span>

#include "run/activation.hpp"
#include "run/coverage.hpp"
#include "run/frame.hpp"
#include "run/guest.hpp"
#include "run/trace.hpp"
#include "run/violation.hpp"
#include "scenario/scenario.hpp"
#include "xen/vcpu.hpp"

namespace framefold {

/// Where an arrival was taken.
struct ArrivalRecord {
  GuestAddress boundary;
  ConditionSet conditions = 0;  // of the youngest live activation there
  bool reached = false;
  bool delivered = false;  // it interrupted the guest there; otherwise it was raised and stayed pending, or did nothing
  bool entered = false;    // something did: it, or what had waited until Xen had control
  /// What stands for it as a cause: its boundary, where it was delivered there, or anything else into a window;
  /// otherwise that of the youngest live activation that interrupted a window, with the conditions there. It may have
  /// none.
  bool has_cause = false;
  ConditionSet cause_conditions = 0;
  GuestAddress cause;
};

/// What a run leaves.
struct Outcome {
  Registers registers;  // of the resumed context; 0 where it has not resumed
  GuestMode mode = GuestMode::kernel;
  std::uint8_t mask = 0;
  bool pending = false;
  std::uint8_t async_exception_mask = 0;
  std::bitset<kPortCount> handled;  // ports that event handlers acknowledged
  bool resumed = false;             // every resumption that was due came
  std::uint8_t reached = 0;         // arrivals taken
  std::uint32_t folds = 0;
  std::uint32_t boundaries = 0;  // executed in all
  std::uint32_t handler_calls = 0;
  std::uint32_t deliveries = 0;
  std::uint64_t hash = 0;  // with ExecutionOptions::hash: of every delivery, handler's frame, register, touched byte
  ViolationList violations;
  std::array<ArrivalRecord, kMaxArrivals> arrivals{};
};

/// To begin with: copying it is cheaper than making one.
const Outcome& fresh_outcome();

struct ExecutionOptions {
  bool hash = false;
  std::uint32_t runaway_limit = 1U << 20;  // boundaries after the last arrival
};

/// The port of the handler's own nested event, which is not compared between the runs.
inline constexpr Port kNestedPort{kPortCount - 1};

/// A number of boundaries that no run reaches.
inline constexpr std::uint32_t kNever = ~std::uint32_t{0};

/// A return whose completion the next boundary will show.
struct PendingReturn {
  bool active = false;
  GuestAddress at;
  GuestAddress target;
  std::uint64_t stack = 0;
  std::uint64_t rflags = 0;
  std::uint16_t cs = 0;
};

/// Where one run stands, beside the guest's memory, the engine's registers and the live activations.
struct RunState {
  Vcpu vcpu;
  Registers registers;  // live only while Xen or the model is in control
  Registers context;    // what has to resume; handlers may have changed it
  GuestMode context_mode = GuestMode::kernel;
  StackId context_stack = StackId::thread;
  std::uint8_t first_async_mask = 0;
  PendingReturn returning;
  GuestAddress settled;                        // target of a return that ended an activation, until the next boundary
  std::array<GuestAddress, kStackCount> left;  // where RSP went from each stack to another one; null: nowhere yet
  GuestAddress moved_from;                     // where RSP was when, where `stack_moved`, ...
  bool stack_moved = false;                    // ... the last instruction moved it, other than by a known distance down
  bool reference = false;
  bool stopped = false;
  bool unsettled = false;  // the next boundary has to look at what came before
  bool at_resumption = false;
  bool store_to_mask = false;
  bool shadow = false;
  bool kick_is_used =
      false;  // Xen delivers by itself nothing of what is pending: raised while masked, or delivered once
  std::uint8_t known_segments = 0;  // selectors of which is known whether they are null, one bit each
  std::uint8_t null_segments = 0;
  bool last_return_enables = true;
  bool mask_mismatched = false;  // by the last return, to the context
  GuestAddress nmi_lost;  // where a fold, since the last resumption, lost what would have ended an NMI; or nothing
  ConditionSet nmi_lost_conditions = 0;
  bool work_asked = false;    // by a handler, since the start
  bool work_waiting = false;  // when a handler or a return was last through
  std::uint32_t first_work_flag = 0;
  bool frame_written = false;
  std::uint8_t nested_handlers = 0;
  std::uint8_t call_mask = 0;  // event mask of a described call that takes an event of its own
  std::size_t arrival_limit = 0;
  std::size_t next_arrival = 0;
  std::uint32_t boundaries = 0;   // passed, in all
  std::uint32_t arrival_due = 0;  // their number when the next arrival is taken, when the run is one that runs away,
  std::uint32_t runaway_due = 0;
  std::uint32_t due = 0;  // and the lower of the two
  std::uint32_t event_calls = 0;
  GuestAddress last_boundary;
  GuestAddress last_return;
  ConditionSet last_return_conditions = 0;
  GuestAddress current;
  GuestAddress sampled_stack;  // RSP at the last sample, and the boundary count then
  std::uint32_t sampled_at = 0;
  std::uint32_t lowered = 0;  // bytes by which RSP went down since, apart from pushes
  std::uint64_t loaded_rflags = 0;
  std::uint16_t boundary_index = 0;
  bool in_model = true;              // `registers` are those of the guest; false while the engine holds them
  std::uint8_t delivered_kinds = 0;  // of the last time Xen had control, one bit each
};

struct Boundary;
struct Snapshot;
struct Prefix;
class PrefixCache;
class BoundaryObserver;

class Execution {
 public:
  explicit Execution(const Entry& entry);

  void set_options(const ExecutionOptions& options) { options_ = options; }
  void set_trace(TraceSink* trace) { trace_ = trace; }
  bool traced() const { return trace_ != nullptr; }
  /// Where a handler gets a wrong frame, or a return leaves a wrong mask, the run goes on with it, as hardware would,
  /// instead of ending there: for a debugger whose user has written what the frame should show.
  void set_tolerant(bool tolerant) { tolerant_ = tolerant; }
  void set_coverage(Coverage* coverage) { coverage_ = coverage; }
  /// Beginnings of runs, to be taken up and added to; null for none. What a run shows is the same.
  void set_prefixes(PrefixCache* prefixes) { prefixes_ = prefixes; }

  /// The nested run, of the first `arrivals` arrivals only.
  void run_nested(const Scenario& scenario, std::size_t arrivals, Outcome& outcome);
  /// The reference run: each arrival on the resumed context, whatever its distance (see replay.hpp).
  void run_reference(const Scenario& replayed, Outcome& outcome);

  const Entry& entry() const { return entry_; }
  Guest& guest() { return guest_; }
  const Guest& guest() const { return guest_; }

  // For exploration (snapshot.hpp): a nested run in pieces. `begin` or `restore`, then `run_on` to resumption or to
  // where the observer ends it; `end` makes the outcome what such a run leaves.
  void set_observer(BoundaryObserver* observer) { observer_ = observer; }
  /// Delivers the context's vector.
  void begin(const Scenario& scenario, Outcome& outcome);
  void run_on();
  void end();
  /// Those of the guest at a boundary of the kernel's, from inside a run.
  void read_registers(GuestAddress boundary, Registers& registers) const;
  /// Of them, those that are stale.
  void read_registers(RegisterSet stale, Registers& registers) const;
  /// From an observer. `registers` are those of the guest, read by the caller.
  void save(const Boundary& boundary, const Registers& registers, const std::array<GuestAddress, kStackCount>& live,
            Snapshot& snapshot);
  /// Back to a boundary, to which `outcome` is relative: the first `arrivals` arrivals of `scenario` are due there and
  /// behind it.
  void restore(const Snapshot& snapshot, const Scenario& scenario, std::size_t arrivals, Outcome& outcome);
  RunState& state() { return state_; }
  const RunState& state() const { return state_; }
  const ActivationStack& activations() const { return activations_; }
  GuestAddress label(GuestAddress address) const { return label_of(address); }

  /// Known conditions that hold of an activation.
  ConditionSet conditions_of(const Activation& activation) const;
  /// Of an arrival that is taken at a boundary, as if it stayed pending.
  ArrivalRecord record_arrival(GuestAddress address) const;

 private:
  /// What happens at a boundary besides counting it.
  enum class Care : std::uint8_t {
    nothing,   // between instructions there is none
    count,     // a plain instruction
    accesses,  // one that reaches memory by an address that has to be looked at, or moves RSP down by a known distance
    moves,     // one that moves RSP some other way, and may reach memory as well
    special,   // a handler's first instruction, or one that does more
  };
  /// What kind of boundary an address of the entry's text is. There is one an address and every boundary looks one up,
  /// so it is small: indices, not pointers.
  struct Place {
    static constexpr std::uint8_t kNone = 0xff;
    std::uint16_t boundary = 0;    // index for coverage: that of the instruction, 0 between instructions
    std::uint8_t handler = kNone;  // the vector whose handler starts here
    std::uint8_t call = kNone;     // the described function that starts here
    bool instruction = false;      // one starts here
    bool leader = false;           // starts a block
    bool pops = false;             // `pop`: the word that it takes is not left behind
    Care care = Care::special;
  };
  static_assert(sizeof(Place) <= 8);
  static constexpr std::uint64_t kFunctionStack = 512;  // bytes below its stack pointer that a C function overwrites

  // Setting up and running on.
  void begin(const Scenario& scenario, bool reference, std::size_t arrivals, Outcome& outcome);
  void start(const Scenario& scenario, bool reference, std::size_t arrivals, Outcome& outcome);
  void make_context(const Context& context);
  void set_nesting_count(StackId stack);
  void deliver_context(const Context& context);
  void run_guest();
  void store_data_segments();
  void load_segments();
  void load_bases(Registers& registers) const;
  void give_control_at_resumption();
  void settle_everything();
  void finish();

  // Beginnings (execution_prefix.cpp).
  bool take_up_prefix(const Scenario& scenario, bool reference, std::size_t arrivals, Outcome& outcome);
  void record_prefix(GuestAddress address);

  // Boundaries.
  static void boundary_hook(uc_struct* engine, std::uint64_t address, std::uint32_t length, void* self) noexcept;
  static constexpr std::uint64_t kStackSlack =
      256;  // bytes: what instructions between two samples may write below their pushes
  void on_ordinary(GuestAddress address, const Place& place) noexcept;
  void on_other(GuestAddress address) noexcept;
  void on_unsettled(GuestAddress address) noexcept;
  bool is_settled_alone() const;
  void on_boundary(GuestAddress address);
  void on_text(GuestAddress address, const Place& place, bool returned_here);
  void on_handler(GuestAddress address, const Place& place, bool returned_here);
  void on_handler_page(GuestAddress address);
  void on_hypercall_page(GuestAddress address);
  const Place* place_of(GuestAddress address) const;
  const Instruction* instruction_at(const Place& place) const {
    return place.instruction ? &entry_.instructions[place.boundary] : nullptr;
  }
  const Vector* handler_at(const Place& place) const {
    return place.handler == Place::kNone ? nullptr : &entry_.vectors[place.handler];
  }
  bool pass_boundary(GuestAddress address, std::uint16_t boundary, bool shadowed = false);
  bool take_what_is_due(GuestAddress address, std::uint16_t boundary, bool shadowed);
  void schedule_arrival(std::uint32_t due);
  void schedule_runaway();
  void schedule();
  void cover(const Place& place);
  bool pass_observed(GuestAddress address, std::uint16_t index, bool shadowed);
  void prepare_instruction(const Place& place, const Instruction& instruction);
  void note_move(const Place& place);
  void read_time(const Instruction& instruction);
  Care care_for(const Instruction& instruction) const;
  bool is_fixed(const MemoryOperand& operand) const;
  std::array<GuestAddress, 2> fixed_addresses(const Instruction& instruction, const MemoryOperand& operand) const;
  bool is_harmless(const Instruction& instruction, const MemoryOperand& operand) const;
  void look_at(const Instruction& instruction);
  void check_accesses(const Instruction& instruction);
  bool null_segment(Segment segment);
  bool is_live_by_index(const MemoryOperand& operand) const;
  void check_read(const Instruction& instruction, GuestAddress address);
  GuestAddress address_of(const MemoryOperand& operand, GuestAddress next) const;
  void settle_stack();
  void sample_stack();
  void sample_stack(GuestAddress now);
  void start_sample(GuestAddress now);
  std::uint64_t most_pushed() const;
  void settle(GuestAddress address);

  // Xen in control.
  bool take_arrivals(GuestAddress address, std::uint16_t boundary, bool shadowed);
  void arrive(const Arrival& arrival);
  void raise(Port port, std::uint8_t value);
  void note_kick(Raise raised);
  bool give_control(std::optional<PendingException> exception);
  void begin_activation(const Delivery& delivery, const Registers& interrupted, GuestMode mode, std::uint8_t mask);
  void take_hypercall(GuestAddress address);
  void load_registers();
  void store_delivery();
  void store_everything();

  // Returns and resumption.
  void prepare_return(GuestAddress address);
  void complete_return(const PendingReturn& ret);
  std::size_t ended_by(const PendingReturn& ret) const;
  bool judge_mask(const PendingReturn& ret, std::size_t ended);
  void judge_calls(std::size_t first);
  void resume();
  void judge_resumption();
  void judge_registers(const Registers& expected);
  void judge_events();
  void judge_memory();
  std::uint32_t work_flag() const;
  bool work_waits() const;
  void judge_work_flag(bool user);
  void judge_work_left(const PendingReturn& ret, const Activation& ended);
  void judge_fault(const GuestFault& fault);

  // Handlers.
  struct HandlerCall {
    const Vector* handler = nullptr;
    GuestAddress stack;  // pointer, at the first instruction
    GuestAddress frame;  // that it was given
  };
  HandlerCall handler_call(const Vector& handler) const;
  std::uint8_t* frame_of(const HandlerCall& call, const Activation& activation);
  void judge_handler(GuestAddress address, const HandlerCall& call);
  void judge_abi(const HandlerCall& call);
  void judge_data_segments();
  void judge_event_frame(const HandlerCall& call);
  void judge_own_frame(const HandlerCall& call);
  void trace_wrong_frame(const HandlerCall& call, std::size_t owner);
  bool merge_into_owner(const HandlerCall& call, ViolationDetail& difference);
  void merge_youngest(const std::uint8_t* frame);
  void merge_unseen();
  void note_fold(const Activation& merged);
  void note_lost_end(const Activation& nmi);
  void note_lost_nmi(const Activation& merged, const Activation& owner, const std::uint8_t* frame);
  void judge_nesting();
  void judge_depth(const HandlerCall& call);
  static void note_frame(Activation& owner, const HandlerCall& call);
  void act(const HandlerCall& call);
  void acknowledge();
  bool event_actions();
  bool take_nested_event();
  void write_frame(const HandlerCall& call);
  void mark_frame(const HandlerCall& call);
  void leave_handler(const Vector& handler, GuestAddress stack);
  GuestAddress label_of(GuestAddress address) const;

  // Described calls (execution_call.cpp).
  void on_call(GuestAddress address, const Place& place);
  bool take_event_in(const Call& call, std::uint16_t boundary);
  void end_event_in(const Call& call);
  void leave_call(const Call& call);
  std::size_t index_of(const Call& call) const { return static_cast<std::size_t>(&call - entry_.calls.data()); }
  const Call* call_at(GuestAddress address) const;

  void violate(ViolationKind kind, GuestAddress judged, const ViolationDetail& detail = {});
  /// What follows in this run means nothing.
  void end_judgement();
  /// `cause_is_judged`: here, whatever arrived (see Violation).
  void violate(ViolationKind kind, GuestAddress judged, ConditionSet conditions, const ViolationDetail& detail,
               bool cause_is_judged = false);
  void stop();
  void trace(TraceEvent::Kind kind, GuestAddress address, std::uint64_t value = 0, const Vector* vector = nullptr);
  void hash_word(std::uint64_t value);

  const Entry& entry_;
  Guest guest_;
  FrameLayout frame_;
  std::vector<Place> places_;          // by address - text.begin
  std::uint16_t stub_boundary_ = 0;    // coverage index of the stub's first instruction
  std::uint16_t return_boundary_ = 0;  // and of the event handler's return
  const Vector* nmi_ = nullptr;
  GuestAddress mask_address_;
  GuestAddress text_begin_;
  std::uint64_t text_size_ = 0;
  ExecutionOptions options_;
  TraceSink* trace_ = nullptr;
  const WrongFrame* wrong_ = nullptr;  // of the event that is traced
  const ViolationDetail* detail_ = nullptr;
  bool tolerant_ = false;
  bool has_frame_ = true;  // the handler that was called last got one inside a stack
  Coverage* coverage_ = nullptr;
  BoundaryObserver* observer_ = nullptr;
  std::vector<DataChange> changes_;  // of `save`: kept so that it allocates once

  PrefixCache* prefixes_ = nullptr;
  Prefix* recording_ = nullptr;  // where the beginning of this run belongs, until it has ended

  const Scenario* scenario_ = nullptr;
  Outcome* outcome_ = nullptr;
  RunState state_;
  ActivationStack activations_;
  /// What the engine was given last for DS, ES, FS and GS.
  struct DataSegments {
    std::array<std::uint16_t, 4> selectors{};
    std::uint64_t fs_base = 0;
    std::uint64_t gs_base = 0;
    bool operator==(const DataSegments&) const = default;
  };
  std::optional<DataSegments> stored_segments_;  // nothing after a reset of the engine
  // No instruction of the entry loads a selector, and a 64-bit guest changes no ring: they stay what they were.
  bool keeps_data_segments_ = false;
  bool uses_fs_ = false;           // some instruction of the entry reaches memory through FS, or loads segments
  bool loads_segments_ = false;    // some instruction of the entry may, of whatever segment
  bool ring_left_ = true;          // the CPU is at another ring, or in the state that a fault left
  const char* failure_ = nullptr;  // an error of our own inside a callback
};

}  // namespace framefold
