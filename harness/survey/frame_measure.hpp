// The layout of a frame, read off the words of one in which every register is a tag.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "survey/probe.hpp"

namespace framefold {

struct MeasuredSlot {
  std::string name;  // as a description of the width writes it
  std::uint32_t offset = 0;
  bool register_slot = true;  // false: a word that shows no register
};

struct MeasuredFrame {
  std::uint32_t size = 0;           // with the words of a user frame
  std::vector<MeasuredSlot> slots;  // by offset
  std::size_t registers = 0;        // general-purpose registers found
};

/// `by_segment` are the same call with one data segment changed at a time: the word that changes is its slot.
struct MarkedCall {
  Segment segment = Segment::ds;
  ProbeCall call;
};
MeasuredFrame measure_frame(const ProbeCall& call, const std::vector<MarkedCall>& by_segment, Width width);

}  // namespace framefold
