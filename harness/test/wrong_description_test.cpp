// Every wrong description ends in a message that names the line to look at, and in nothing else: each symbol missing,
// each offset off by 8, the other width, every other argument register, every other stack. Generated from the
// descriptions of the bundled entries and of those of one's own.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "check/check_entry.hpp"
#include "image/image.hpp"
#include "image/input_file.hpp"
#include "image/link_objects.hpp"
#include "image/parse_checked.hpp"
#include "test/description_lines.hpp"
#include "test/shell.hpp"

namespace framefold::test {
namespace {

#ifdef FRAMEFOLD_BINARY
constexpr bool kRunsTheCommand = true;
#else  // a process each takes too long under the sanitizers, and so do all entries
constexpr bool kRunsTheCommand = false;
#define FRAMEFOLD_BINARY ""
#endif

/// Fails unless the description is refused at `line`, counted from 0, or, where `near` says so, at another of its
/// table.
class Refusal {
 public:
  explicit Refusal(const Lines& lines) : lines_(lines) {}

  void expect_at(std::size_t line, const std::string& instead, const std::string& tables) {
    SCOPED_TRACE(fmt::format("{}:{}: {}", lines_.path, line + 1, instead));
    ++tried_;
    const std::string message = message_of(lines_.with(line, instead));
    std::smatch match;
    const std::regex form(R"(\.toml:([0-9]+):[0-9]+: ([^ ]+): .+)");
    ASSERT_TRUE(std::regex_search(message, match, form)) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_TRUE(std::regex_search(match[2].str(), std::regex("^(" + tables + ")"))) << message;
  }
  void expect_exactly_at(std::size_t line, const std::string& instead) {
    SCOPED_TRACE(fmt::format("{}:{}: {}", lines_.path, line + 1, instead));
    ++tried_;
    EXPECT_THAT(message_of(lines_.with(line, instead)), testing::HasSubstr(fmt::format(".toml:{}:", line + 1)));
  }
  std::size_t tried() const { return tried_; }

 private:
  /// What a person would see, or "holds". For entries of one's own, what `framefold explore` says, which ends with
  /// status 2: the wrong description gets no verdict.
  std::string message_of(const std::string& text) const {
    if (lines_.path.starts_with(FRAMEFOLD_OWN_ENTRIES) && kRunsTheCommand) return explore(text);
    try {
      Description description = parse_checked(text, lines_.path, check_file_widths);
      const ImageFile image = read_image_file(description);
      check_entry(*load_entry(std::move(description), image.elf, image.name));
    } catch (const InputError& error) {
      return error.what();
    }
    return "holds";
  }

  std::string explore(const std::string& text) const {
    const fs::path path = fs::path(lines_.path).parent_path() / fmt::format("wrong{}.toml", ::getpid());
    std::ofstream(path, std::ios::binary) << text;
    Printed said = run_in_shell(fmt::format("'{}' explore '{}'", FRAMEFOLD_BINARY, path.string()));
    fs::remove(path);
    EXPECT_EQ(said.status, 2) << said.text;
    if (said.text.ends_with('\n')) said.text.pop_back();
    return said.text;
  }

  const Lines& lines_;
  std::size_t tried_ = 0;
};

class WrongDescription : public testing::TestWithParam<std::string> {
 protected:
  WrongDescription() : lines_(lines_of(GetParam())), refusal_(lines_) {}

  /// The description's own lines hold, or nothing here means anything.
  void SetUp() override {
    Description description = parse_description(lines_.whole(), lines_.path);
    const ImageFile image = read_image_file(description);
    ASSERT_NO_THROW(check_entry(*load_entry(std::move(description), image.elf, image.name)));
  }

