#include "run/coverage.hpp"

#include "xen/vcpu.hpp"

namespace framefold {

namespace {

// More than the two successors that a block mostly has, since Xen may take control at any: collisions cost feedback.
constexpr std::size_t kEdgeSlotsPerLeader = 7;

std::size_t leader_count(const Entry& entry) {
  return static_cast<std::size_t>(
      std::count_if(entry.instructions.begin(), entry.instructions.end(),
                    [](const Instruction& i) { return has(i.flags, InstructionFlag::block_leader); }));
}

std::uint32_t edge_slots(std::size_t leaders) {
  return static_cast<std::uint32_t>(std::max<std::size_t>(1, leaders) * kEdgeSlotsPerLeader);
}

std::vector<std::uint16_t> leader_numbers(const Entry& entry) {
  std::vector<std::uint16_t> numbers(boundary_count(entry));
  std::uint16_t leaders = 0;
  for (std::size_t i = 0; i < entry.instructions.size(); ++i) {
    if (has(entry.instructions[i].flags, InstructionFlag::block_leader)) {
      ++leaders;
    }
    numbers[i] = leaders == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(leaders - 1);
  }
  return numbers;
}

std::size_t boundary_of(const Entry& entry, const Instruction& instruction) {
  return static_cast<std::size_t>(&instruction - entry.instructions.data());
}

bool is_handler(const Entry& entry, GuestAddress address) {
  return std::any_of(entry.vectors.begin(), entry.vectors.end(),
                     [address](const Vector& vector) { return vector.handler == address; });
}

/// Whether the instruction behind this one may be the next in the entry code. What calls code other than a handler
/// comes back from that code's last block, so that its edge does not start here.
bool leads_on(const Entry& entry, const Instruction& instruction) {
  if (has(instruction.flags, InstructionFlag::traps)) {
    return false;
  }
  if (has(instruction.flags, InstructionFlag::calls)) {
    return !instruction.target || is_handler(entry, *instruction.target);
  }
  return falls_through(instruction);
}

template <typename Visit>
void for_each_edge(const Entry& entry, Visit visit) {
  for (const Instruction& from : entry.instructions) {
    const auto visit_leader = [&](GuestAddress address) {
      const Instruction* to = find_instruction(entry, address);
      if (to != nullptr && has(to->flags, InstructionFlag::block_leader) && !is_handler(entry, address)) {
        visit(from, *to);
      }
    };
    if (from.target) {
      visit_leader(*from.target);
    }
    if (leads_on(entry, from)) {
      visit_leader(from.next());
    }
  }
}

/// Where a region's boundaries start and how many they are.
std::pair<std::size_t, std::size_t> region_boundaries(const Entry& entry) {
  const auto in_region = [&entry](const Instruction& i) { return entry.critical.contains(i.address); };
  const auto first = std::find_if(entry.instructions.begin(), entry.instructions.end(), in_region);
  return {static_cast<std::size_t>(first - entry.instructions.begin()),
          static_cast<std::size_t>(std::count_if(first, entry.instructions.end(), in_region))};
}

}  // namespace

std::size_t boundary_count(const Entry& entry) {
  constexpr std::size_t kMostStubInstructions = 5;  // push, push, push, mov, syscall
  return entry.instructions.size() + kMostStubInstructions + entry.vectors.size();
}

std::size_t Coverage::counters_wanted(const Entry& entry) {
  return edge_slots(leader_count(entry)) * kDepths + boundary_count(entry) + region_boundaries(entry).second + 1;
}

Coverage::Coverage(const Entry& entry, std::span<std::uint8_t> counters)
    : entry_(entry),
      counters_(counters),
      leader_of_(leader_numbers(entry)),
      leaders_(std::max<std::size_t>(1, leader_count(entry))),
      only_next_(leaders_ + 1, kNoLeader),
      edge_slots_(edge_slots(leaders_)),
      arrival_base_(edge_slots_ * kDepths),
      region_first_(region_boundaries(entry).first),
      region_boundaries_(region_boundaries(entry).second),
      fold_base_(arrival_base_ + boundary_count(entry)),
      counts_(boundary_count(entry)),
      executed_(boundary_count(entry)),
      followed_((leaders_ + 1) * leaders_) {
  for_each_edge(entry_, [&](const Instruction& from, const Instruction& to) {
    const bool conditional = has(from.flags, InstructionFlag::branches) && falls_through(from);
    if (!conditional) {
      only_next_[leader_of_[boundary_of(entry_, from)]] = leader_of_[boundary_of(entry_, to)];
    }
  });
}

std::optional<CoveragePrefix> Coverage::prefix() const {
  if (logged_ > log_.size()) {
    return std::nullopt;
  }
  return CoveragePrefix{log_, logged_, previous_};
}

void Coverage::take_up(const CoveragePrefix& prefix) {
  std::copy_n(prefix.edges.begin(), prefix.count, log_.begin());
  logged_ = prefix.count;
  previous_ = prefix.previous;
  for (std::size_t i = 0; i < prefix.count; ++i) {
    hit(prefix.edges[i]);
  }
}

Coverage::EdgeCount Coverage::control_flow_edges() const {
  std::vector<std::size_t> edges;
  for_each_edge(entry_, [&](const Instruction& from, const Instruction& to) {
    edges.push_back(leader_of_[boundary_of(entry_, from)] * leaders_ + leader_of_[boundary_of(entry_, to)]);
  });
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  const auto seen =
      std::count_if(edges.begin(), edges.end(), [this](std::size_t edge) { return followed_[edge] != 0; });
  return {static_cast<std::size_t>(seen), edges.size()};
}

}  // namespace framefold
