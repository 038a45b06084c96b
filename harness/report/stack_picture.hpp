// What lies on the stacks at a delivery or a fold, slot by slot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/story.hpp"
#include "report/style.hpp"

namespace framefold {

struct PictureSlot {
  GuestAddress address;
  std::string place;  // "thread+0x3e58"
  std::string name;   // "rip"; "r11, pushed by Xen"
  std::uint64_t value = 0;
  std::string meaning;                    // of the value, where it is an address: "scrit+0x84"
  std::optional<std::uint64_t> old;       // another value that lay there at the picture before
  std::string from;                       // where the fold copied it from: "thread+0x3e08 (event frame: r15)"
  std::optional<std::uint64_t> expected;  // of a wrong frame's slot that does not show what was interrupted
};

struct PictureFrame {
  std::string title;               // "frame 1: event, interrupted scrit+0x84"
  std::vector<PictureSlot> slots;  // highest address first, as stacks are drawn
};

struct StackPicture {
  std::size_t moment = 0;
  std::uint32_t step = 0;
  std::string title;
  std::vector<PictureFrame> frames;  // oldest first
  std::string stack_pointer;         // "rsp = thread+0x3e98"
};

/// One for each delivery, fold and wrong frame of a run, in order.
std::vector<StackPicture> stack_pictures(const Guest& guest, const RunStory& run);

/// With box characters.
std::string to_text(const StackPicture& picture, const Style& style = {});

}  // namespace framefold
