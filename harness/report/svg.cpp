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
// Columns, in characters.
constexpr int kPlaceWidth = 17;
constexpr int kNameWidth = 13;
constexpr int kValueAt = 4 + kCharacter * (kPlaceWidth + kNameWidth);

std::string styled(std::string_view style, std::string_view text) {
  return style.empty() ? html_text(text) : fmt::format("<tspan class=\"{}\">{}</tspan>", style, html_text(text));
}

std::string line(int x, int y, std::string_view pieces) {
  return fmt::format("<text x=\"{}\" y=\"{}\">{}</text>", x, y, pieces);
}

std::string box(int x, int y, int width, int height, std::string_view style) {
  return fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}/>", x, y, width, height,
                     style.empty() ? "" : fmt::format(" class=\"{}\"", style));
}

/// What fills a column behind a text, one at least.
int blanks(std::string_view text, int width) { return std::max(1, width - static_cast<int>(text.size())); }

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
      body_ += line(left + 4, y, styled("faint", frame.title));
      y += 6;
      draw_box(frame, left, y);
      for (const PictureSlot& slot : frame.slots) {
        draw_slot(slot, left, y);
        y += kRow;
      }
      y += kRow + 4;
    }
    body_ += line(left + 4, y, styled("faint", picture_.stack_pointer));
    return fmt::format("<svg viewBox=\"0 0 {} {}\" width=\"{}\" role=\"img\" aria-label=\"{}\">{}</svg>",
                       left + column_, y + 8, left + column_,
                       html_text(fmt::format("step {}: {}", picture_.step, picture_.title)), body_);
  }

 private:
  /// One for all slots, with lines between them: sixteen arrivals leave thousands of slots on a page.
  void draw_box(const PictureFrame& frame, int left, int y) {
    const int rows = static_cast<int>(frame.slots.size());
    std::string rules;
    for (int row = 1; row < rows; ++row) {
      rules += fmt::format("M{} {}h{}", left, y + row * kRow, column_);
    }
    body_ += box(left, y, column_, rows * kRow, "");
    body_ += rules.empty() ? "" : fmt::format("<path class=\"rule\" d=\"{}\"/>", rules);
  }

  void draw_slot(const PictureSlot& slot, int left, int y) {
    if (slot.expected || !slot.from.empty()) {
      body_ += box(left, y, column_, kRow, slot.expected ? "wrong" : "copied");
    }
    const int base = y + kRow - 4;
    body_ += line(left + 4, base,
                  styled("faint", slot.place) + fmt::format("{:{}}", "", blanks(slot.place, kPlaceWidth)) +
                      html_text(slot.name) + fmt::format("{:{}}", "", blanks(slot.name, kNameWidth)) +
                      styled(slot.expected ? "bad"
                             : slot.old    ? "note"
                                           : "",
                             value_text(slot)));
    if (!slot.from.empty()) {
      body_ += line(4, base, styled("good", slot.from));
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
