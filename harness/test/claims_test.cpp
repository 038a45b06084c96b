// What a description says of the code, wrongly, and what it leaves out, is seen by running the code: each of these has
// its message, with the line. What no code shows is said with the finding that rests on it.
#include "check/claims.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

#include "check/check_entry.hpp"
#include "image/link_objects.hpp"
#include "test/description_lines.hpp"

namespace framefold::test {
namespace {

using testing::HasSubstr;

std::string path_of(const std::string& name) {
  const fs::path own = fs::path(FRAMEFOLD_OWN_ENTRIES) / name / "entry.toml";
  return fs::exists(own) ? own.string() : (fs::path(FRAMEFOLD_ENTRIES) / name / "entry.toml").string();
}

std::unique_ptr<const Entry> load(const std::string& text, const std::string& path) {
  Description description = parse_description(text, path);
  const ImageFile image = read_image_file(description);
  return load_entry(std::move(description), image.elf, image.name);
}

/// A line of an entry's description, what it becomes, and what is said of that, behind file, line and column.
struct Wrong {
  const char* entry;
  const char* line;
  const char* instead;
  const char* message;
};

void PrintTo(const Wrong& wrong, std::ostream* out) {
  *out << wrong.entry << ": " << wrong.line << " -> " << wrong.instead;
}

class Claims : public testing::TestWithParam<Wrong> {
 protected:
  static std::string replaced(const Wrong& wrong) {
    std::string text = lines_of(path_of(wrong.entry)).whole();
    const std::string line = fmt::format("\n{}\n", wrong.line);
    const std::size_t at = text.find(line);
    EXPECT_NE(at, std::string::npos) << wrong.line;
    return text.replace(at + 1, line.size() - 2, wrong.instead);
  }
};

TEST_P(Claims, AWrongOneIsNamed) {
  const std::string path = path_of(GetParam().entry);
  EXPECT_NO_THROW(check_entry(*load(lines_of(path).whole(), path)));
  std::string message = "holds";
  try {
    check_entry(*load(replaced(GetParam()), path));
  } catch (const InputError& error) {
    message = error.what();
  }
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_TRUE(std::regex_search(message, std::regex("entry\\.toml:[1-9][0-9]*:[0-9]+: "))) << message;
}

INSTANTIATE_TEST_SUITE_P(
    All, Claims,
    testing::Values(
        Wrong{"xenlinux-x86_64-nesting", "nests = true", "",
              ": nests: expected true, or code that folds: events are let in "},
        Wrong{"minios-x86_64-nesting", "nests = true", "nests = false", ": nests: expected true, or code that folds"},
        Wrong{"padded64", "symbol = \"evt_entry\"", "symbol = \"evt_save\"",
              "vectors[0].symbol: expected evt_entry: with it"},
        Wrong{"padded64", "symbol = \"pf_entry\"\nerror_code = true\nmasks_events = true\nhandler = \"fault_dispatch\"",
              "symbol = \"fault_dispatch\"\nerror_code = true\nmasks_events = true\nhandler = \"pf_entry\"",
              ":25:10: vectors[2].symbol: expected pf_entry, and vectors[2].handler ("},
        Wrong{"minios-x86_64-fixed", "symbol = \"general_protection\"", "symbol = \"page_fault\"",
              "vectors[2].symbol: expected general_protection: with it the description holds"},
        Wrong{"padded64", "width = 64", "width = 64\nnests = true", ": nests: expected false: an event at "},
        Wrong{"linux-x86_64-hypercall", "width = 64", "width = 64\nnests = true",
              ": nests: expected false, where vcpu_info.pointer is right: the code unmasks events nowhere"},
        Wrong{"minios-x86_64-fixed", "marks = true", "", "nmi.marks: expected true: without bit 31"},
        Wrong{"xenlinux-x86_32-fixed", "marks = true", "marks = false", "nmi.marks: expected true: without bit 31"},
        Wrong{"linux-x86_64-hypercall", "handler = \"do_nmi\"", "handler = \"do_nmi\"\nmarks = true",
              "nmi.marks: expected false: no instruction looks at"},
        Wrong{"trapframe32", "es = 0x08\nds = 0x0c", "ds = 0x08\nes = 0x0c", "frame.slots.ds: expected the offset"},
        Wrong{"trapframe32", "gs = 0x00\nfs = 0x04", "fs = 0x00\ngs = 0x04", "frame.slots.fs: expected the offset"},
        Wrong{"padded64", "symbol = \"evt_entry\"", "symbol = \"evt_handle\"",
              "vectors[0].symbol: expected where Xen enters: the frame that irq_dispatch gets in upcall, kernel on "
              "thread shows 0 slots"},
        Wrong{"padded64", "r15 = 8", "", "frame.slots: expected r15 = 8: there the frame of upcall"},
        Wrong{"padded64", "r12 = 32", "saved = 32", "frame.slots.saved: expected r12 = 32: there the frame"},
        Wrong{"padded64", "ss = 168", "",
              "frame.slots: expected ss = 168: there the frame of upcall, kernel on thread"},
        Wrong{"trapframe32", "gs = 0x00", "", "frame.slots: expected gs = 0: there the frame of upcall, kernel"},
        Wrong{"trapframe32", "fs = 0x04", "", "frame.slots: expected fs = 4: there the frame of upcall, kernel"},
        Wrong{"trapframe32", "es = 0x08", "saved = 0x08", "frame.slots.saved: expected es = 8: there the frame"},
        Wrong{"trapframe32", "es = 0x08\nds = 0x0c", "", "frame.slots: expected ds = 12: there the frame of upcall"},
        Wrong{"trapframe32", "ss = 0x44", "", "frame.slots: expected ss = 68: there the frame of upcall, user holds"},
        Wrong{"padded64", "rsp = 160", "", "frame.slots: expected rsp = 160: there the frame of upcall"},
        Wrong{"padded64", "error_code_argument = \"rsi\"", "", "handler.error_code_argument: expected \"rsi\""},
        Wrong{"padded64", "error_code_argument = \"rsi\"", "error_code_argument = \"none\"",
              "handler.error_code_argument: expected \"rsi\""},
        Wrong{"padded64", "stack_alignment = 16", "stack_alignment = 64",
              "handler.stack_alignment: expected at most 16"},
        Wrong{"padded64", "stack_alignment = 16", "stack_alignment = 4", "handler.stack_alignment: expected 8 or more"},
        Wrong{"trapframe32", "stack_alignment = 4", "stack_alignment = 32",
              "handler.stack_alignment: expected at most 16"}));

/// Another word as the work flag: each one that the image names.
TEST(WorkFlag, InAnotherWordIsNamed) {
  for (const char* name :
       {"xenlinux-x86_64-nesting", "xenlinux-x86_32-fixed", "linux-x86_64-hypercall", "linux-x86_32-single"}) {
    const std::string path = path_of(name);
    const Lines lines = lines_of(path);
    const auto right = load(lines.whole(), path);
    std::size_t line = 0;
    while (line < lines.text.size() && !(lines.table[line] == "work_flag" && lines.text[line].starts_with("symbol = ")))
      ++line;
    if (line == lines.text.size()) continue;
    std::size_t tried = 0;
    for (const Symbol& other : right->symbols) {
      if (right->text.contains(other.address) || other.address == *right->work_flag) continue;
      SCOPED_TRACE(fmt::format("{}: {}", name, other.name));
      ++tried;
      try {
        check_entry(*load(lines.with(line, fmt::format("symbol = \"{}\"", other.name)), path));
        ADD_FAILURE() << "holds";
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(),
                    testing::ContainsRegex("work_flag|vcpu_info|stacks|gs_base|entry_data|handler|vectors"));
      }
    }
    EXPECT_GE(tried, 4U) << name;
  }
}

TEST(ClaimsOfNoCode, AreSaidWithTheirLineOrWithout) {
  const std::string path = path_of("minios-x86_64-fixed");
  const auto entry = load(lines_of(path).whole(), path);
  EXPECT_EQ(to_text(*claim_behind(ViolationKind::handler_abi, *entry)),
            fmt::format("handler.stack_alignment = 16 ({}:{})", path,
                        entry->description.positions.at("handler.stack_alignment").line));
  EXPECT_EQ(to_text(*claim_behind(ViolationKind::critical_frame, *entry)),
            fmt::format("nests = false ({} does not say it)", path));
  EXPECT_FALSE(claim_behind(ViolationKind::register_mismatch, *entry));
  EXPECT_FALSE(claim_behind(ViolationKind::work_missed, *entry));  // it has none
  EXPECT_EQ(claims_of(*entry).size(), 7U);                         // three are of exceptions
}

TEST(ClaimsOfNoCode, AreWhatAFunctionReturns) {
  const std::string path = path_of("minios-x86_64-fixed");
  const auto keys = [&](const std::string& text) {
    std::vector<std::string> keys;
    for (const Claim& claim : claims_of(*load(text, path))) keys.push_back(to_text(claim));
    return keys;
  };
  const std::string text = lines_of(path).whole();
  EXPECT_THAT(keys(text), testing::Not(testing::Contains(testing::HasSubstr("returns"))));
  EXPECT_THAT(keys(std::regex_replace(text, std::regex("\\[handler\\]\n"), "$&returns = 3\n")),
              testing::Contains(testing::StartsWith("handler.returns = 3 (")));
}

TEST(ScopeOf, SaysWhatIsJudgedAndWhatIsNot) {
  const auto scope = [](const std::string& name) {
    const std::string path = path_of(name);
    return fmt::format("{}", fmt::join(scope_of(*load(lines_of(path).whole(), path)), "\n"));
  };
  const std::string kernel = scope("padded64");
  EXPECT_TRUE(
      std::regex_search(kernel, std::regex("modes = \\[\"kernel\"\\] \\(.*entry.toml:5\\): what interrupts user mode "
                                           "is not judged\n")))
      << kernel;
  EXPECT_TRUE(std::regex_search(kernel, std::regex("\nvectors = upcall, divide, fault \\(.*entry.toml:[0-9]+\\): "
                                                   "no other exception is judged, and no NMI$")))
      << kernel;
  const std::string both = scope("xenlinux-x86_32-fixed");
  EXPECT_TRUE(std::regex_search(both, std::regex("modes = \\[\"kernel\", \"user\"\\] \\(.*entry.toml:5\\)\n"))) << both;
  EXPECT_TRUE(std::regex_search(both, std::regex(", nmi \\(.*: no other exception is judged$"))) << both;
}

}  // namespace
}  // namespace framefold::test
