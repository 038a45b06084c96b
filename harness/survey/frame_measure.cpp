#include "survey/frame_measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "image/description_rules.hpp"

namespace framefold {

MeasuredFrame measure_frame(const ProbeCall& call, const std::vector<MarkedCall>& by_segment, Width width) {
  const unsigned word = word_size(width);
  const std::uint32_t rip = call.rip_offset;
  std::map<std::uint32_t, std::string> names;
  MeasuredFrame frame;
  frame.size = rip + 5 * word;
  for (std::size_t i = 0; i < gpr_count(width); ++i) {
    const auto gpr = static_cast<Gpr>(i);
    // The lowest: a stub may store a register in the error code's word as well.
    for (std::uint32_t at = 0; gpr != Gpr::rsp && at < rip; at += word) {
      if (call.words[at / word] == call.interrupted[gpr] && names.count(at) == 0) {
        names[at] = name_of(gpr, width);
        ++frame.registers;
        break;
      }
    }
  }
  for (const MarkedCall& marked : by_segment) {
    for (std::uint32_t at = 0; marked.call.rip_offset == rip && at < rip; at += word) {
      const bool changed = (marked.call.words[at / word] & 0xffff) != (call.words[at / word] & 0xffff);
      if (changed && names.count(at) == 0) {
        names[at] = name_of(marked.segment);
        break;
      }
    }
  }
  constexpr const char* kXen[] = {"rip", "cs", "rflags", "rsp", "ss"};
  for (std::uint32_t i = 0; i < 5; ++i) names[rip + i * word] = written_slot_name(kXen[i], width);
  for (std::uint32_t at = 0; at < frame.size; at += word) {
    const auto known = names.find(at);
    if (known != names.end()) {
      frame.slots.push_back({known->second, at, true});
    } else {
      frame.slots.push_back({at + word == rip ? std::string("error") : fmt::format("word_{}", at), at, false});
    }
  }
  return frame;
}

}  // namespace framefold
