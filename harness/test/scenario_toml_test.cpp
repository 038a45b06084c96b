#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "scenario/toml.hpp"
#include "scenario_fixture.hpp"

namespace framefold {
namespace {

using test::all_entries;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

ScenarioNotes any_notes(Random& random, const Entry& entry) {
  const std::vector<std::string> texts = {
      "", "plain", "a \"quoted\" \\ back", "two\nlines\n", "\ttab\r\n\x01\x7f end", "\"\"\"", "\n", "# \xc3\xbc = [1]"};
  return {random.one_in(2) ? entry.name() : "", texts[random.below(texts.size())], texts[random.below(texts.size())]};
}

TEST(ScenarioToml, LosesNothing) {
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    const Entry& entry = all_entries()[static_cast<std::size_t>(i) % all_entries().size()];
    const Scenario scenario = test::any_canonical(random, entry);
    const ScenarioNotes notes = any_notes(random, entry);
    const std::string text = to_toml(scenario, entry, notes);
    const ParsedScenario parsed = from_toml(text, "s.toml", entry);
    ASSERT_EQ(parsed.scenario, scenario) << text;
    ASSERT_EQ(parsed.notes.entry, notes.entry);
    ASSERT_EQ(parsed.notes.signature, notes.signature) << text;
    ASSERT_EQ(parsed.notes.explanation, notes.explanation) << text;
    ASSERT_EQ(to_toml(parsed.scenario, entry, parsed.notes), text);
  }
}

TEST(ScenarioToml, ReadsWell) {
  const Entry entry = test::kernel_entry();
  Scenario s = test::plain_scenario(entry);
  s.context.vector = 2;
  s.context.error_code = 4;
  s.context.mask = 1;
  s.context.pending = 1;
  s.context.port = 3;
  s.context.rflags = 0x401;
  s.context.gpr[0] = 0xffff'ffff'ffff'ffff;
  s.context.gpr[3] = 0x1000;
  s.event_actions[0].nested_event = true;
  s.event_actions[2].nested_event = true;
  s.frame_write.rax = true;
  s.arrival_count = 2;
  s.arrivals[0] = {ArrivalKind::event, 41, 7, 1, 0, false, 0};
  s.arrivals[1] = {ArrivalKind::exception, 2, 0, 1, 2, false, 6};
  canonicalise(s, entry);
  const auto label = [](std::size_t i) { return std::string(i == 0 ? "scrit+0x3,\ndelivered" : ""); };
  EXPECT_EQ(to_toml(s, entry, {"kernel-64", "", "One line.\nAnother."}, label), R"(entry = "kernel-64"
explanation = """
One line.
Another."""

[context]
vector = "page_fault"
error_code = 0x4
mode = "kernel"
stack = "thread"
stack_offset = 0
place = "resume_page"
place_offset = 0x0
mask = 0x1
pending = 0x1
port = 3
rflags = ["cf", "df"]

[context.registers]  # those that are not listed hold their tags
rax = "0xffffffffffffffff"
rbx = 0x1000

[handler]  # lists: in which calls of the event handler, from 0
nested_event = [0, 2]
write_rax = 0x0

[[arrival]]  # 0: scrit+0x3, delivered
kind = "event"
distance = 41
port = 7

[[arrival]]  # 1
kind = "exception"
distance = 2
vector = "page_fault"
error_code = 0x6
)");
}

TEST(ScenarioToml, LabelsChangeNothing) {
  Random random(2);
  const Entry entry = test::kernel_entry();
  for (int i = 0; i < 200; ++i) {
    const Scenario scenario = test::any_canonical(random, entry);
    const auto label = [](std::size_t) { return std::string("a \"label\"\n[context]\r\nmask = 9\x7f"); };
    EXPECT_EQ(from_toml(to_toml(scenario, entry, {}, label), "s.toml", entry).scenario, scenario);
  }
}

TEST(ScenarioToml, WhatIsNotSaidIsPlain) {
  for (const Entry& entry : all_entries()) {
    EXPECT_EQ(from_toml("", "s.toml", entry).scenario, test::plain_scenario(entry));
    EXPECT_EQ(from_toml("[context]\n", "s.toml", entry).scenario, test::plain_scenario(entry));
    Scenario one = test::plain_scenario(entry);
    one.arrival_count = 1;
    canonicalise(one, entry);
    EXPECT_EQ(from_toml("[[arrival]]\nkind = \"event\"\n", "s.toml", entry).scenario, one);
  }
}

TEST(ScenarioToml, ATickWithAPendingByteIsASpuriousUpcall) {
  Entry entry = test::kernel_entry();
  const auto tick = [&](const std::string& key) {
    return from_toml("[[arrival]]\nkind = \"tick\"\n" + key, "s.toml", entry).scenario;
  };
  EXPECT_FALSE(tick("").arrivals[0].spurious);
  EXPECT_EQ(tick("pending = 0\n"), tick(""));
  EXPECT_THAT(to_toml(tick(""), entry, {}), testing::EndsWith("kind = \"tick\"\ndistance = 0\n"));
  EXPECT_TRUE(tick("pending = 1\n").arrivals[0].spurious);
  EXPECT_THAT(to_toml(tick("pending = 1\n"), entry, {}), testing::EndsWith("distance = 0\npending = 0x1\n"));
  entry.description.pending_values = {1, 0x80};
  EXPECT_EQ(tick("pending = 0x80\n").arrivals[0].pending_value, 0x80);
  EXPECT_THAT(to_toml(tick("pending = 0x80\n"), entry, {}), testing::EndsWith("pending = 0x80\n"));
}

TEST(ScenarioToml, TakesNumbersAsIntegersAndAsStrings) {
  const Entry entry = test::kernel_entry();
  const Scenario s =
      from_toml(
          "context = { mask = \"0x0\", rflags = 0x401, registers = { rax = 255, rcx = \"0xFFFFFFFFFFFFFFFF\" } }\n",
          "s.toml", entry)
          .scenario;
  EXPECT_EQ(s.context.gpr[0], 255U);
  EXPECT_EQ(s.context.gpr[1], ~std::uint64_t{0});
  EXPECT_EQ(s.context.rflags, 0x401U);
}

TEST(ScenarioToml, FindsTheEntry) {
  EXPECT_EQ(entry_of_toml("entry = \"e\"\n[anything]\nelse = 1\n", "s.toml"), "e");
  EXPECT_EQ(entry_of_toml("", "s.toml"), "");
  EXPECT_THROW(entry_of_toml("entry = 1\n", "s.toml"), InputError);
  EXPECT_THROW(entry_of_toml("entry = \n", "s.toml"), InputError);
}

struct BadText {
  const char* text;
  const char* place;  // "line:column: key"
  const char* reason;
};

std::string message_of(const std::string& text, const Entry& entry) {
  try {
    from_toml(text, "dir/s.toml", entry);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

void expect_refused(const std::vector<BadText>& texts, const Entry& entry) {
  for (const BadText& bad : texts) {
    SCOPED_TRACE(bad.text);
    EXPECT_THAT(message_of(bad.text, entry),
                AllOf(StartsWith(std::string("dir/s.toml:") + bad.place), HasSubstr(bad.reason), Not(HasSubstr("\n"))));
  }
}

TEST(ScenarioToml, RefusesWhatIsNotTomlOrNotAKey) {
  expect_refused(
      {
          {"entry = ", "1:", "TOML"},
          {"entry = \"a\nb\"", "1:", "TOML"},
          {"\xff\xfe", "1:", "TOML"},
          {"entry = 1", "1:9: entry: ", "expected a string"},
          {"signature = []", "1:13: signature: ", "expected a string"},
          {"explanation = true", "1:15: explanation: ", "expected a string"},
          {"colour = 1", "1:10: colour: ", "unknown key; expected one of entry, signature"},
          {"context = 1", "1:11: context: ", "expected a table"},
          {"[context]\nmusk = 1", "2:8: context.musk: ", "unknown key"},
          {"[context.registers]\nfoo = 1", "2:7: context.registers.foo: ", "unknown key"},
          {"[context.registers]\neax = 1", "2:7: context.registers.eax: ", "of the entry's width"},
          {"[context.registers]\nrsp = 1", "2:7: context.registers.rsp: ", "stack_offset"},
          {"[handler]\nfoo = 1", "2:7: handler.foo: ", "unknown key"},
          {"handler = []", "1:11: handler: ", "expected a table"},
          {"arrival = 1", "1:11: arrival: ", "expected an array of tables"},
          {"arrival = [1]", "1:12: arrival[0]: ", "expected a table"},
          {"[[arrival]]\nkind = \"tick\"\n[[arrival]]\nkind = \"tick\"\nwhen = 1",
           "5:8: arrival[1].when: ", "unknown key"},
          {"[[arrival]]\ndistance = 1", "1:1: arrival[0].kind: ", "missing; expected one of event, tick"},
      },
      test::kernel_entry());
}

TEST(ScenarioToml, RefusesWrongTypesAndRanges) {
  expect_refused(
      {
          {"[context]\nvector = \"bound\"", "2:10: context.vector: ", "one of event, divide_error, page_fault, nmi"},
          {"[context]\nvector = 0", "2:10: context.vector: ", "one of event"},
          {"[context]\nmode = \"guest\"", "2:8: context.mode: ", "one of kernel, user"},
          {"[context]\nmode = 0", "2:8: context.mode: ", "one of kernel, user"},
          {"[context]\nstack = \"x\"", "2:9: context.stack: ", "one of thread, interrupt"},
          {"[context]\nplace = \"x\"", "2:9: context.place: ", "one of resume_page, region"},
          {"[context]\nstack_offset = 64", "2:16: context.stack_offset: ", "0 to 63"},
          {"[context]\nstack_offset = -1", "2:16: context.stack_offset: ", "0 to 63"},
          {"[context]\nplace_offset = 272", "2:16: context.place_offset: ", "expected 0 to 271"},
          {"[context]\nmask = 256", "2:8: context.mask: ", "0 to 255"},
          {"[context]\nmask = 1.0", "2:8: context.mask: ", "0 to 255"},
          {"[context]\nmask = \"1\"", "2:8: context.mask: ", "0 to 255"},
          {"[context]\nmask = \"0x\"", "2:8: context.mask: ", "0 to 255"},
          {"[context]\nport = 128", "2:8: context.port: ", "0 to 127"},
          {"[context]\nmasked_port = true", "2:15: context.masked_port: ", "0 to 127"},
          {"[context]\nnmi_masked = 1", "2:14: context.nmi_masked: ", "true or false"},
          {"[context]\nnull_data_segments = \"no\"", "2:22: context.null_data_segments: ", "true or false"},
          {"[context]\nerror_code = 0x10000", "2:14: context.error_code: ", "0 to 65535"},
          {"[context]\nrflags = [\"if\"]", "2:10: context.rflags: ", "list of cf, pf"},
          {"[context]\nrflags = [1]", "2:10: context.rflags: ", "list of cf, pf"},
          {"[context]\nrflags = 0x202", "2:10: context.rflags: ", "0x244dd5"},
          {"[context]\nrflags = true", "2:10: context.rflags: ", "list of cf, pf"},
          {"[context]\nregisters = 1", "2:13: context.registers: ", "expected a table"},
          {"[context.registers]\nrax = -1", "2:7: context.registers.rax: ", "0 to 0xffffffffffffffff"},
          {"[context.registers]\nrax = \"0x10000000000000000\"",
           "2:7: context.registers.rax: ", "0 to 0xffffffffffffffff"},
          {"[handler]\nnested_event = true", "2:16: handler.nested_event: ", "list of calls"},
          {"[handler]\nnested_event = [4]", "2:16: handler.nested_event: ", "from 0 to 3"},
          {"[handler]\nwrite_rip_offset = 256", "2:20: handler.write_rip_offset: ", "0 to 255"},
          {"[handler]\nwrite_rax = []", "2:13: handler.write_rax: ", "0 to 0xffffffffffffffff"},
          {"[[arrival]]\nkind = \"mce\"", "2:8: arrival[0].kind: ", "one of event, tick, nmi, exception"},
          {"[[arrival]]\nkind = \"tick\"\ndistance = 65536", "3:12: arrival[0].distance: ", "0 to 65535"},
          {"[[arrival]]\nkind = \"event\"\nport = 128", "3:8: arrival[0].port: ", "0 to 127"},
          {"[[arrival]]\nkind = \"exception\"\nvector = \"nmi\"",
           "3:10: arrival[0].vector: ", "one of divide_error, page_fault"},
      },
      test::kernel_entry());
}

TEST(ScenarioToml, RefusesContextsThatXenCannotProduce) {
  expect_refused(
      {
          {"[context]\nmask = 1", "2:8: context.mask: ", "an event interrupts only mask 0"},
          {"[context]\npending = 0", "2:11: context.pending: ", "pending values: 0x1"},
          {"[context]\npending = 2", "2:11: context.pending: ", "pending values: 0x1"},
          {"[context]\nvector = \"nmi\"\npending = 1", "3:11: context.pending: ", "with mask 0"},
          {"[context]\nvector = \"nmi\"\nport = 1", "3:8: context.port: ", "nothing is pending"},
          {"[context]\nmode = \"user\"", "2:8: context.mode: ", "no user mode"},
          {"[context]\nplace = \"region\"", "2:9: context.place: ", "kernel context"},
          {"[context]\nport = 5\nmasked_port = 5", "3:15: context.masked_port: ", "uses that port"},
          {"[context]\nnmi_masked = true", "2:14: context.nmi_masked: ", "exception in kernel mode"},
          {"[context]\nnull_data_segments = true", "2:22: context.null_data_segments: ", "32-bit user"},
          {"[context]\nerror_code = 1", "2:14: context.error_code: ", "that has an error code"},
          {"[handler]\nunmask_port = [0]", "2:15: handler.unmask_port: ", "no context.masked_port"},
          {"[context]\nmasked_port = 3\n[handler]\nunmask_port = [1]",
           "4:15: handler.unmask_port: ", "only the first call"},
          {"[handler]\nset_work_flag = [0]", "2:17: handler.set_work_flag: ", "no work flag"},
          {"[handler]\nwrite_rax = 1", "2:13: handler.write_rax: ", "only an exception's handler"},
          {"[handler]\nwrite_rip_offset = 1", "2:20: handler.write_rip_offset: ", "only an exception's handler"},
          {"[[arrival]]\nkind = \"tick\"\nport = 1", "3:8: arrival[0].port: ", "only an event"},
          {"[[arrival]]\nkind = \"nmi\"\npending = 1", "3:11: arrival[0].pending: ", "only an event or a tick"},
          {"[[arrival]]\nkind = \"nmi\"\nport = 0", "3:8: arrival[0].port: ", "only an event"},
          {"[[arrival]]\nkind = \"event\"\nerror_code = 0", "3:14: arrival[0].error_code: ", "only an exception"},
          {"[[arrival]]\nkind = \"tick\"\npending = 2", "3:11: arrival[0].pending: ", "values: 0x1, or 0"},
          {"[[arrival]]\nkind = \"tick\"\npending = 256", "3:11: arrival[0].pending: ", "0 to 255"},
          {"[[arrival]]\nkind = \"event\"\npending = 2", "3:11: arrival[0].pending: ", "pending values: 0x1"},
          {"[[arrival]]\nkind = \"event\"\nvector = \"page_fault\"", "3:10: arrival[0].vector: ", "only an exception"},
          {"[[arrival]]\nkind = \"exception\"\nvector = \"divide_error\"\nerror_code = 1",
           "4:14: arrival[0].error_code: ", "error code"},
      },
      test::kernel_entry());
  expect_refused(
      {
          {"[context]\nstack = \"interrupt\"", "2:9: context.stack: ", "no interrupt stack"},
          {"[context]\nmode = \"user\"\nplace = \"region\"\nplace_offset = 16",
           "4:16: context.place_offset: ", "expected 0 to 15"},
          {"[context]\nstack_offset = 6", "2:16: context.stack_offset: ", "multiple of 4"},
          {"[context.registers]\neax = 0x100000000", "2:7: context.registers.eax: ", "0 to 0xffffffff"},
          {"[context]\nmode = \"user\"\nplace = \"region\"\nvector = \"page_fault\"\n[handler]\nwrite_rip_offset = 1",
           "6:20: handler.write_rip_offset: ", "resume page"},
          {"[[arrival]]\nkind = \"nmi\"", "2:8: arrival[0].kind: ", "no NMI"},
      },
      test::user32_entry());
  expect_refused({{"[context]\nmode = \"user\"\nstack = \"interrupt\"", "3:9: context.stack: ", "stack of its own"},
                  {"[context]\nmode = \"user\"\nplace = \"region\"", "3:9: context.place: ", "no critical region"}},
                 test::user64_entry());
  expect_refused({{"[[arrival]]\nkind = \"exception\"", "2:8: arrival[0].kind: ", "no exceptions"}},
                 test::least_entry());
}

TEST(ScenarioToml, RefusesMoreArrivalsThanThereMayBe) {
  std::string text;
  for (std::size_t i = 0; i < kMaxArrivals; ++i) text += "[[arrival]]\nkind = \"tick\"\n";
  EXPECT_EQ(message_of(text, test::kernel_entry()), "accepted");
  text += "[[arrival]]\nkind = \"tick\"\n";
  EXPECT_THAT(message_of(text, test::kernel_entry()), HasSubstr("arrival: expected at most 16"));
}

TEST(ScenarioToml, AcceptsOrRefusesAnyDamagedText) {
  Random random(3);
  const Entry entry = test::user32_entry();
  int accepted = 0;
  for (int i = 0; i < 5'000; ++i) {
    std::string text = to_toml(test::any_canonical(random, entry), entry, any_notes(random, entry));
    for (std::uint64_t n = 1 + random.below(3); n != 0; --n) {
      text[random.below(text.size())] = static_cast<char>(random.one_in(2) ? random.next() : 0x20 + random.below(0x5f));
    }
    const std::string message = message_of(text, entry);
    accepted += message == "accepted" ? 1 : 0;
    ASSERT_THAT(message, Not(HasSubstr("\n")));
  }
  EXPECT_LT(accepted, 5'000);
}

}  // namespace
}  // namespace framefold
