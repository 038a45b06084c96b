#include "table/fixup_table.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "explore/contexts.hpp"
#include "run/execution.hpp"
#include "run/snapshot.hpp"

namespace framefold {

namespace {

/// What is known at a boundary before it is known where the frame lies.
struct Passed {
  GuestAddress address;
  Registers registers;
  Registers interrupted;
  std::vector<std::uint64_t> stack;  // words from RSP on, region only
  std::uint32_t number = 0;          // boundaries before it
  bool deliverable = false;
};

struct GeneralSlot {
  std::string name;
  std::uint32_t offset = 0;
  std::optional<Gpr> gpr;
};

class TableDeriver : private BoundaryObserver {
 public:
  explicit TableDeriver(const Entry& entry) : entry_(entry), execution_(entry), word_(word_size(entry.width())) {
    table_.entry = &entry;
    for (const Instruction& instruction : entry.instructions) {
      if (entry.region.contains(instruction.address)) {
        table_.boundaries.push_back({});
        table_.boundaries.back().instruction = &instruction;
      }
    }
    for (const FrameSlot& slot : entry.description.frame.slots) {
      const std::optional<Gpr> gpr = gpr_from_name(slot.name, entry.width());
      if (slot.name == "rip" || slot.name == "eip") {
        table_.frame_words = slot.offset;
      }
      slots_.push_back({slot.name, slot.offset, gpr});
    }
    std::erase_if(slots_, [&](const GeneralSlot& slot) { return slot.offset >= table_.frame_words; });
    execution_.set_observer(this);
  }

  FixupTable derive() {
    for (const Scenario& context : enumerate_contexts(entry_, DataValues::first, Crossing::each)) {
      run(context);
      if (window_) {
        Scenario pending = context;
        pending.arrival_count = 1;
        pending.arrivals[0] = {};
        pending.arrivals[0].distance = static_cast<std::uint16_t>(*window_ - 1);
        pending.arrivals[0].port = kPort;
        run(pending);
      }
    }
    return std::move(table_);
  }

 private:
  static constexpr std::uint8_t kPort = 7;  // any, and any other
  static constexpr std::uint8_t kSecondPort = 9;
  static constexpr std::size_t kMostWrong = 3;  // violations, after which a run says nothing

  void run(const Scenario& scenario) {
    scenario_ = &scenario;
    number_ = 0;
    window_.reset();
    passed_.clear();
    execution_.run_nested(scenario, scenario.arrival_count, outcome_);
  }

  bool at_boundary(const Boundary& boundary) override {
    const Guest& guest = execution_.guest();
    const std::uint32_t number = number_++;
    if (outcome_.arrivals[0].delivered || outcome_.violations.count > kMostWrong) {
      return true;
    }
    if (execution_.activations().empty()) {
      return false;
    }
    Passed here;
    here.address = boundary.address;
    here.number = number;
    here.interrupted = execution_.activations().youngest().interrupted;
    guest.cpu().read_general(here.registers);
    const GuestAddress rsp{here.registers[Gpr::rsp]};
    if (boundary.handler != nullptr) {
      frame_is_at(argument(here.registers) + table_.frame_words);
      return false;
    }
    if (entry_.region.contains(boundary.address)) {
      here.deliverable = guest.shared().upcall_mask() == 0 && !boundary.shadowed;
      here.stack = words_from(rsp);
      if (!window_ && here.number > 0 && guest.shared().upcall_mask() == 0) {
        window_ = here.number;
      }
    }
    passed_.push_back(std::move(here));
    const Instruction* instruction = find_instruction(entry_, boundary.address);
    if (instruction != nullptr && has(instruction->flags, InstructionFlag::returns)) {
      frame_is_at(rsp);
    } else if (boundary.address == guest.stub().front().address) {
      frame_is_at(entry_.width() == Width::k64 ? rsp + word_ : rsp);  // 64-bit: above the flag word
    }
    return false;
  }

  GuestAddress argument(const Registers& registers) const {
    if (const std::optional<Gpr> gpr = entry_.description.handler.argument) {
      return {registers[*gpr]};
    }
    const std::vector<std::uint64_t> words = words_from({registers[Gpr::rsp]});
    return {words.size() > 1 ? words[1] : 0};
  }

  /// As many as a frame has.
  std::vector<std::uint64_t> words_from(GuestAddress from) const {
    std::vector<std::uint64_t> words;
    for (std::uint32_t i = 0; i < table_.frame_words + word_; i += word_) {
      const std::uint8_t* host = execution_.guest().memory().find(from + i, word_);
      if (host == nullptr) {
        break;
      }
      words.push_back(load_word(host, word_));
    }
    return words;
  }

