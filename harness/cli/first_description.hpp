// A first description of an entry, made by `framefold new`: what it says, and for each line what it was guessed from
// and what a person has to check.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "image/description.hpp"
#include "survey/frame_measure.hpp"

namespace framefold {

/// A value, and the comment that goes with its line. Without a value the line says FILL-IN, and the comment what with.
struct Guess {
  std::string value;
  std::string comment;
  bool known() const { return !value.empty(); }
};

struct FirstVector {
  std::string name;
  DeliveryKind kind = DeliveryKind::event;
  unsigned number = 0;
  bool error_code = false;
  bool marks = false;
  bool common_exit = true;
  Guess symbol;
  Guess handler;  // of the event: what [handler] says
};

struct FirstStack {
  Guess symbol;
  std::uint64_t size = 0x4000;
};

struct FirstSegment {
  std::uint16_t selector = 0;
  Guess base;
};

struct FirstRegion {
  Guess start;
  Guess end;
  std::optional<Guess> restore_end;
  std::optional<Guess> table;
};

struct FirstDescription {
  std::string name;
  std::string objects;  // `image`
  Width width = Width::k64;
  bool user = false;
  std::string modes_comment;
  bool nests = false;
  Guess hypercall_page;
  std::optional<Guess> gs_base;
  std::optional<Guess> fs_base;
  std::vector<std::string> symbols;
  std::vector<FirstVector> vectors;         // the event first
  std::vector<std::string> calls;           // functions that nobody defines and the code calls
  std::map<std::string, Guess> returns_of;  // what those return that the code looks at
  std::vector<FirstSegment> segments;
  Guess argument;
  std::optional<Guess> error_code_argument;
  std::optional<unsigned> returns;  // what the handlers return, where the code looks at it
  unsigned alignment = 16;
  std::string alignment_comment;
  FirstStack thread;
  std::optional<FirstStack> interrupt;
  std::optional<FirstStack> kernel;
  std::optional<Guess> interrupt_pointer;
  std::optional<Guess> nesting;  // none: the code tells the stack by the stack pointer
  std::int32_t on_thread = -1;
  std::int32_t on_interrupt = 0;
  std::optional<FirstRegion> region;
  std::string region_comment;  // where there is none
  bool info_is_pointer = true;
  Guess info;
  std::uint64_t info_index = 0;
  std::uint64_t info_stride = 0;
  bool no_info = false;  // nothing in the code looks like one
  std::optional<Guess> work_flag;
  std::vector<std::string> counters;  // data that a plain delivery leaves changed
  std::optional<MeasuredFrame> frame;
  std::string frame_comment;       // where there is none, or of all its slots
  std::vector<std::string> notes;  // what was seen and is in no line
};

/// The text of entry.toml.
std::string text_of(const FirstDescription& first);

}  // namespace framefold
