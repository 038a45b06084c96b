// What is wrong in a description and not seen by the check behaves alike: exploration's verdict is the right one's.
// Each symbol is exchanged for every other one of the image, each number is off by a little, each line is left out,
// each pair of slots exchanged; what holds nevertheless is explored. Left out is what the description says of the rest
// of the kernel, which no code shows: what its compiler was told (stack_alignment), what Xen may write
// (pending_values).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "check/check_entry.hpp"
#include "explore/exploration.hpp"
#include "image/image.hpp"
#include "image/link_objects.hpp"
#include "test/description_lines.hpp"

namespace framefold::test {
namespace {

/// The verdict, and the kinds of what was found.
std::string verdict_of(const Entry& entry) {
  ExplorationOptions options;
  options.second_values = false;
  const std::vector<const Entry*> entries = {&entry};
  const std::atomic<bool> stop = false;
  const EntryReport report = explore_entries(entries, options, stop, [](std::size_t, std::size_t) {}).front();
  std::set<std::string> kinds;
  for (const auto& [signature, violation] : report.result.violations) kinds.emplace(name_of(violation.kind));
  return fmt::format("{} {}", name_of(report.verdict), fmt::join(kinds, " "));
}

class AlikeDescription : public testing::TestWithParam<const char*> {
 protected:
  AlikeDescription()
      : lines_(lines_of((fs::path(FRAMEFOLD_OWN_ENTRIES) / GetParam() / "entry.toml").string())),
        right_(load(lines_.whole())),
        verdict_(verdict_of(*right_)) {}

  std::unique_ptr<const Entry> load(const std::string& text) const {
    Description description = parse_description(text, lines_.path);
    const ImageFile image = read_image_file(description);
    return load_entry(std::move(description), image.elf, image.name);
  }

  void expect_alike(std::size_t line, const std::string& instead, const std::string& text) {
    SCOPED_TRACE(fmt::format("{}:{}: {}", lines_.path, line + 1, instead));
    ++tried_;
    std::unique_ptr<const Entry> entry;
    try {
      entry = load(text);
      check_as_described(*entry);
    } catch (const InputError&) {
      return;
    }
    ++held_;
    EXPECT_EQ(verdict_of(*entry), verdict_);
  }
  void expect_alike(std::size_t line, const std::string& instead) {
    expect_alike(line, instead, lines_.with(line, instead));
  }

  /// Says something that code does not show.
  static bool is_claim(const std::string& line) {
    return line.starts_with("stack_alignment") || line.starts_with("pending_values");
  }

  Lines lines_;
  std::unique_ptr<const Entry> right_;
  std::string verdict_;
  std::size_t tried_ = 0;
  std::size_t held_ = 0;
};

TEST_P(AlikeDescription, OtherSymbols) {
  const std::regex quoted("\"([A-Za-z0-9_]+)\"");
  for (std::size_t i = 0; i < lines_.text.size(); ++i) {
    const std::string& line = lines_.text[i];
    std::smatch match;
    if (line.starts_with("name") || line.starts_with("symbols") || !std::regex_search(line, match, quoted)) continue;
    if (!find_symbol(right_->symbols, match[1].str())) continue;
    for (const Symbol& other : right_->symbols) {
      if (other.name != match[1]) {
        expect_alike(i, match.prefix().str() + '"' + other.name + '"' + match.suffix().str());
      }
    }
  }
  EXPECT_GE(tried_, 100U);
}

TEST_P(AlikeDescription, OtherNumbersAndMissingLines) {
  const std::regex number("= (-?(0x)?[0-9a-f]+)( |,|$)");
  for (std::size_t i = 0; i < lines_.text.size(); ++i) {
    const std::string& line = lines_.text[i];
    std::smatch match;
    if (is_claim(line) || line.find('=') == std::string::npos) continue;
    expect_alike(i, "");
    if (!std::regex_search(line, match, number)) continue;
    for (const long by : {-8L, -4L, -1L, 1L, 4L, 8L, 16L}) {
      expect_alike(i, fmt::format("{}= {}{}{}", match.prefix().str(), std::stol(match[1].str(), nullptr, 0) + by,
                                  match[3].str(), match.suffix().str()));
    }
  }
  EXPECT_GE(tried_, 100U);
}

TEST_P(AlikeDescription, SlotsExchanged) {
  const std::regex slot("^([a-z0-9]+) = ([0-9a-fx]+)$");
  for (std::size_t i = 0; i < lines_.text.size(); ++i) {
    for (std::size_t j = i + 1; j < lines_.text.size(); ++j) {
      std::smatch one;
      std::smatch other;
      if (lines_.table[i] != "frame.slots" || !std::regex_match(lines_.text[i], one, slot) ||
          !std::regex_match(lines_.text[j], other, slot)) {
        continue;
      }
      Lines changed = lines_;
      changed.text[j] = fmt::format("{} = {}", other[1].str(), one[2].str());
      const std::string instead = fmt::format("{} = {}", one[1].str(), other[2].str());
      expect_alike(i, instead, changed.with(i, instead));
    }
  }
  EXPECT_GE(tried_, 100U);
}

INSTANTIATE_TEST_SUITE_P(Of, AlikeDescription, testing::Values("padded64", "trapframe32", "bypage64"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace framefold::test
