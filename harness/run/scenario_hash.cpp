#include "run/scenario_hash.hpp"

#include <bit>

namespace framefold {

namespace {

/// FNV-1a with a rotation between the words, so that the upper bits of one reach the lower bits of the result.
class Hash {
 public:
  void add(std::uint64_t value) {
    constexpr std::uint64_t kFnvPrime = 0x100000001b3;
    constexpr int kRotation = 29;
    hash_ = std::rotl(hash_ ^ value, kRotation) * kFnvPrime;
  }
  /// Everything but the arrivals.
  void add_beginning(const Scenario& scenario) {
    add(scenario.context);
    std::uint64_t actions = 0;
    for (const EventAction& action : scenario.event_actions) {
      actions = actions << 3 | bit(action.nested_event, 0) | bit(action.unmask_port, 1) | bit(action.set_work_flag, 2);
    }
    const FrameWrite& write = scenario.frame_write;
    add(actions << 16 | std::uint64_t{write.rip_offset} << 8 | bit(write.rax, 0) | bit(write.rip, 1));
    add(write.rax_value);
  }
  std::uint64_t value() const { return hash_ ^ hash_ >> 32; }

 private:
  static std::uint64_t bit(bool value, unsigned place) { return std::uint64_t{value} << place; }
  void add(const Context& context) {
    for (const std::uint64_t value : context.gpr) {
      add(value);
    }
    add(context.rflags);
    add(std::uint64_t{context.vector} | std::uint64_t{context.stack_offset} << 8 |
        std::uint64_t{context.place_offset} << 16 | std::uint64_t{context.mask} << 32 |
        std::uint64_t{context.pending} << 40 | std::uint64_t{context.port} << 48 |
        static_cast<std::uint64_t>(context.mode) << 56);
    add(std::uint64_t{context.error_code} | std::uint64_t{context.masked_port} << 32 |
        bit(context.has_masked_port, 40) | bit(context.nmi_masked, 41) | bit(context.null_data_segments, 42) |
        static_cast<std::uint64_t>(context.stack) << 48 | static_cast<std::uint64_t>(context.place) << 56);
  }

  std::uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace

std::uint64_t hash_of_beginning(const Scenario& scenario) {
  Hash hash;
  hash.add_beginning(scenario);
  return hash.value();
}

std::uint64_t hash_of(const Scenario& scenario) {
  Hash hash;
  hash.add_beginning(scenario);
  for (std::size_t i = 0; i < scenario.arrival_count; ++i) {
    const Arrival& arrival = scenario.arrivals[i];
    hash.add(static_cast<std::uint64_t>(arrival.kind) | std::uint64_t{arrival.port} << 8 |
             std::uint64_t{arrival.pending_value} << 16 | std::uint64_t{arrival.spurious} << 24);
  }
  return hash.value();
}

}  // namespace framefold
