#include "cli/first_description.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "image/toml_text.hpp"

namespace framefold {

namespace {

/// Comments start in one column where the line leaves room.
constexpr std::size_t kCommentColumn = 44;

/// A comment ends with its line.
std::string in_comment(std::string text) {
  std::replace_if(text.begin(), text.end(), is_toml_control, '?');
  return "# " + text;
}

class Writer {
 public:
  void line(const std::string& text) { text_ += text + "\n"; }
  void blank() { line(""); }

  void line(const std::string& text, const std::string& comment) {
    if (comment.empty()) {
      line(text);
    } else {
      line(fmt::format("{:<{}}{}", text + " ", kCommentColumn, in_comment(comment)));
    }
  }

  void guess(const char* key, const Guess& guess) {
    const std::string comment = guess.known() ? guess.comment : "FILL IN: " + guess.comment;
    line(fmt::format("{} = \"{}\"", key, guess.known() ? guess.value : std::string(kFillIn)), comment);
  }

  void stack(const char* key, const FirstStack& stack, const std::string& more = "") {
    const bool known = stack.symbol.known();
    line(fmt::format("{} = {{ symbol = \"{}\", size = {:#x}{} }}", key,
                     known ? stack.symbol.value : std::string(kFillIn), stack.size, more),
         known ? stack.symbol.comment : "FILL IN: " + stack.symbol.comment);
  }

