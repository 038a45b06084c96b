// Scenario to text. The way back is toml_parse.cpp.
#include "scenario/toml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "image/toml_text.hpp"

namespace framefold {

namespace {

using Output = std::back_insert_iterator<std::string>;

constexpr auto kMaxInteger = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

/// TOML's integers end at 2^63 - 1; what is greater is a string of the same digits.
std::string hex(std::uint64_t value) {
  return value > kMaxInteger ? fmt::format("\"{:#x}\"", value) : fmt::format("{:#x}", value);
}

/// (Of a name that <iomanip> does not have: with libc++, a std::string finds std::quoted() by its namespace.)
std::string toml_string(std::string_view text) {
  // A line break right behind the opening quotes is not part of the string.
  const bool lines = text.find('\n') != std::string_view::npos;
  return lines ? fmt::format("\"\"\"\n{}\"\"\"", toml_escaped(text, true))
               : fmt::format("\"{}\"", toml_escaped(text, false));
}

/// One line, whatever a label holds.
std::string comment(std::string text) {
  std::replace_if(text.begin(), text.end(), is_toml_control, ' ');
  return text;
}

void write_notes(const ScenarioNotes& notes, Output out) {
  if (!notes.entry.empty()) fmt::format_to(out, "entry = {}\n", toml_string(notes.entry));
  if (!notes.signature.empty()) fmt::format_to(out, "signature = {}\n", toml_string(notes.signature));
  if (!notes.explanation.empty()) fmt::format_to(out, "explanation = {}\n", toml_string(notes.explanation));
}

std::string flag_list(std::uint64_t rflags) {
  std::string list;
  for (const FlagName& flag : context_flag_names()) {
    if ((rflags & flag.bit) != 0) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", flag.name);
  }
  return list;
}

void write_context(const Context& c, const Entry& entry, Output out) {
  const VectorDescription& vector = entry.vectors[c.vector].description;
  fmt::format_to(out, "\n[context]\nvector = {}\n", toml_string(vector.name));
  if (vector.error_code) fmt::format_to(out, "error_code = {:#x}\n", c.error_code);
  fmt::format_to(out, "mode = \"{}\"\n", name_of(c.mode));
  if (c.mode == GuestMode::kernel) fmt::format_to(out, "stack = \"{}\"\n", name_of(c.stack));
  fmt::format_to(out, "stack_offset = {}\n", c.stack_offset);
  fmt::format_to(out, "place = \"{}\"\nplace_offset = {:#x}\n", name_of(c.place), c.place_offset);
  fmt::format_to(out, "mask = {:#x}\npending = {:#x}\n", c.mask, c.pending);
  if (c.pending != 0) fmt::format_to(out, "port = {}\n", c.port);
  if (c.has_masked_port) fmt::format_to(out, "masked_port = {}\n", c.masked_port);
  if (c.nmi_masked) fmt::format_to(out, "nmi_masked = true\n");
  if (c.null_data_segments) fmt::format_to(out, "null_data_segments = true\n");
  fmt::format_to(out, "rflags = [{}]\n", flag_list(c.rflags));
}

/// Only what a register holds instead of its tag.
void write_registers(const Context& c, const Entry& entry, Output out) {
  bool first = true;
  for (std::size_t i = 0; i < gpr_count(entry.width()); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    if (gpr == Gpr::rsp || c.gpr[i] == register_tag(gpr, entry.width())) continue;
    if (first) fmt::format_to(out, "\n[context.registers]  # those that are not listed hold their tags\n");
    first = false;
    fmt::format_to(out, "{} = {}\n", name_of(gpr, entry.width()), hex(c.gpr[i]));
  }
}

std::string calls_with(const Scenario& s, bool EventAction::*what) {
  std::string list;
  for (std::size_t i = 0; i < kActionCalls; ++i) {
    if (s.event_actions[i].*what) list += fmt::format("{}{}", list.empty() ? "" : ", ", i);
  }
  return list;
}

void write_handler(const Scenario& s, Output out) {
  std::string lines;
  const auto calls = [&](std::string_view key, bool EventAction::*what) {
    const std::string list = calls_with(s, what);
    if (!list.empty()) lines += fmt::format("{} = [{}]\n", key, list);
  };
  calls("nested_event", &EventAction::nested_event);
  calls("unmask_port", &EventAction::unmask_port);
  calls("set_work_flag", &EventAction::set_work_flag);
  if (s.frame_write.rax) lines += fmt::format("write_rax = {}\n", hex(s.frame_write.rax_value));
  if (s.frame_write.rip) lines += fmt::format("write_rip_offset = {:#x}\n", s.frame_write.rip_offset);
  if (!lines.empty())
    fmt::format_to(out, "\n[handler]  # lists: in which calls of the event handler, from 0\n{}", lines);
}

void write_arrival(const Arrival& a, const Entry& entry, Output out) {
  fmt::format_to(out, "kind = \"{}\"\ndistance = {}\n", name_of(a.kind), a.distance);
  if (a.kind == ArrivalKind::event) {
    fmt::format_to(out, "port = {}\n", a.port);
  }
  if (a.spurious || (a.sets_pending() && entry.description.pending_values.size() > 1)) {
    fmt::format_to(out, "pending = {:#x}\n", a.pending_value);
  }
  if (a.kind == ArrivalKind::exception) {
    const VectorDescription& vector = entry.vectors[a.vector].description;
    fmt::format_to(out, "vector = {}\n", toml_string(vector.name));
    if (vector.error_code) fmt::format_to(out, "error_code = {:#x}\n", a.error_code);
  }
}

}  // namespace

std::string to_toml(const Scenario& scenario, const Entry& entry, const ScenarioNotes& notes,
                    const std::function<std::string(std::size_t)>& label) {
  std::string text;
  const Output out = std::back_inserter(text);
  write_notes(notes, out);
  write_context(scenario.context, entry, out);
  write_registers(scenario.context, entry, out);
  write_handler(scenario, out);
  for (std::size_t i = 0; i < scenario.arrival_count; ++i) {
    const std::string where = label ? comment(label(i)) : std::string();
    fmt::format_to(out, "\n[[arrival]]  # {}{}{}\n", i, where.empty() ? "" : ": ", where);
    write_arrival(scenario.arrivals[i], entry, out);
  }
  // Without notes the text starts with the blank line before [context].
  return text.front() == '\n' ? text.substr(1) : text;
}

}  // namespace framefold