  /// The interrupted RIP lies at `rip`: so it did at all boundaries since it was last said.
  void frame_is_at(GuestAddress rip) {
    const GuestAddress base = rip - table_.frame_words;
    GuestAddress highest = base;
    for (const Passed& passed : passed_) {
      const GuestAddress rsp{passed.registers[Gpr::rsp]};
      if (base <= rsp && rsp <= rip) {
        highest = std::max(highest, rsp);
        if (entry_.region.contains(passed.address)) {
          note(passed, base, highest);
        }
      }
    }
    passed_.clear();
  }

  TableBoundary& boundary_at(GuestAddress address) {
    return *std::find_if(table_.boundaries.begin(), table_.boundaries.end(),
                         [&](const TableBoundary& b) { return b.instruction->address == address; });
  }

  /// Between RSP and `highest`, where RSP has been since the frame was made, words are not the frame's any more.
  void note(const Passed& passed, GuestAddress base, GuestAddress highest) {
    TableBoundary& boundary = boundary_at(passed.address);
    const GuestAddress rsp{passed.registers[Gpr::rsp]};
    boundary.popped.insert(static_cast<std::int64_t>(rsp - base));
    std::set<std::string> pushed;
    for (std::size_t i = 0; rsp + i * word_ < highest && i < passed.stack.size(); ++i) {
      const std::string slot = slot_name(rsp + i * word_ - base);
      const std::string content = register_with(passed.stack[i], passed.interrupted);
      boundary.pushed.insert(content.empty() ? slot : slot + ": " + content);
      pushed.insert(content);
    }
    for (const GeneralSlot& slot : slots_) {
      if (!slot.gpr || passed.registers[*slot.gpr] == passed.interrupted[*slot.gpr]) {
        continue;
      }
      const bool there = highest <= base + slot.offset || pushed.count(slot.name) != 0;
      (there ? boundary.saved : boundary.lost).insert(slot.name);
    }
    if (passed.deliverable) {
      note_scenario(boundary, passed.number);
    }
  }

  std::string slot_name(std::uint64_t offset) const {
    const auto found = std::find_if(slots_.begin(), slots_.end(), [=](const auto& s) { return s.offset == offset; });
    return found == slots_.end() ? fmt::format("{:#x}", offset) : found->name;
  }

  /// Values of contexts are tagged: no two registers share one.
  std::string register_with(std::uint64_t value, const Registers& registers) const {
    const auto found = std::find_if(slots_.begin(), slots_.end(),
                                    [&](const auto& slot) { return slot.gpr && registers[*slot.gpr] == value; });
    return found == slots_.end() ? std::string() : found->name;
  }

  void note_scenario(TableBoundary& boundary, std::uint32_t number) {
    Scenario scenario = *scenario_;
    Arrival& arrival = scenario.arrivals[scenario.arrival_count];
    arrival = {};
    arrival.port = kSecondPort;
    arrival.distance = static_cast<std::uint16_t>(
        number - (scenario.arrival_count == 0 ? 0U : std::uint32_t{scenario.arrivals[0].distance}));
    ++scenario.arrival_count;
    boundary.deliverable.push_back(scenario);
  }

  const Entry& entry_;
  Execution execution_;
  std::uint32_t word_;
  std::vector<GeneralSlot> slots_;  // below what Xen pushes
  FixupTable table_;

  // Of the run that is going on.
  const Scenario* scenario_ = nullptr;
  Outcome outcome_;
  std::uint32_t number_ = 0;             // boundaries so far
  std::optional<std::uint32_t> window_;  // the first boundary of the region where an event can be delivered
  std::vector<Passed> passed_;           // since it was known last where the frame lies
};

}  // namespace

std::optional<std::uint8_t> TableBoundary::value() const {
  constexpr std::int64_t kLargest = 0xff;
  if (popped.size() != 1 || *popped.begin() < 0 || *popped.begin() > kLargest) {
    return std::nullopt;
  }
  return static_cast<std::uint8_t>(*popped.begin());
}

FixupTable derive_table(const Entry& entry) { return TableDeriver(entry).derive(); }

std::vector<std::uint8_t> image_table(const Entry& entry) {
  if (!entry.table) {
    return {};
  }
  for (const LoadSegment& segment : entry.segments) {
    const std::uint64_t offset = entry.table->begin - segment.address;
    if (offset < segment.bytes.size()) {
      const auto first = segment.bytes.begin() + static_cast<std::ptrdiff_t>(offset);
      return {first, first + static_cast<std::ptrdiff_t>(entry.table->size())};
    }
  }
  return {};
}

}  // namespace framefold