  std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

void write_head(Writer& out, const FirstDescription& first) {
  out.line(
      "# Written by `framefold new`. Each line with a comment is a guess: the comment says what it was guessed from, "
      "and");
  out.line(
      "# what to check. `framefold entries --keys` is the manual; `framefold check` says whether the description "
      "holds,");
  out.line("# and otherwise which line to look at.");
  out.blank();
  out.line(fmt::format("name = \"{}\"", first.name));
  out.line(fmt::format("summary = \"{}, as framefold new describes it\"", first.name));
  out.line(fmt::format("image = \"{}\"", toml_escaped(first.objects)));
  out.line(fmt::format("width = {}", first.width == Width::k64 ? 64 : 32));
  out.line(first.user ? "modes = [\"kernel\", \"user\"]" : "modes = [\"kernel\"]", first.modes_comment);
  if (first.nests) {
    out.line("nests = true",
             "measured: no event is folded into the frame that it interrupts; check that this is meant");
  }
  out.guess("hypercall_page", first.hypercall_page);
  if (first.gs_base) out.guess("gs_base", *first.gs_base);
  if (first.fs_base) out.guess("fs_base", *first.fs_base);
  if (!first.symbols.empty()) {
    std::string list;
    for (const std::string& symbol : first.symbols) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", symbol);
    out.line(fmt::format("symbols = [{}]", list), "labels near what was executed: reports give places by them");
  }
}

void write_vector(Writer& out, const FirstVector& vector) {
  out.blank();
  const bool nmi = vector.kind == DeliveryKind::nmi;
  out.line(nmi ? "[nmi]" : "[[vectors]]");
  if (!nmi) {
    out.line(fmt::format("name = \"{}\"", vector.name));
    out.line(fmt::format("kind = \"{}\"", name_of(vector.kind)));
  }
  if (vector.kind == DeliveryKind::exception) {
    out.line(fmt::format("number = {}", vector.number), "guessed from the symbol's name: check it in the trap table");
  }
  out.guess("symbol", vector.symbol);
  if (vector.error_code) out.line("error_code = true", "goes with the number: Xen pushes one");
  if (vector.kind == DeliveryKind::exception) {
    out.line("masks_events = false", "not to be seen in the code: true where the trap table has TI_GET_IF (flags & 4)");
  }
  if (vector.kind != DeliveryKind::event) out.guess("handler", vector.handler);
  if (!vector.common_exit) {
    out.line("common_exit = false", "measured: no instruction behind its handler's return is one of the event's");
  }
  if (vector.marks) {
    out.line("marks = true", "guessed: the code tests bit 31 of the saved flags; check that the NMI handler sets it");
  }
}

void write_calls(Writer& out, const FirstDescription& first) {
  for (const std::string& name : first.calls) {
    out.blank();
    out.line("[[calls]]", "nobody defines it, and the code calls it: say what it does (returns, clobbers, sets, ...)");
    out.line(fmt::format("symbol = \"{}\"", name));
    const auto returns = first.returns_of.find(name);
    if (returns == first.returns_of.end()) continue;
    const bool known = returns->second.known();
    out.line(known ? fmt::format("returns = {}", returns->second.value) : fmt::format("returns = \"{}\"", kFillIn),
             (known ? "" : "FILL IN: ") + returns->second.comment);
  }
}

void write_segments(Writer& out, const FirstDescription& first) {
  for (const FirstSegment& segment : first.segments) {
    out.blank();
    out.line("[[segments]]");
    out.line(fmt::format("selector = {:#x}", segment.selector), "measured: the code loads it");
    out.guess("base", segment.base);
  }
}

void write_handler(Writer& out, const FirstDescription& first) {
  out.blank();
  out.line("[handler]");
  out.guess("symbol", first.vectors.front().handler);
  out.guess("argument", first.argument);
  if (first.error_code_argument) out.guess("error_code_argument", *first.error_code_argument);
  out.line(fmt::format("stack_alignment = {}", first.alignment), first.alignment_comment);
  if (first.returns) {
    out.line(fmt::format("returns = {}", *first.returns),
             "guessed: with it the code returns to what it interrupted; check what the C handlers return");
  }
}

void write_stacks(Writer& out, const FirstDescription& first) {
  out.blank();
  out.line("[stacks]");
  out.stack("thread", first.thread);
  if (first.kernel) out.stack("kernel", *first.kernel);
  if (!first.interrupt) return;
  const std::string pointer =
      first.interrupt_pointer ? fmt::format(", pointer = \"{}\"", first.interrupt_pointer->value) : std::string();
  out.stack("interrupt", *first.interrupt, pointer);
  if (!first.nesting) {
    out.line(
        "# No `nesting`: no data changes on the way to the handler, so the stack pointer tells which stack it is.");
    return;
  }
  const bool known = first.nesting->known();
  out.line(fmt::format("nesting = {{ symbol = \"{}\", on_thread = {}, on_interrupt = {} }}",
                       known ? first.nesting->value : std::string(kFillIn), first.on_thread, first.on_interrupt),
           known ? first.nesting->comment : "FILL IN: " + first.nesting->comment);
}

void write_region(Writer& out, const FirstDescription& first) {
  out.blank();
  if (!first.region) {
    out.line("# No [region]: " + first.region_comment);
    return;
  }
  out.line("[region]");
  out.guess("start", first.region->start);
  out.guess("end", first.region->end);
  if (first.region->restore_end) out.guess("restore_end", *first.region->restore_end);
  if (first.region->table) out.guess("table", *first.region->table);
}

void write_data(Writer& out, const FirstDescription& first) {
  out.blank();
  if (first.no_info) {
    out.line(
        "# No [vcpu_info]: nothing shows that this code touches it. Where it does, say through which pointer, or "
        "symbol.");
  } else {
    out.line("[vcpu_info]");
    out.guess(first.info_is_pointer ? "pointer" : "symbol", first.info);
    if (first.info_index != 0) {
      out.line(fmt::format("index = {}", first.info_index),
               fmt::format("measured: the code unmasks {:#x} bytes behind the first; check that with the stride",
                           first.info_index * first.info_stride));
      out.line(fmt::format("stride = {}", first.info_stride), "guessed: one of those that divide that");
    }
  }
  if (!first.counters.empty()) {
    out.blank();
    out.line("[entry_data]");
    out.line("counters = [",
             "measured: a plain delivery leaves them changed; check that they are meant to be, and their size");
    for (const std::string& name : first.counters) {
      out.line(fmt::format("  {{ symbol = \"{}\", size = {} }},", name, word_size(first.width)));
    }
    out.line("]");
  }
  if (first.work_flag) {
    out.blank();
    out.line("[work_flag]");
    out.guess("symbol", *first.work_flag);
    out.line("mask = 1", "guessed: check which bits ask for work before user mode");
  }
}

void write_frame(Writer& out, const FirstDescription& first) {
  out.blank();
  out.line("[frame]");
  if (!first.frame) {
    out.line(fmt::format("size = \"{}\"", kFillIn), "FILL IN: " + first.frame_comment);
    out.blank();
    out.line("[frame.slots]");
    return;
  }
  out.line(fmt::format("size = {}", first.frame->size), "measured: up to the last word that Xen pushes from user mode");
  out.blank();
  out.line("[frame.slots]", first.frame_comment);
  for (const MeasuredSlot& slot : first.frame->slots) {
    out.line(fmt::format("{} = {}", slot.name, slot.offset),
             slot.register_slot ? "" : "shows no register: rename it as the structure calls it; it is not compared");
  }
}

}  // namespace

std::string text_of(const FirstDescription& first) {
  Writer out;
  write_head(out, first);
  for (const FirstVector& vector : first.vectors) {
    if (vector.kind != DeliveryKind::nmi) write_vector(out, vector);
  }
  for (const FirstVector& vector : first.vectors) {
    if (vector.kind == DeliveryKind::nmi) write_vector(out, vector);
  }
  write_segments(out, first);
  write_calls(out, first);
  write_handler(out, first);
  write_stacks(out, first);
  write_region(out, first);
  write_data(out, first);
  write_frame(out, first);
  if (!first.notes.empty()) out.blank();
  for (const std::string& note : first.notes) out.line(in_comment(note));
  return std::move(out).text();
}

}  // namespace framefold
