// What an entry's objects use and do not define: named where it is reached.
#include "test/byo_fixture.hpp"

namespace framefold::test {
namespace {

class ByoUndefined : public ByoObject {
 protected:
  /// The description of padded64 with these objects, and rows at its end.
  std::string with(const std::string& objects, const std::string& rows = "") {
    fs::remove_all(home_ / "padded64.object");
    const std::string entry = describe("padded64", objects);
    std::ofstream(entry, std::ios::app) << rows;
    return entry;
  }
  Result check(const std::string& objects, const std::string& rows = "") {
    return framefold(fmt::format("check '{}'", with(objects, rows)));
  }
  void expect_named(const Result& result, const std::string& what) {
    expect_message(result, what);
    EXPECT_THAT(result.text, HasSubstr(what));
  }
};

TEST_F(ByoUndefined, APointerThatIsNullIsNamed) {
  expect_named(check("null_pointer64.o"),
               ": image: expected objects that define cpu_state as well: the code goes through the pointer there");
  expect_named(check("calls_null64.o"), ": image: expected objects that define irq_ops as well");
}

TEST_F(ByoUndefined, TheVcpuInfosOwnPointerIsAskedForAtItsLine) {
  const std::string entry = with("padded64.o data64.o");
  const Result result = framefold(fmt::format("check '{}'", replace(entry, {{"\"vcpu_ptr\"", "\"only_data\""}})));
  expect_named(result,
               ": vcpu_info.pointer: expected what the entry reads the event bytes through: a pointer is null, "
               "that at vcpu_ptr");
}

/// Half of what the code loads is framefold's pointer, or all of it something else.
TEST_F(ByoUndefined, AVcpuInfosPointerThatLiesBesideIsNamedItself) {
  const auto at = [this](const char* objects, const char* place) {
    const std::string entry = with(objects);
    return framefold(fmt::format("check '{}'", replace(entry, {{"\"vcpu_ptr\"", fmt::format("\"{}\"", place)}})));
  };
  EXPECT_EQ(at("padded64.o", "vcpu_ptr").status, 0);
  expect_named(at("padded64.o", "vcpu_ptr+4"),
               ": vcpu_info.pointer: expected vcpu_ptr, where the entry loads what it reads the event bytes through: ");
  expect_named(at("padded64.o", "vcpu_ptr+8"), ": vcpu_info.pointer: expected what the entry reads the event bytes ");
}

TEST_F(ByoUndefined, AWeakFunctionThatIsCalledIsAsAnyOther) {
  expect_named(check("weak_call64.o"), ": image: expected objects that define audit_hook as well, or a row of `calls`");
  EXPECT_EQ(check("weak_call64.o", "[[calls]]\nsymbol = \"audit_hook\"\n").status, 0);
}

TEST_F(ByoUndefined, AWeakFunctionThatTheCodeLooksForIsNotThereUntilItIsDescribed) {
  EXPECT_EQ(check("weak_looked_at64.o").status, 0);
  const std::string never = "[[calls]]\nsymbol = \"audit_hook\"\nnever = true\n";
  expect_named(check("weak_looked_at64.o", never), ": calls[0].never: expected a function that is not reached");
}

TEST_F(ByoUndefined, DataAtTheLowerEndOfAStackIsSaidToHaveNoKey) {
  expect_named(check("stack_base64.o"), ": stacks.thread.symbol: expected a stack without data at its lower end");
  EXPECT_EQ(check("padded64.o").status, 0);
}

TEST_F(ByoUndefined, WeakDataIsNamed) {
  expect_named(check("weak_data64.o"),
               ": image: expected objects that define what the code uses there, of debug_level");
  EXPECT_EQ(check("weak_data64.o", "[[data]]\nsymbol = \"debug_level\"\nsize = 4\n").status, 0);
}

TEST_F(ByoUndefined, DataThatIsZeroedAndUsedIsListed) {
  const std::string listed = "what is zeroed for the code: debug_level\n";
  const Result result = check("zeroed64.o");
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr(listed));
  for (const auto& [objects, rows] : std::vector<std::pair<std::string, std::string>>{
           {"zeroed64.o", "[[data]]\nsymbol = \"debug_level\"\nsize = 4\n"}, {"padded64.o startup64.o", ""}}) {
    const Result other = check(objects, rows);
    EXPECT_EQ(other.status, 0) << other.text;
    EXPECT_THAT(other.text, testing::Not(HasSubstr("zeroed")));
  }
}

TEST_F(ByoUndefined, TooMuchOfItIsSaidOfTheObjects) {
  const Result result = check("padded64.o bss64.o");
  expect_named(result, "bss64.o: expected objects that take at most 16777216 bytes once linked");
  EXPECT_THAT(result.text, testing::Not(HasSubstr("framefold-link")));
}

/// Code whose every frame leaves by the hypercall page, which resumes whatever its own unmask does.
class ByoEventBytes : public ByoUndefined {
 protected:
  Result check_paged(const std::string& object, const std::string& tables,
                     const std::string& callback = "my_callback") {
    const std::string entry = with(object);
    const bool unmasks = tables.starts_with("[vcpu_info]");  // else there is no window to nest in
    std::ofstream(entry, std::ios::binary)
        << "name = \"paged\"\nsummary = \"-\"\nimage = \"" << object
        << "\"\nwidth = 64\nmodes = [\"kernel\"]\nnests = " << (unmasks ? "true" : "false")
        << "\nhypercall_page = \"hypercall_page\"\n"
           "[[vectors]]\nname = \"event\"\nkind = \"event\"\nsymbol = \""
        << callback
        << "\"\n[handler]\nsymbol = \"evtchn_do\"\nargument = \"rdi\"\nstack_alignment = 8\n"
           "[stacks]\nthread = { symbol = \"thread_stack\", size = 0x4000 }\n[frame]\nsize = 160\n[frame.slots]\n"
           "r15 = 0\nr14 = 8\nr13 = 16\nr12 = 24\nrbp = 32\nrbx = 40\nr11 = 48\nr10 = 56\nr9 = 64\nr8 = 72\nrdi = 80\n"
           "rsi = 88\nrdx = 96\nrcx = 104\nrax = 112\nrip = 120\ncs = 128\nrflags = 136\nrsp = 144\nss = 152\n"
        << tables;
    return framefold(fmt::format("check '{}'", entry));
  }
  static std::string info(const char* symbol) { return fmt::format("[vcpu_info]\nsymbol = \"{}\"\n", symbol); }
  static std::string counter(const char* symbol) {
    return fmt::format("[entry_data]\ncounters = [{{ symbol = \"{}\", size = 4 }}]\n", symbol);
  }
  static void expect_to_hold(const Result& result) { EXPECT_EQ(result.status, 0) << result.text; }
};

TEST_F(ByoEventBytes, AStoreThatNoLineDescribesIsHeldAgainstTheVcpuInfo) {
  const std::string object = "always_page64.o";
  expect_to_hold(check_paged(object, info("shinfo")));
  expect_named(
      check_paged(object, info("shinfo+0x8")),
      ": vcpu_info.symbol: expected shinfo: with it the description holds; as it is, vcpu_info.symbol: expected "
      "what the code unmasks through: my_callback+0x42 (");
  expect_named(check_paged(object, ""),
               ": vcpu_info: missing: expected what the code unmasks through: my_callback+0x42 (");
  // What the iret hypercall finds there is no frame; and the page is the one that is described.
  expect_named(check_paged(object, info("shinfo"), "way_out"), ": vectors[0].symbol: expected ");
  // What is said to be something else.
  expect_to_hold(check_paged(object, counter("shinfo")));
}

/// The same of bytes that the object defines itself: the second of a structure, or one with the byte's name.
TEST_F(ByoEventBytes, AStoreToAByteOfTheObjectsOwnIsHeldAgainstTheVcpuInfo) {
  for (const auto& [object, structure, byte] :
       {std::tuple{"own_shinfo_164.o", "shinfo", "shinfo+0x1"},
        std::tuple{"own_evtchn_upcall_mask64.o", "evtchn_upcall_pending", "evtchn_upcall_mask"}}) {
    expect_named(check_paged(object, ""), ": vcpu_info: missing: expected what the code unmasks through: ");
    EXPECT_THAT(check_paged(object, "").text, HasSubstr(fmt::format(" stores to {}, which no line describes", byte)));
    expect_to_hold(check_paged(object, info(structure)));
    expect_to_hold(check_paged(object, counter(structure)));
  }
  expect_to_hold(check_paged("own_in_upcall64.o", ""));
}

TEST_F(ByoUndefined, ATableThatOnlyCodeThatIsNeverEnteredReadsIsNone) {
  const std::string entry = with("padded64.o startup64.o");
  EXPECT_EQ(framefold(fmt::format("check '{}'", entry)).status, 0);
  replace(entry, {{"[region]\n", "[region]\ntable = \"boot_params\"\n"}});
  for (const char* command : {"check", "table --check"}) {
    expect_named(framefold(fmt::format("{} '{}'", command, entry)),
                 ": region.table: expected the table that the code reads to fold: ");
  }
}

}  // namespace
}  // namespace framefold::test
