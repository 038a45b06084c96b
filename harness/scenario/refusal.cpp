#include "scenario/refusal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "scenario/context_places.hpp"

namespace framefold {

namespace {

std::string pending_values(const Entry& entry) {
  std::string list;
  for (const std::uint8_t value : entry.description.pending_values) {
    list += fmt::format("{}{:#x}", list.empty() ? "" : ", ", value);
  }
  return fmt::format("expected one of the entry's pending values: {}", list);
}

/// A field that canonicalise may change, and what to say when it does. In an order in which no reason rests on a later
/// one.
struct Rule {
  std::string_view key;
  bool (*kept)(const Scenario& given, const Scenario& canonical);
  std::string (*why)(const Scenario& given, const Entry& entry);
};

/// Compares one member of the context.
template <auto kMember>
bool kept(const Scenario& given, const Scenario& canonical) {
  return given.context.*kMember == canonical.context.*kMember;
}

template <bool EventAction::*kMember>
bool kept_action(const Scenario& given, const Scenario& canonical) {
  return std::equal(given.event_actions.begin(), given.event_actions.end(), canonical.event_actions.begin(),
                    [](const EventAction& a, const EventAction& b) { return a.*kMember == b.*kMember; });
}

std::string why_stack(const Scenario& given, const Entry& /*entry*/) {
  return given.context.mode == GuestMode::user ? "a user context has a stack of its own; expected thread"
                                               : "the entry has no interrupt stack; expected thread";
}

std::string why_place(const Scenario& given, const Entry& /*entry*/) {
  return given.context.mode == GuestMode::user
             ? "the entry has no critical region, and unmasks events nowhere; expected resume_page"
             : "a kernel context is interrupted on the resume page";
}

std::string why_place_offset(const Scenario& given, const Entry& entry) {
  const bool region = given.context.place == ContextPlace::region;
  return fmt::format("expected 0 to {}, inside the {}", (region ? entry.critical.size() : kContextPlaces) - 1,
                     region ? "critical region" : "resume page, or from 256 on the low page");
}

std::string why_stack_offset(const Scenario& given, const Entry& /*entry*/) {
  return given.context.stack_offset >= kStackOffsets ? fmt::format("expected 0 to {}", kStackOffsets - 1)
                                                     : "a 32-bit kernel's stack pointer is a multiple of 4";
}

std::string why_pending(const Scenario& given, const Entry& entry) {
  const Context& c = given.context;
  const bool event = entry.vectors[c.vector].description.kind == DeliveryKind::event;
  return event || c.mask != 0 ? pending_values(entry) : "with mask 0 Xen leaves nothing pending; expected 0";
}

std::string why_port(const Scenario& given, const Entry& /*entry*/) {
  return given.context.pending == 0 ? "nothing is pending, so no port is"
                                    : fmt::format("expected 0 to {}", kPortCount - 1);
}

std::string why_masked_port(const Scenario& given, const Entry& /*entry*/) {
  return given.context.masked_port >= kPortCount ? fmt::format("expected 0 to {}", kPortCount - 1)
                                                 : "an event uses that port; expected one of its own";
}

std::string why_unmask_port(const Scenario& given, const Entry& /*entry*/) {
  return given.context.has_masked_port ? "only the first call unmasks a port; expected [0]"
                                       : "there is no context.masked_port to unmask";
}

std::string why_set_work_flag(const Scenario& /*given*/, const Entry& /*entry*/) {
  return "the entry has no work flag";
}

std::string why_write_rip(const Scenario& given, const Entry& /*entry*/) {
  return given.context.place == ContextPlace::region
             ? "only with a place on the resume page"
             : "only an exception's handler writes its frame, and context.vector is none";
}

constexpr std::array kRules = {
    Rule{"context.vector", kept<&Context::vector>,
         [](const Scenario&, const Entry&) { return std::string("expected a vector of the entry"); }},
    Rule{"context.mode", kept<&Context::mode>,
         [](const Scenario&, const Entry&) { return std::string("the entry has no user mode; expected kernel"); }},
    Rule{"context.stack", kept<&Context::stack>, why_stack},
    Rule{"context.place", kept<&Context::place>, why_place},
    Rule{"context.place_offset", kept<&Context::place_offset>, why_place_offset},
    Rule{"context.stack_offset", kept<&Context::stack_offset>, why_stack_offset},
    Rule{"context.mask", kept<&Context::mask>,
         [](const Scenario&, const Entry&) { return std::string("an event interrupts only mask 0"); }},
    Rule{"context.pending", kept<&Context::pending>, why_pending},
    Rule{"context.port", kept<&Context::port>, why_port},
    Rule{"context.masked_port", kept<&Context::masked_port>, why_masked_port},
    Rule{"context.nmi_masked", kept<&Context::nmi_masked>,
         [](const Scenario&, const Entry&) {
           return std::string("only for an exception in kernel mode, of an entry whose NMI handler marks its frames");
         }},
    Rule{"context.null_data_segments", kept<&Context::null_data_segments>,
         [](const Scenario&, const Entry&) { return std::string("only for a 32-bit user context"); }},
    Rule{"context.error_code", kept<&Context::error_code>,
         [](const Scenario&, const Entry&) {
           return std::string("expected 16 bits, of a vector that has an error code");
         }},
    Rule{"context.rflags", kept<&Context::rflags>,
         [](const Scenario&, const Entry&) { return fmt::format("expected bits of {:#x} only", kContextFlags); }},
    Rule{"context.registers", kept<&Context::gpr>,
         [](const Scenario&, const Entry&) {
           return std::string("expected values of the entry's width, and none for RSP");
         }},
    Rule{"handler.unmask_port", kept_action<&EventAction::unmask_port>, why_unmask_port},
    Rule{"handler.set_work_flag", kept_action<&EventAction::set_work_flag>, why_set_work_flag},
    Rule{"handler.write_rip_offset",
         [](const Scenario& given, const Scenario& canonical) {
           return given.frame_write.rip == canonical.frame_write.rip &&
                  given.frame_write.rip_offset == canonical.frame_write.rip_offset;
         },
         why_write_rip},
    Rule{"handler.write_rax",
         [](const Scenario& given, const Scenario& canonical) {
           return given.frame_write.rax == canonical.frame_write.rax &&
                  given.frame_write.rax_value == canonical.frame_write.rax_value;
         },
         [](const Scenario&, const Entry&) {
           return std::string("only an exception's handler writes its frame, and context.vector is none");
         }},
};

/// The key of an arrival that canonicalise would change, and why; an empty key where it would not.
Refusal arrival_refusal(const Arrival& given, const Arrival& canonical, const Entry& entry) {
  if (given.kind != canonical.kind) {
    return {"kind", given.kind == ArrivalKind::nmi ? "the entry has no NMI" : "the entry has no exceptions"};
  }
  if (given.port != canonical.port) {
    return {"port", given.kind == ArrivalKind::event ? fmt::format("expected 0 to {}", kPortCount - 1)
                                                     : "only an event has a port"};
  }
  if (given.spurious != canonical.spurious) {
    return {"pending", "only a tick sets evtchn_upcall_pending without a port"};
  }
  if (given.pending_value != canonical.pending_value) {
    return {"pending", given.sets_pending() ? pending_values(entry) + (given.spurious ? ", or 0 to leave it alone" : "")
                                            : "only an event or a tick has a pending value"};
  }
  if (given.vector != canonical.vector) {
    return {"vector",
            given.kind == ArrivalKind::exception ? "expected an exception" : "only an exception has a vector"};
  }
  if (given.error_code != canonical.error_code) {
    return {"error_code", "expected 16 bits, of an exception that has an error code"};
  }
  return {};
}

}  // namespace

std::optional<Refusal> refusal(const Scenario& scenario, const Entry& entry) {
  Scenario canonical = scenario;
  canonicalise(canonical, entry);
  for (const Rule& rule : kRules) {
    if (!rule.kept(scenario, canonical)) return Refusal{std::string(rule.key), rule.why(scenario, entry)};
  }
  if (scenario.arrival_count != canonical.arrival_count) {
    return Refusal{"arrival", fmt::format("expected at most {}", kMaxArrivals)};
  }
  for (std::size_t i = 0; i < kMaxArrivals; ++i) {
    const Refusal found = arrival_refusal(scenario.arrivals[i], canonical.arrivals[i], entry);
    if (!found.key.empty()) return Refusal{fmt::format("arrival[{}].{}", i, found.key), found.why};
  }
  if (scenario != canonical) return Refusal{"arrival", "expected nothing behind the last one"};
  return std::nullopt;
}

}  // namespace framefold
