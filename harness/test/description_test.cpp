// Descriptions: what a good one says, and for every key what each kind of bad one is told. The bad ones are generated
// from the one table of keys, so that a new key is tested by being there.
#include "image/description.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <toml++/toml.h>

#include <memory>
#include <sstream>

#include "image/description_keys.hpp"
#include "machine/selectors.hpp"
#include "test/tiny_image.hpp"

namespace framefold {
namespace {

using test::tiny_description;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

std::string error_of(const std::string& text) {
  try {
    parse_description(text, "entry.toml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

std::string escaped(std::string text) {
  for (std::size_t at = 0; (at = text.find_first_of("[].", at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

// Every message is one line that starts with a place and names the key, or the first element of its list.
void expect_error(const std::string& text, const std::string& key, const std::string& expected) {
  const std::string error = error_of(text);
  EXPECT_THAT(error, MatchesRegex("entry\\.toml:[1-9][0-9]*:[1-9][0-9]*: [^\n]*"));
  EXPECT_THAT(error, ::testing::ContainsRegex(": " + escaped(key) + "(\\[0\\])?: ")) << text;
  EXPECT_THAT(error, HasSubstr(expected)) << text;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const std::size_t place = text.find(what);
  EXPECT_NE(place, std::string::npos) << what;
  return text.replace(place, what.size(), with);
}

/// One key in the tree of a good description.
struct Place {
  std::unique_ptr<toml::table> root;  // `parent` may be it, so it stays where it is
  toml::table* parent = nullptr;
  std::string name;     // of the key in its parent
  std::string path;     // as messages give it: "vectors[0].name"
  std::string sibling;  // the path of a key beside it, without its name
};

std::optional<Place> find_place(const KeySpec& key, Width width) {
  Place place;
  place.root = std::make_unique<toml::table>(toml::parse(tiny_description(width)));
  place.parent = place.root.get();
  std::istringstream parts{std::string(key.path)};
  std::string part;
  while (std::getline(parts, part, '.')) {
    if (!place.name.empty()) {
      const bool list = place.name.ends_with("[]");
      const std::string bare = list ? place.name.substr(0, place.name.size() - 2) : place.name;
      toml::node* node = place.parent->get(bare);
      if (node == nullptr) return std::nullopt;
      place.parent = list ? node->as_array()->get(0)->as_table() : node->as_table();
      place.sibling += bare + (list ? "[0]." : ".");
    }
    place.name = part;
  }
  if (!place.parent->contains(place.name)) return std::nullopt;
  place.path = place.sibling + place.name;
  return place;
}

Place place_of(const KeySpec& key) {
  std::optional<Place> place = find_place(key, Width::k64);
  if (!place) place = find_place(key, Width::k32);
  EXPECT_TRUE(place) << "no good description has " << key.path;
  return std::move(*place);
}

std::string text_of(const toml::table& root) {
  std::ostringstream out;
  out << toml::toml_formatter(root);
  return out.str();
}

/// The description with `value` for the key.
template <typename T>
std::string with_value(const KeySpec& key, T&& value) {
  Place place = place_of(key);
  place.parent->insert_or_assign(place.name, std::forward<T>(value));
  return text_of(*place.root);
}

std::vector<std::string> wrong_types(const KeySpec& key) {
  switch (key.type) {
    case KeyType::boolean:
      return {with_value(key, "true"), with_value(key, 1), with_value(key, toml::array{true})};
    case KeyType::integer:
    case KeyType::integer_choice:
      return {with_value(key, "64"), with_value(key, 64.0), with_value(key, true), with_value(key, toml::table{})};
    case KeyType::table:
    case KeyType::slot_table:
      return {with_value(key, 1), with_value(key, "text"), with_value(key, toml::array{toml::table{}})};
    case KeyType::table_list:
      return {with_value(key, 1), with_value(key, toml::table{}), with_value(key, toml::array{1}),
              with_value(key, toml::array{toml::array{1, 2}, toml::table{}})};
    case KeyType::choice_list:
    case KeyType::symbol_list:
    case KeyType::boundary_list:
    case KeyType::text_list:
      return {with_value(key, "a"), with_value(key, toml::array{1, 2}), with_value(key, toml::table{})};
    case KeyType::integer_list:
      return {with_value(key, 1), with_value(key, toml::array{"1"}),
              with_value(key, toml::array{toml::array{1, 2}, 3})};
    default:
      return {with_value(key, 1), with_value(key, true), with_value(key, toml::array{"a"}),
              with_value(key, toml::table{})};
  }
}

toml::array list_of(std::size_t count, const std::string& element) {
  toml::array list;
  for (std::size_t i = 0; i < count; ++i) list.push_back(fmt::format("{}{}", element, i));
  return list;
}

std::vector<std::string> out_of_range(const KeySpec& key) {
  switch (key.type) {
    case KeyType::string:
      return {with_value(key, ""), with_value(key, "two\nlines")};
    case KeyType::word:
      return {with_value(key, ""), with_value(key, "Two words"), with_value(key, "a:b")};
    case KeyType::file_name:
      return {with_value(key, ""), with_value(key, "../a"), with_value(key, ".hidden")};
    case KeyType::symbol:
      return {with_value(key, ""), with_value(key, "1st"), with_value(key, "a+1"), with_value(key, "a b")};
    case KeyType::data_place:
      return {with_value(key, ""), with_value(key, "1st"), with_value(key, "a+"), with_value(key, "a+b"),
              with_value(key, "a+0x100000000")};
    case KeyType::gpr:
      return {with_value(key, ""), with_value(key, "xmm0"), with_value(key, "edi"), with_value(key, "rsp")};
    case KeyType::integer:
      return {with_value(key, key.minimum - 1), with_value(key, key.maximum + 1)};
    case KeyType::integer_choice:
      return {with_value(key, 0), with_value(key, 33), with_value(key, -1)};
    case KeyType::choice:
      return {with_value(key, ""), with_value(key, "other"), with_value(key, key.choices)};
    case KeyType::choice_list: {
      const std::string choice(choices_of(key).front());
      return {with_value(key, toml::array{"other"}), with_value(key, toml::array{choice, choice})};
    }
    case KeyType::symbol_list:
      return {with_value(key, toml::array{"1st"}), with_value(key, toml::array{"a", "a"}),
              with_value(key, list_of(static_cast<std::size_t>(key.maximum) + 1, "s"))};
    case KeyType::boundary_list:
      return {with_value(key, toml::array{"a"}), with_value(key, toml::array{"a", "b", "c"}),
              with_value(key, toml::array{"a", "b+"}), with_value(key, toml::array{"a", "b+0x"}),
              with_value(key, toml::array{"a+0x100000000", "b"})};
    case KeyType::text_list:
      return {with_value(key, toml::array{}), with_value(key, toml::array{""}), with_value(key, toml::array{"a\nb"}),
              with_value(key, toml::array{"a", "a"})};
    case KeyType::integer_list:
      return {with_value(key, toml::array{}), with_value(key, toml::array{key.minimum - 1}),
              with_value(key, toml::array{key.maximum + 1}), with_value(key, toml::array{1, 1})};
    case KeyType::table_list:
      return {with_value(key, toml::array{})};
    case KeyType::slot_table:
      return {with_value(key, toml::table{{"rax", key.minimum - 1}}),
              with_value(key, toml::table{{"rax", key.maximum + 1}}), with_value(key, toml::table{{"r a x", 0}}),
              with_value(key, toml::table{{"rax", "0"}})};
    default:
      return {};
  }
}

class EachKey : public ::testing::TestWithParam<KeySpec> {};

INSTANTIATE_TEST_SUITE_P(Description, EachKey,
                         ::testing::ValuesIn(description_keys().begin(), description_keys().end()),
                         [](const auto& info) {
                           std::string name;
                           for (const char c : info.param.path) name += c == '.' || c == '[' || c == ']' ? '_' : c;
                           return name;
                         });

TEST_P(EachKey, MissingIsAnErrorWhereRequired) {
  const KeySpec& key = GetParam();
  Place place = place_of(key);
  place.parent->erase(place.name);
  if (key.required) expect_error(text_of(*place.root), place.path, "missing: expected ");
}

TEST_P(EachKey, WrongTypeIsAnError) {
  const KeySpec& key = GetParam();
  for (const std::string& text : wrong_types(key)) expect_error(text, place_of(key).path, "expected ");
}

// An element of a list is named with its place in the list.
TEST_P(EachKey, OutOfRangeIsAnError) {
  const KeySpec& key = GetParam();
  if (key.type != KeyType::boolean && key.type != KeyType::table) {
    EXPECT_FALSE(out_of_range(key).empty());
  }
  for (const std::string& text : out_of_range(key)) {
    const std::string error = error_of(text);
    EXPECT_THAT(error, MatchesRegex("entry\\.toml:[1-9][0-9]*:[1-9][0-9]*: [^\n]*expected [^\n]*"));
    EXPECT_THAT(error, HasSubstr(": " + place_of(key).path)) << text;
  }
}

TEST_P(EachKey, UnknownKeyBesideItIsAnError) {
  Place place = place_of(GetParam());
  place.parent->insert("unknown_key", 1);
  if (place.sibling == "frame.slots.") return;
  expect_error(text_of(*place.root), place.sibling + "unknown_key", "unknown key: expected one of");
}

TEST_P(EachKey, StandsInTheManual) {
  EXPECT_THAT(description_manual(), HasSubstr("\n" + std::string(GetParam().path) + " "));
  EXPECT_FALSE(GetParam().help.empty());
}

TEST(Description, TakesTheDefaultsThatTheManualNames) {
  std::string text = tiny_description(Width::k64);
  for (const std::string line : {"stride = 64\n", "index = 3\n", "mask = 6\n", "to = 1\n"}) {
    ASSERT_NE(text.find(line), text.npos) << line;
    text.erase(text.find(line), line.size());
  }
  const Description d = parse_description(text, "entry.toml");
  const std::vector<std::pair<std::string, std::int64_t>> defaults{{"vcpu_info.stride", d.vcpu_info.stride},
                                                                   {"vcpu_info.index", d.vcpu_info.index},
                                                                   {"work_flag.mask", d.work_flag->mask},
                                                                   {"calls[].to", d.calls.at(0).to}};
  for (const auto& [path, value] : defaults) {
    EXPECT_EQ(value, find_key(path)->otherwise) << path;
  }
  EXPECT_THAT(description_manual(), HasSubstr("bytes from one vCPU's to the next one's (default 64); an integer from"));
  EXPECT_EQ(d.vcpu_info.stride, 64U);
  EXPECT_EQ(d.work_flag->mask, 1U);
  EXPECT_EQ(d.calls.at(0).to, 1U);
}

TEST(Description, Of64BitEntry) {
  const Description d = parse_description(tiny_description(Width::k64), "entry.toml");
  EXPECT_EQ(d.file, "entry.toml");
  EXPECT_EQ(d.name, "tiny-64");
  EXPECT_EQ(d.summary, "the smallest entry");
  EXPECT_EQ(d.image, "tiny.elf");
  EXPECT_EQ(d.width, Width::k64);
  EXPECT_TRUE(d.user_mode);
  EXPECT_FALSE(d.nests);
  EXPECT_EQ(d.hypercall_page, "hypercall_page");
  EXPECT_EQ(d.gs_base, "pda");
  EXPECT_THAT(d.symbols, ::testing::ElementsAre("do_nmi", "page_fault"));
  EXPECT_THAT(d.pending_values, ::testing::ElementsAre(1, 0x80));
  EXPECT_EQ(d.handler.symbol, "do_hypervisor_callback");
  EXPECT_EQ(d.handler.argument, Gpr::rdi);
  EXPECT_EQ(d.handler.error_code_argument, Gpr::rsi);
  EXPECT_EQ(d.handler.stack_alignment, 16U);
  EXPECT_EQ(d.stacks.interrupt->symbol, "irqstack");
  EXPECT_EQ(d.stacks.kernel->size, 16384U);
  EXPECT_EQ(d.stacks.nesting_count, "irqcount");
  EXPECT_EQ(d.stacks.on_thread, -1);
  EXPECT_EQ(d.region.restore_end, "restore_end");
  EXPECT_EQ(d.region.table, "critical_fixup_table");
  EXPECT_EQ(d.vcpu_info.pointer, "HYPERVISOR_shared_info");
  EXPECT_EQ(d.work_flag->mask, 6U);
  EXPECT_EQ(d.calls.at(0).symbol, "audit");
  EXPECT_EQ(d.calls.at(0).returns, 7);
  EXPECT_TRUE(d.calls.at(0).has_value && d.calls.at(0).clobbers && d.calls.at(0).takes_event && !d.calls.at(0).never);
  EXPECT_EQ(d.calls.at(0).sets, "folds_seen");
  EXPECT_EQ(d.calls.at(0).to, 1U);
  EXPECT_EQ(d.counters.at(0).size, 4U);
  EXPECT_EQ(d.data.at(0).symbol, "elsewhere");
  EXPECT_EQ(d.data.at(0).size, 4096U);
  ASSERT_EQ(d.known.size(), 1U);
  EXPECT_EQ(d.known[0].first, "scrit+0x4");
  EXPECT_THAT(d.known[0].when, ::testing::ElementsAre(KnownCondition::marked, KnownCondition::if_set));
}

TEST(Description, PutsTheEventFirstAndTheNmiLast) {
  const Description d = parse_description(tiny_description(Width::k64), "entry.toml");
  ASSERT_EQ(d.vectors.size(), 3U);
  EXPECT_EQ(d.vectors[0].kind, DeliveryKind::event);
  EXPECT_EQ(d.vectors[0].key, "vectors[1]");
  EXPECT_EQ(d.vectors[0].handler, "do_hypervisor_callback");
  EXPECT_TRUE(d.vectors[0].masks_events);
  EXPECT_TRUE(d.vectors[0].common_exit);
  EXPECT_EQ(d.vectors[1].number, 14);
  EXPECT_TRUE(d.vectors[1].error_code);
  EXPECT_FALSE(d.vectors[1].common_exit);
  EXPECT_EQ(d.vectors[2].name, "nmi");
  EXPECT_EQ(d.vectors[2].number, 2);
  EXPECT_TRUE(d.vectors[2].marks);
  EXPECT_TRUE(d.vectors[2].masks_events);
}

TEST(Description, AVectorsOwnReturnsGoesBeforeTheHandlers) {
  const Description wide = parse_description(tiny_description(Width::k64), "entry.toml");
  EXPECT_EQ(wide.handler.returns, 0);
  EXPECT_EQ(wide.vectors.at(0).returns, 0);
  EXPECT_EQ(wide.vectors.at(1).returns, 1);
  EXPECT_EQ(wide.vectors.at(2).returns, 2);
  const Description narrow = parse_description(tiny_description(Width::k32), "entry.toml");
  EXPECT_EQ(narrow.vectors.at(0).returns, std::nullopt);
  EXPECT_EQ(narrow.vectors.at(1).returns, 1);
}

TEST(Description, Of32BitEntryUsesCommonSlotNames) {
  const Description d = parse_description(tiny_description(Width::k32), "entry.toml");
  EXPECT_EQ(d.handler.argument, std::nullopt);
  EXPECT_EQ(d.handler.error_code_argument, std::nullopt);
  EXPECT_EQ(d.vcpu_info.symbol, "vcpu_info");
  std::vector<std::string> slots;
  for (const FrameSlot& slot : d.frame.slots) slots.push_back(fmt::format("{}@{}", slot.name, slot.offset));
  EXPECT_THAT(slots, ::testing::ElementsAre("ebx@0", "eax@24", "ds@28", "es@32", "orig_eax@36", "rip@40", "cs@44",
                                            "rflags@48", "rsp@52", "ss@56"));
}

TEST(Description, MessagesGiveThePlace) {
  EXPECT_EQ(error_of("name = \"a\"\n  widht = 64\n").substr(0, 50),
            "entry.toml:2:11: widht: unknown key: expected one ");
  const std::string text = replaced(tiny_description(Width::k64), "number = 14", "number = 32");
  EXPECT_EQ(error_of(text), "entry.toml:16:10: vectors[0].number: expected an integer from 0 to 31, found 32");
}

TEST(Description, WhatIsNotTomlIsAnErrorWithAPlace) {
  EXPECT_THAT(error_of("name = "), StartsWith("entry.toml:1:8: expected TOML: "));
  EXPECT_THAT(error_of("a = 1\na = 2\n"), StartsWith("entry.toml:2:"));
  EXPECT_THAT(error_of("name = \"\xff\xfe\""), StartsWith("entry.toml:1:"));
  EXPECT_THAT(error_of(std::string(64, '\0')), StartsWith("entry.toml:1:"));
  EXPECT_THAT(error_of(std::string(2 << 20, '#')), HasSubstr("expected at most"));
  EXPECT_THAT(error_of("a = " + std::string(100000, '[')), StartsWith("entry.toml:1:"));
  for (const char* const key : {"a", "\"a\"", "a "}) {  // deeper than toml++ can go, were it asked
    std::string deep = key;
    for (int i = 0; i < 100000; ++i) deep += std::string(".") + key;
    EXPECT_EQ(error_of("name = \"x\"\n" + deep + " = 1"), "entry.toml:2:1: expected keys of at most 32 parts");
    EXPECT_EQ(error_of("[" + deep + "]"), "entry.toml:1:1: expected keys of at most 32 parts");
  }
  EXPECT_THAT(
      error_of("# " + std::string(3000, '.') + "\nname = \"A. sentence. of. many." + std::string(200, '.') + "\""),
      Not(HasSubstr("parts")));
  EXPECT_THAT(error_of(""), StartsWith("entry.toml:1:1: name: missing"));
  EXPECT_THAT(error_of("\"a\\nb\" = 1"), AllOf(HasSubstr("a?b: unknown key"), Not(HasSubstr("\n"))));
}

struct Slip {
  const char* what;
  const char* with;
  const char* key;
  const char* expected;
};

class EachSlip : public ::testing::TestWithParam<Slip> {};

// What no single key can show.
constexpr Slip kSlips[] = {
    {"modes = [\"kernel\", \"user\"]", "modes = [\"user\"]", "modes", "expected \"kernel\""},
    {"kernel = { symbol = \"kernel_stack\", size = 16384 }", "", "stacks.kernel", "where modes (entry"},
    {"modes = [\"kernel\", \"user\"]", "modes = [\"kernel\"]", "modes", "or no stacks.kernel ("},
    {"interrupt = {", "#", "stacks.nesting", "expected only"},
    {"size = 16384", "size = 16392", "stacks.thread.size", "expected a multiple of 16"},
    {"number = 14\n", "", "vectors[0].number", "missing"},
    {"index = 3\nstride = 64", "index = 31\nstride = 128", "vcpu_info.index", "shared info page, 2048 bytes"},
    {"stride = 64", "stride = 96", "vcpu_info.stride", "a multiple of 64"},
    {"[[known]]", "[[segments]]\nselector = 0xd9\nbase = \"pda\"\n[[known]]", "segments[0].selector", "on 32-bit only"},
    {"symbol = \"audit\"", "symbol = \"do_page_fault\"", "calls[0].symbol", "nothing else describes"},
    {"symbol = \"audit\"", "symbol = \"nmi\"", "calls[0].symbol", "nothing else describes"},
    {"sets = \"folds_seen\"\n", "", "calls[0].to", "only with `sets`"},
    {"never = false", "never = true", "calls[0].returns", "nothing of a function that is never reached"},
    {"symbol = \"elsewhere\"", "symbol = \"folds_seen\"", "data[0].symbol", "folds_seen is entry_data.counters"},
    {"symbol = \"elsewhere\"", "symbol = \"do_nmi\"", "data[0].symbol", "do_nmi is nmi"},
    {"symbol = \"elsewhere\"", "symbol = \"irqstack\"", "data[0].symbol", "irqstack is stacks.interrupt.symbol"},
    {"[[data]]", "[[data]]\nsymbol = \"elsewhere\"\nsize = 8\n[[data]]", "data[1].symbol", "is data[0].symbol"},
    {"number = 14", "number = 2", "vectors[0].number", "is the NMI"},
    {"number = 14", "number = 6", "vectors[0].error_code", "false, or another number in vectors[0].number ("},
    {"error_code = true", "error_code = false", "vectors[0].error_code", "expected true"},
    {"error_code = true\n", "", "vectors[0].number", "pushes no error code, or error_code = true: vector 14 "},
    {"handler = \"do_page_fault\"\n", "", "vectors[0].handler", "missing"},
    {"kind = \"event\"", "kind = \"event\"\nnumber = 3", "vectors[1].number", "only on exceptions"},
    {"kind = \"event\"", "kind = \"event\"\nhandler = \"h\"", "vectors[1].handler", "only on exceptions"},
    {"kind = \"event\"", "kind = \"event\"\nerror_code = false", "vectors[1].error_code", "only on exceptions"},
    {"kind = \"event\"", "kind = \"event\"\nmasks_events = false", "vectors[1].masks_events", "expected true"},
    {"name = \"event\"", "name = \"nmi\"", "vectors[1].name", "is taken"},
    {"name = \"event\"", "name = \"page_fault\"", "vectors[1].name", "is taken"},
    {"[nmi]", "[[vectors]]\nname = \"again\"\nkind = \"event\"\nsymbol = \"x\"\n[nmi]", "vectors[2].kind",
     "one event callback"},
    {"[nmi]",
     "[[vectors]]\nname = \"x\"\nkind = \"exception\"\nnumber = 14\nerror_code = true\nsymbol = \"x\"\nhandler = "
     "\"x\"\n[nmi]",
     "vectors[2].number", "14 is taken"},
    {"kind = \"event\"", "kind = \"exception\"\nnumber = 6\nhandler = \"x\"", "vectors",
     "expected one of kind \"event\""},
    {"pointer = \"HYPERVISOR_shared_info\"", "", "vcpu_info", "exactly one"},
    {"pointer = \"H", "symbol = \"x\"\npointer = \"H", "vcpu_info", "exactly one"},
    {"argument = \"rdi\"", "argument = \"edi\"", "handler.argument", "64-bit guest"},
    {"argument = \"rdi\"", "argument = \"none\"", "handler.argument", "or \"stack\""},
    {"size = 168", "size = 164", "frame.size", "multiple of 8"},
    {"size = 168", "size = 160", "frame.slots.ss", "inside the 160 bytes of frame.size (entry.toml:"},
    {"size = 168", "size = 152", "frame.size", "expected room for all slots, found 152: rsp (entry.toml:"},
    {"rax = 80", "rax = 84", "frame.slots.rax", "multiple of 8"},
    {"rax = 80", "rax = 128", "frame.slots.rip", "a slot of its own: rax (entry.toml:"},
    {"rax = 80", "rax = 128", "frame.slots.rip", ") is at 128 as well"},
    {"rax = 80", "eax = 80", "frame.slots.eax", "64-bit guest"},
    {"rip = 128", "eip = 128", "frame.slots.eip", "64-bit guest"},
    {"rip = 128, ", "", "frame.slots", "expected rip"},
    {"cs = 136, ", "", "frame.slots", "expected cs"},
    {"rflags = 144, ", "", "frame.slots", "expected rflags"},
};
INSTANTIATE_TEST_SUITE_P(Description, EachSlip, ::testing::ValuesIn(kSlips));

TEST_P(EachSlip, IsAnError) {
  const Slip& slip = GetParam();
  const std::string error = error_of(replaced(tiny_description(Width::k64), slip.what, slip.with));
  EXPECT_THAT(error, MatchesRegex("entry\\.toml:[1-9][0-9]*:[1-9][0-9]*: [^\n]*"));
  EXPECT_THAT(error, HasSubstr(std::string(": ") + slip.key)) << slip.with;
  EXPECT_THAT(error, HasSubstr(slip.expected)) << slip.with;
}

TEST(Description, BasesAreOfBothWidthsAndSegmentsBelowTheirs) {
  const std::string text = tiny_description(Width::k32);
  const Description d = parse_description("gs_base = \"pda\"\nfs_base = \"pda+8\"\n" + text, "entry.toml");
  EXPECT_EQ(d.gs_base, "pda");
  EXPECT_EQ(d.fs_base, "pda+8");
  const auto with = [&](unsigned selector) {
    return fmt::format("{}\n[[segments]]\nselector = {:#x}\nbase = \"pda\"\n", text, selector);
  };
  EXPECT_EQ(error_of(with(0xdfd9)), "no error");
  for (const OwnSelectors& own : {kOwnFs32, kOwnGs32}) {
    EXPECT_THAT(error_of(with(own.kernel)), HasSubstr(": segments[1].selector: expected an integer from 8 to 57311"));
  }
}

TEST(Description, SlotsOfThe32BitGuestAreNamedAsWritten) {
  const std::string text = tiny_description(Width::k32);
  EXPECT_THAT(error_of(replaced(text, "eip = 40", "eip = 42")), HasSubstr("frame.slots.eip: expected a multiple of 4"));
  EXPECT_THAT(error_of(replaced(text, "eflags = 48", "rflags = 48")), HasSubstr("frame.slots.rflags: "));
  EXPECT_THAT(error_of(replaced(text, "eflags = 48, ", "")), HasSubstr("expected eflags"));
}

TEST(Description, NamesOfConditionsGoBothWays) {
  for (std::size_t i = 0; i < kKnownConditionCount; ++i) {
    const auto condition = static_cast<KnownCondition>(i);
    EXPECT_EQ(known_condition_from_name(name_of(condition)), condition);
    EXPECT_THAT(choices_of(*find_key("known[].when")), ::testing::Contains(name_of(condition)));
  }
  EXPECT_EQ(choices_of(*find_key("known[].when")).size(), kKnownConditionCount);
  EXPECT_EQ(known_condition_from_name("sometimes"), std::nullopt);
}

TEST(Description, NamesOfRegistersGoBothWays) {
  for (const Width width : {Width::k32, Width::k64}) {
    for (std::size_t i = 0; i < gpr_count(width); ++i) {
      const auto gpr = static_cast<Gpr>(i);
      EXPECT_EQ(gpr_from_name(name_of(gpr, width), width), gpr);
      EXPECT_EQ(gpr_from_name(name_of(gpr, width), width == Width::k32 ? Width::k64 : Width::k32), std::nullopt);
    }
  }
  EXPECT_EQ(name_of(Gpr::rsi, Width::k32), "esi");
  EXPECT_EQ(name_of(Gpr::r8, Width::k64), "r8");
  EXPECT_EQ(name_of(Segment::gs), "gs");
}

TEST(Description, WhatIsWrongWithItIsSaidWithoutTheMiddleOfALongValue) {
  const std::string value(70000, 'x');
  const std::string short_line = "entry.toml: key: expected a name";
  EXPECT_EQ(InputError(short_line).what(), short_line);
  const std::string line = InputError("entry.toml: key: expected a name: " + value + " is none").what();
  EXPECT_EQ(line.size(), 2000U);
  EXPECT_TRUE(line.starts_with("entry.toml: key: expected a name: xxx"));
  EXPECT_TRUE(line.ends_with("xxx is none"));
  EXPECT_NE(line.find("x ... x"), std::string::npos);
}

TEST(Description, SplitsLocations) {
  EXPECT_EQ(split_location("scrit")->symbol, "scrit");
  EXPECT_EQ(split_location("scrit")->offset, 0U);
  EXPECT_EQ(split_location("a.b$_1+0x82")->offset, 0x82U);
  EXPECT_EQ(split_location("scrit+18")->offset, 18U);
  for (const char* bad :
       {"", "+1", "1st", "a+", "a+0x", "a+x", "a+1x", "a+-1", "a + 1", "a+1+1", "a-1", "a+99999999999999999999"}) {
    EXPECT_FALSE(split_location(bad)) << bad;
  }
}

}  // namespace
}  // namespace framefold
