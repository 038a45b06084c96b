// Stack pictures as SVG. Colours and fonts are the page's.
#include <fmt/format.h>

#include <algorithm>

#include "report/page.hpp"
#include "report/text.hpp"

namespace framefold {

namespace {

constexpr int kRow = 17;       // pixels a slot
constexpr int kColumn = 580;   // at least
constexpr int kCharacter = 8;  // of the page's monospaced font, rounded up
constexpr int kSource = 300;   // what is said of where a word came from
constexpr int kNameAt = 120;
constexpr int kValueAt = 225;

std::string words(int x, int y, std::string_view style, std::string_view text) {
  return fmt::format("<text x=\"{}\" y=\"{}\"{}>{}</text>", x, y,
                     style.empty() ? "" : fmt::format(" class=\"{}\"", style), html_text(text));
}

std::string value_text(const PictureSlot& slot) {
  std::string value = fmt::format("{:#x}", slot.value);
  if (!slot.meaning.empty()) {
    value += " = " + slot.meaning;
  }
  if (slot.old) {
    value += fmt::format(", was {:#x}", *slot.old);
  }
  if (slot.expected) {
    value += fmt::format(" ✗ expected {:#x}", *slot.expected);
  }
  return value;
}

/// One column, highest address on top, as it lies in memory. Where a fold copied a word, its source stands beside it.
class Drawing {
 public:
  explicit Drawing(const StackPicture& picture) : picture_(picture) {}

  std::string text() {
    copied_ = std::any_of(picture_.frames.begin(), picture_.frames.end(), [](const PictureFrame& frame) {
      return std::any_of(frame.slots.begin(), frame.slots.end(), [](const PictureSlot& s) { return !s.from.empty(); });
    });
    for (const PictureFrame& frame : picture_.frames) {
      column_ = std::max(column_, kCharacter * static_cast<int>(frame.title.size() + 1));
      for (const PictureSlot& slot : frame.slots) {
        column_ = std::max(column_, kValueAt + kCharacter * static_cast<int>(value_text(slot).size()));
      }
    }
    const int left = copied_ ? kSource : 0;
    int y = kRow;
    for (const PictureFrame& frame : picture_.frames) {
      body_ += words(left + 4, y, "faint", frame.title);
      y += 6;
      for (const PictureSlot& slot : frame.slots) {
        draw_slot(slot, left, y);
        y += kRow;
      }
      y += kRow + 4;
    }
    body_ += words(left + 4, y, "faint", picture_.stack_pointer);
    return fmt::format("<svg viewBox=\"0 0 {} {}\" width=\"{}\" role=\"img\" aria-label=\"{}\">{}</svg>",
                       left + column_, y + 8, left + column_,
                       html_text(fmt::format("step {}: {}", picture_.step, picture_.title)), body_);
  }

 private:
  void draw_slot(const PictureSlot& slot, int left, int y) {
    body_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}/>", left, y, column_, kRow,
                         slot.expected       ? " class=\"wrong\""
                         : slot.from.empty() ? ""
                                             : " class=\"copied\"");
    body_ += words(left + 4, y + kRow - 4, "faint", slot.place);
    body_ += words(left + kNameAt, y + kRow - 4, "", slot.name);
    body_ += words(left + kValueAt, y + kRow - 4, slot.expected ? "bad" : slot.old ? "note" : "", value_text(slot));
    if (!slot.from.empty()) {
      body_ += words(4, y + kRow - 4, "good", slot.from);
      body_ += fmt::format("<path d=\"M{} {} H{}\"/>", left - 24, y + kRow / 2, left - 2);
    }
  }

  const StackPicture& picture_;
  bool copied_ = false;
  int column_ = kColumn;
  std::string body_;
};

}  // namespace

std::string to_svg(const StackPicture& picture) { return Drawing(picture).text(); }

}  // namespace framefold
