// Which registers an instruction is said to change (Instruction::writes): it changes no others.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "run/snapshot.hpp"
#include "test/entries.hpp"
#include "test/oracle_fixture.hpp"

namespace framefold::test {
namespace {

/// Compares each boundary's registers with those of the boundary before, where an instruction of which that is known
/// lies between them.
class ChangedRegisters : public BoundaryObserver {
 public:
  explicit ChangedRegisters(Execution& execution) : execution_(execution) {}

  bool at_boundary(const Boundary& boundary) override {
    Registers now;
    execution_.read_registers(boundary.address, now);
    const Instruction* const before = before_;
    if (before != nullptr && before->writes && leads_to(*before, boundary.address)) {
      Registers expected = then_;
      expected.rip = boundary.address.value;
      for (std::size_t i = 0; i < kGprCount; ++i) {
        const auto gpr = static_cast<Gpr>(i);
        if (before->writes->has(gpr)) expected[gpr] = now[gpr];
      }
      if (before->writes->has_flags()) expected.rflags = now.rflags;
      EXPECT_EQ(now, expected) << execution_.entry().name() << ": " << before->text;
      ++compared;
    }
    then_ = now;
    const Entry& entry = execution_.entry();
    before_ = boundary.handler == nullptr ? find_instruction(entry, boundary.address) : nullptr;
    return false;
  }

  std::size_t compared = 0;

 private:
  /// Where nothing is delivered between them. (Behind a return, that cannot be seen, nor where Xen leads as well.)
  bool leads_to(const Instruction& before, GuestAddress address) const {
    const std::vector<Vector>& vectors = execution_.entry().vectors;
    const bool from_xen =
        std::any_of(vectors.begin(), vectors.end(), [&](const Vector& vector) { return vector.address == address; });
    return !from_xen && (address == before.target || (falls_through(before) && address == before.next()));
  }

  Execution& execution_;
  Registers then_;
  const Instruction* before_ = nullptr;
};

/// Each vector's context, and an event at each boundary of it.
TEST(RegisterWrites, AreAllThatAnInstructionChanges) {
  for (const std::string& name : bundled_names()) {
    const Entry& entry = bundled_entry(name);
    Execution execution(entry);
    ChangedRegisters changed(execution);
    execution.set_observer(&changed);
    std::size_t folds = 0;
    for (std::size_t vector = 0; vector < entry.vectors.size(); ++vector) {
      for (std::uint16_t distance = 0; distance < 150; ++distance) {
        Scenario scenario = plain(entry);
        scenario.context.vector = static_cast<std::uint8_t>(vector);
        canonicalise(scenario, entry);
        if (distance > 0) add(scenario, ArrivalKind::event, distance);
        Outcome outcome;
        execution.run_nested(scenario, scenario.arrival_count, outcome);
        folds += outcome.folds;
      }
    }
    EXPECT_GT(changed.compared, 10000U) << name;
    EXPECT_EQ(folds > 0, entry.region.size() != 0 && !entry.description.nests) << name;  // the fold has run
  }
}

TEST(RegisterWrites, AreKnownOfMostInstructions) {
  for (const std::string& name : bundled_names()) {
    const Entry& entry = bundled_entry(name);
    const auto known = std::count_if(entry.instructions.begin(), entry.instructions.end(),
                                     [](const Instruction& instruction) { return instruction.writes.has_value(); });
    EXPECT_GT(static_cast<std::size_t>(known) * 10, entry.instructions.size() * 8) << name;
  }
}

}  // namespace
}  // namespace framefold::test