  Lines lines_;
  Refusal refusal_;
};

TEST_P(WrongDescription, EachSymbolMissing) {
  const std::regex symbol(
      "(\\b(symbol|handler|start|end|restore_end|table|pointer|hypercall_page|gs_base) = )\"[A-Za-z0-9_]+\"");
  for (std::size_t i = 0; i < lines_.text.size(); ++i) {
    if (!std::regex_search(lines_.text[i], symbol) || lines_.text[i].starts_with('#')) continue;
    refusal_.expect_exactly_at(i, std::regex_replace(lines_.text[i], symbol, "$1\"nosuch\""));
  }
  EXPECT_GE(refusal_.tried(), 8U);
}

TEST_P(WrongDescription, EachOffsetOffByEight) {
  const std::regex slot("^([a-z0-9_]+) = ([0-9a-fx]+)( *#.*)?$");
  for (std::size_t i = 0; i < lines_.text.size(); ++i) {
    std::smatch match;
    const bool frame = lines_.table[i] == "frame" || lines_.table[i] == "frame.slots";
    if (!frame || !std::regex_match(lines_.text[i], match, slot)) continue;
    for (const long by : {-8L, 8L}) {
      refusal_.expect_at(i, fmt::format("{} = {}", match[1].str(), std::stol(match[2].str(), nullptr, 0) + by),
                         "frame");
    }
  }
  EXPECT_GE(refusal_.tried(), 30U);
}

TEST_P(WrongDescription, TheOtherWidth) {
  for (std::size_t i = 0; i < lines_.text.size(); ++i) {
    if (lines_.text[i].starts_with("width = ")) {
      refusal_.expect_at(i, lines_.wide ? "width = 32" : "width = 64", "width$");
    }
  }
  EXPECT_EQ(refusal_.tried(), 1U);
}

TEST_P(WrongDescription, EachOtherArgument) {
  const std::vector<std::string> wide = {"rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", "r8",
                                         "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
  const std::vector<std::string> narrow = {"eax", "ecx", "edx", "ebx", "ebp", "esi", "edi"};
  const std::regex argument("^(argument|error_code_argument) = \"([a-z0-9]+)\"");
  for (std::size_t i = 0; i < lines_.text.size(); ++i) {
    std::smatch match;
    if (!std::regex_search(lines_.text[i], match, argument)) continue;
    std::vector<std::string> others = lines_.wide ? wide : narrow;
    if (match[1] == "argument") others.push_back("stack");
    for (const std::string& other : others) {
      if (other != match[2]) refusal_.expect_at(i, fmt::format("{} = \"{}\"", match[1].str(), other), "handler");
    }
  }
  EXPECT_GE(refusal_.tried(), 7U);
}

/// A stack that another stack's memory stands for, one that is no stack, one too large; another count's values.
TEST_P(WrongDescription, EachOtherStack) {
  const std::regex stack("^(thread|interrupt|kernel) = \\{ symbol = \"([a-z_]+)\", size = 0x4000 \\}");
  const std::regex nesting("^(nesting = .* on_thread = )-1(, on_interrupt = )0 \\}");
  std::vector<std::string> names;
  for (const std::string& line : lines_.text) {
    std::smatch match;
    if (std::regex_search(line, match, stack)) names.push_back(match[2]);
  }
  for (std::size_t i = 0; i < lines_.text.size(); ++i) {
    std::smatch match;
    if (std::regex_search(lines_.text[i], match, nesting)) {
      refusal_.expect_at(i, fmt::format("{}7{}0 }}", match[1].str(), match[2].str()), "stacks.nesting");
      for (const int other : {-4, -2, -1, 1, 2, 7}) {
        refusal_.expect_at(i, fmt::format("{}-1{}{} }}", match[1].str(), match[2].str(), other), "stacks.nesting");
      }
    }
    if (!std::regex_search(lines_.text[i], match, stack)) continue;
    const std::string key = match[1];
    for (const std::string& name : names) {
      if (name == match[2]) continue;
      refusal_.expect_at(i, fmt::format("{} = {{ symbol = \"{}\", size = 0x4000 }}", key, name), "stacks");
    }
    refusal_.expect_at(i, fmt::format("{} = {{ symbol = \"{}\", size = 0x14010 }}", key, match[2].str()), "stacks");
  }
  EXPECT_GE(refusal_.tried(), 1U);
}

/// Labels that exist, in the wrong place: each end of the region at each of the entry's own labels that it is not at.
TEST_P(WrongDescription, EachOtherRegionLabel) {
  const std::regex label("^(start|end|restore_end) = \"([A-Za-z0-9_]+)\"");
  Description description = parse_description(lines_.whole(), lines_.path);
  const ImageFile image = read_image_file(description);
  const auto entry = load_entry(std::move(description), image.elf, image.name);
  for (std::size_t i = 0; i < lines_.text.size(); ++i) {
    std::smatch match;
    if (!std::regex_search(lines_.text[i], match, label)) continue;
    const std::optional<GuestAddress> right = find_symbol(entry->symbols, match[2].str());
    for (const Symbol& other : entry->named) {
      // What lies in the region behind the last instruction with events unmasked ends it as well.
      const bool tail = match[1] == "end" && entry->region.contains(other.address);
      if (!entry->text.contains(other.address) || other.address == right || tail) continue;
      refusal_.expect_at(i, fmt::format("{} = \"{}\"", match[1].str(), other.name), "region");
    }
  }
  EXPECT_EQ(refusal_.tried() == 0, entry->region.size() == 0);
}

TEST(BundledDescription, Holds) {
  for (const fs::directory_entry& folder : fs::directory_iterator(FRAMEFOLD_ENTRIES)) {
    const std::string path = (folder.path() / "entry.toml").string();
    // Variants with something wrong have a dot in their name.
    if (!fs::exists(path) || folder.path().filename().string().find('.') != std::string::npos) continue;
    Description description = parse_description(read(path), path);
    const ImageFile image = read_image_file(description);
    EXPECT_NO_THROW(check_entry(*load_entry(std::move(description), image.elf, image.name))) << path;
  }
}

/// Page faults leave by a way that does not touch the mask. That the vcpu_info is right, the upcall has shown.
TEST(BundledDescription, IsWrongWhereItSaysThatAnExceptionMasksEvents) {
  const Lines lines = lines_of((fs::path(FRAMEFOLD_ENTRIES) / "minios-x86_32-table" / "entry.toml").string());
  const auto handler = std::find(lines.text.begin(), lines.text.end(), "handler = \"do_page_fault\"");
  ASSERT_NE(handler, lines.text.end());
  Refusal(lines).expect_at(static_cast<std::size_t>(handler - lines.text.begin()), *handler + "\nmasks_events = true",
                           R"(vectors\[3\]\.masks_events)");
}

std::vector<std::string> descriptions() {
  std::vector<std::string> paths;
  for (const char* name : {"padded64", "trapframe32", "bypage64"}) {
    paths.push_back((fs::path(FRAMEFOLD_OWN_ENTRIES) / name / "entry.toml").string());
  }
  std::vector<const char*> bundled{"minios-x86_32-table", "linux-x86_32-single"};
  if (kRunsTheCommand) {
    bundled.insert(bundled.end(),
                   {"minios-x86_64-fixed", "minios-x86_64-table", "linux-x86_64-hypercall", "xenlinux-x86_64-nesting"});
  }
  for (const char* name : bundled) {
    paths.push_back((fs::path(FRAMEFOLD_ENTRIES) / name / "entry.toml").string());
  }
  return paths;
}

INSTANTIATE_TEST_SUITE_P(Of, WrongDescription, testing::ValuesIn(descriptions()), [](const auto& info) {
  return std::regex_replace(fs::path(info.param).parent_path().filename().string(), std::regex("-"), "_");
});

}  // namespace
}  // namespace framefold::test
