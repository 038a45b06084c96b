#include "explore/outline.hpp"

#include <algorithm>
#include <unordered_map>

#include "explore/state_key.hpp"

namespace framefold {

namespace {

enum class Place : std::uint8_t { start, handler, between, resumption };

/// Of the event mask, that it masks: Xen looks at nothing else.
std::uint64_t mix_events(std::uint64_t key, const Execution& execution, std::uint8_t pending) {
  return mix(key, std::uint64_t{execution.guest().shared().upcall_mask() != 0} | std::uint64_t{pending} << 8);
}

std::uint64_t flags_of(const Activation& a) {
  return static_cast<std::uint64_t>(a.kind()) | static_cast<std::uint64_t>(a.mode) << 2 | std::uint64_t{a.marked} << 3;
}

}  // namespace

void Outline::add(const Outline& other) {
  for (const auto& [from, to] : other.steps_) {
    add_step(from, to);
  }
  joints_.insert(other.joints_.begin(), other.joints_.end());
}

std::vector<std::uint64_t> Outline::joints() const {
  std::vector<std::uint64_t> joints(joints_.begin(), joints_.end());
  std::sort(joints.begin(), joints.end());
  return joints;
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> Outline::ways() const {
  std::unordered_map<std::uint64_t, std::vector<std::uint64_t>> next;
  for (const auto& [from, to] : steps_) {
    next[from].push_back(to);
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ways;
  for (const std::uint64_t joint : joints_) {
    std::unordered_set<std::uint64_t> seen;
    std::vector<std::uint64_t> open{joint};
    while (!open.empty()) {
      const std::uint64_t node = open.back();
      open.pop_back();
      for (const std::uint64_t to : next[node]) {
        if (!seen.insert(to).second) {
          continue;
        }
        if (joints_.count(to) != 0) {
          ways.emplace_back(joint, to);
        } else {
          open.push_back(to);
        }
      }
    }
  }
  std::sort(ways.begin(), ways.end());
  return ways;
}

std::uint64_t outline_start(std::uint64_t scope, const Scenario& context) {
  const Context& c = context.context;
  return mix(mix(scope, static_cast<std::uint64_t>(Place::start)),
             std::uint64_t{c.vector} | std::uint64_t{c.mask} << 8 | std::uint64_t{c.pending} << 16 |
                 std::uint64_t{c.nmi_masked} << 24);
}

OutlineNode outline_node(const Execution& execution, std::uint64_t scope, const Boundary& boundary, GuestAddress stack,
                         std::uint8_t pending) {
  OutlineNode node;
  node.joint = boundary.handler != nullptr;
  const Place place = node.joint ? Place::handler : Place::between;
  node.key = mix(mix(scope, static_cast<std::uint64_t>(place)), boundary.address.value);
  node.key = mix_events(node.key, execution, pending);
  const ActivationStack& activations = execution.activations();
  if (node.joint) {
    node.key = mix(node.key, activations.empty() ? ~std::uint64_t{0} : flags_of(activations.youngest()));
    return node;
  }
  for (std::size_t i = 0; i < activations.count; ++i) {
    const Activation& a = activations.items[i];
    const GuestAddress interrupted{a.interrupted[Gpr::rsp]};
    const bool same_stack = execution.guest().stack_of(stack) == execution.guest().stack_of(interrupted - 1);
    node.key = mix(node.key, flags_of(a) | std::uint64_t{a.window} << 4);
    node.key = mix(node.key, same_stack ? interrupted - stack : 0);
  }
  return node;
}

std::uint64_t outline_resumption(const Execution& execution, std::uint64_t scope) {
  return mix_events(mix(scope, static_cast<std::uint64_t>(Place::resumption)), execution,
                    execution.guest().shared().upcall_pending());
}

}  // namespace framefold
